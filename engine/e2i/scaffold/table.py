"""Find out what a first spec must know of a table: what each column is for, and what is to be predicted.

In: a data file, the target. Out: ``TableFacts``. At most ``ROWS`` rows are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from e2i.errors import BadInput, StepError, ToolUnavailable
from e2i.spec.suggest import hint
from e2i.tools.data import LoadParams, formats, streams
from e2i.tools.data.files import layout_of, read

if TYPE_CHECKING:
    import pandas as pd

ROWS = 100_000
MOST_CLASSES = 20
"""Distinct whole numbers up to which a target counts as classes."""
MOST_VALUES = 1_000
"""Distinct texts from which on a column is no feature: a model would learn rows by heart."""
TIME = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?")
"""Times as ``data.load`` reads them."""
KEY = re.compile(r"(?i:(^|[_ .-])(id|key|uuid|guid|index))$|[a-z](Id|ID|Key|UUID|Uuid|GUID|Guid|Index)$")

Role = Literal["feature", "target", "key", "time", "constant", "empty", "text"]


class Column(Struct, frozen=True):
    """One column: its role, and what ``data.load`` must be told to read it as."""

    name: str
    role: Role
    read_as: Literal["string", "time"] | None = None


class TableFacts(Struct, frozen=True):
    """What is known of the table."""

    columns: tuple[Column, ...]
    target: str
    task: Literal["classification", "regression"]
    entity: str | None
    """The column that several rows of one thing share, such as a customer's number."""
    is_target_complete: bool
    """False when rows have no target: they can neither be learned from nor judged on."""
    dialect: Mapping[str, str] = {}
    """How a text file is written, as parameters of ``data.load``, where it is not as usual."""

    def names(self, *roles: Role) -> list[str]:
        """Returns the columns with one of these roles, in order."""
        return [column.name for column in self.columns if column.role in roles]


def examine(path: Path, shown: str, target: str) -> TableFacts:
    """Return the facts of the table in a file.

    Raises BadInput when the file or the target cannot be used, and ToolUnavailable without the libraries of tables.
    """
    try:
        plain = _frame(path, shown)
        texts = dict.fromkeys(_with_leading_zeros(path, shown, plain), "string")
        times = [str(name) for name in plain.columns if name not in texts and _is_time(plain[name])]
        frame = _frame(path, shown, types=texts, parse_dates=times)
    except StepError as error:
        raise BadInput(error.message, code=error.code, hint=error.hint) from error
    except ModuleNotFoundError as error:
        hint_of_extra = 'pip install "e2i[data]"'
        raise ToolUnavailable("data", f"reading {shown}: {error}", code="tool-missing", hint=hint_of_extra) from error
    names = [str(name) for name in frame.columns]
    if target not in names:
        raise BadInput(f'{shown} has no column "{target}"', code="unknown-column", hint=hint(target, names, most=40))
    if frame[target].nunique() < 2:
        raise BadInput(
            f'the target "{target}" has fewer than two different values', code="bad-target", hint="name another column"
        )
    columns = tuple(
        Column(
            name,
            "target" if name == target else _role(frame[name], name in times),
            "string" if name in texts else "time" if name in times else None,
        )
        for name in names
    )
    return TableFacts(
        columns,
        target,
        _task(frame[target]),
        _entity(frame, columns),
        bool(frame[target].notna().all()),
        _dialect(path, shown),
    )


def _dialect(path: Path, shown: str) -> dict[str, str]:
    """Return what the first bytes of a text file tell of how it is written."""
    kind = formats.of(shown)
    if kind not in ("csv", "tsv"):
        return {}
    params = LoadParams(path=shown)
    with streams.binary(path) as file:
        found = layout_of(file, {name: getattr(params, name) for name in LoadParams.model_fields}, kind, shown)
    usual = {
        "delimiter": "," if kind == "csv" else "\t",
        "quote": '"',
        "escape": None,
        "decimal": ".",
        "thousands": None,
    }
    present = {name: getattr(found, name) for name in usual}
    return {name: "" if value is None else value for name, value in present.items() if value != usual[name]}


def _frame(path: Path, shown: str, **how: Any) -> pd.DataFrame:
    """Return the first rows, as ``data.load`` reads them."""
    frame: pd.DataFrame = read(path, LoadParams(path=shown, rows=ROWS, **how)).hand_over().to_pandas()
    return frame


def _with_leading_zeros(path: Path, shown: str, frame: pd.DataFrame) -> Iterator[str]:
    """Yields whole-number columns of a text file that are identifiers such as 00731."""
    import pandas as pd

    if formats.of(shown) not in ("csv", "tsv"):
        return
    numbers = [str(name) for name in frame.columns if pd.api.types.is_numeric_dtype(frame[name])]
    if numbers:
        written = _frame(path, shown, columns=dict.fromkeys(numbers, "string"))
        yield from (name for name in numbers if written[name].str.match(r"0\d").eq(True).any())


def _is_time(column: pd.Series[Any]) -> bool:
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column):
        return False  # the file says so itself
    present = column.dropna()
    if not len(present) or not present.map(lambda value: isinstance(value, str)).all():
        return False
    return bool(present.map(lambda value: TIME.fullmatch(value) is not None).all())


def _role(column: pd.Series[Any], is_time: bool) -> Role:
    import pandas as pd

    distinct, present = int(column.nunique()), int(column.notna().sum())
    if not present:
        return "empty"
    if is_time or pd.api.types.is_datetime64_any_dtype(column):
        return "time"
    if distinct == 1 and present == len(column):
        return "constant"
    if KEY.search(str(column.name)):
        return "key"
    if _is_numbering(column):
        return "key"
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return "feature"
    if distinct == present > 20:
        return "key"
    return "text" if distinct > min(MOST_VALUES, present / 2) else "feature"


def _is_numbering(column: pd.Series[Any]) -> bool:
    """Return True for whole numbers that count the rows, in whatever order: they tell rows apart, and nothing else."""
    import pandas as pd

    if not pd.api.types.is_integer_dtype(column) or column.isna().any() or len(column) <= 20:
        return False
    return bool(column.is_unique and int(column.max()) - int(column.min()) == len(column) - 1)


def _task(column: pd.Series[Any]) -> Literal["classification", "regression"]:
    import pandas as pd

    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        return "classification"
    values = column.dropna()
    is_whole = bool((values == values.round()).all())
    return "classification" if is_whole and values.nunique() <= MOST_CLASSES else "regression"


def _entity(frame: pd.DataFrame, columns: tuple[Column, ...]) -> str | None:
    """The key that rows share most: all rows of one thing must fall in one part of a split."""
    shared = {
        column.name: int(frame[column.name].nunique())
        for column in columns
        if column.role == "key" and frame[column.name].notna().all()
    }
    repeated = {name: count for name, count in shared.items() if 20 <= count < len(frame)}
    return min(repeated, key=lambda name: repeated[name]) if repeated else None

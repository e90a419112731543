"""Read data files of other programs. In: a CSV, Parquet or Arrow file. Out: a typed frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2i.errors import StepError
from e2i.spec.suggest import few, hint, repeated

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "feather",
    ".arrow": "feather",
}
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def read(
    path: Path,
    shown: str,
    *,
    kind: str | None,
    columns: Sequence[str] | None,
    rows: int | None,
    types: Mapping[str, str],
    times: Sequence[str],
) -> pd.DataFrame:
    """Return the file's rows. ``shown`` is the file's name in messages.

    Raises StepError when the file does not exist, has an unknown format, cannot be read, has no rows, lacks a column,
    or has a value that does not match its column's type.
    """
    import pandas as pd
    import pyarrow as pa

    if not path.is_file():
        raise StepError(f"there is no file {shown}", code="no-such-file", hint=_neighbours(path))
    kind = kind or _kind(path, shown)
    try:
        present = _header(path, kind)
        _require(shown, present, [*(columns or ()), *types, *times])
        wanted = list(columns or present)
        typed = [name for name in wanted if name in types or name in times]
        frame = _body(path, kind, wanted, rows, as_text=typed)
    except (
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        UnicodeError,
        pa.ArrowException,
        OSError,
        EOFError,
    ) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise StepError(f"{shown} cannot be read as {kind}: {reason[0][:300]}", code="unreadable-file") from error
    if frame.empty:
        raise StepError(f"{shown} has no rows", code="empty-table")
    for name in typed:
        frame[name] = _typed(frame[name], types.get(name, "time"), shown)
    return frame


def _kind(path: Path, shown: str) -> str:
    name = path.name.lower()
    kind = next((kind for suffix, kind in SUFFIXES.items() if name.endswith(suffix)), None)
    if kind is None:
        raise StepError(
            f"the format of {shown} cannot be derived from its suffix",
            code="unknown-format",
            hint=f"set `format`, or use one of the suffixes {', '.join(SUFFIXES)}",
        )
    return kind


def _neighbours(path: Path) -> str | None:
    return hint(path.name, [item.name for item in path.parent.iterdir()]) if path.parent.is_dir() else None


def _header(path: Path, kind: str) -> list[str]:
    """Return the names of the columns exactly as written in the file."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    match kind:
        case "csv":
            # Read as a row: as a header, pandas would silently rename a second "a" to "a.1".
            first = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False)
            return [str(name) for name in first.iloc[0]]
        case "parquet":
            return list(pq.read_schema(path).names)
        case _:
            with pa.memory_map(str(path)) as source:
                return list(pa.ipc.open_file(source).schema.names)


def _require(shown: str, present: Sequence[str], wanted: Sequence[str]) -> None:
    if twice := repeated(present):
        raise StepError(f"{shown} has duplicate column names: {few(twice)}", code="duplicate-column")
    known = set(present)
    absent = [name for name in wanted if name not in known]
    if absent:
        raise StepError(
            f"{shown} has no column {few(list(map(repr, absent)))}",
            code="unknown-column",
            hint=hint(absent[0], present, most=40),
        )


def _body(path: Path, kind: str, columns: list[str], rows: int | None, *, as_text: list[str]) -> pd.DataFrame:
    """Return the rows. Columns in ``as_text`` are read as text, so that their type is not guessed."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    match kind:
        case "csv":
            frame = pd.read_csv(path, usecols=columns, nrows=rows, dtype=dict.fromkeys(as_text, str), low_memory=False)
            return frame[columns]
        case "parquet":
            table = pq.read_table(path, columns=columns, partitioning=None)
        case _:
            with pa.memory_map(str(path)) as source:
                table = pa.ipc.open_file(source).read_all().select(columns)
    result: pd.DataFrame = table.slice(0, rows).to_pandas(ignore_metadata=True)
    return result


def _typed(column: pd.Series[Any], kind: str, shown: str) -> pd.Series[Any]:
    """Return the column as that type; missing values stay missing. Raises StepError naming the first invalid value."""
    import pandas as pd

    present = column.notna()
    match kind:
        case "string":
            return column.astype("string")
        case "time":
            result: pd.Series[Any] = pd.to_datetime(column, utc=True, format="ISO8601", errors="coerce")
        case "boolean":
            result = column.astype("string").str.lower().map(BOOLEANS).astype("boolean")
        case "integer":  # through text, not through floats: identifiers have more than 53 bits
            text = column.astype("string").str.replace(r"\.0*$", "", regex=True)
            result = text.where(text.str.fullmatch(r"[+-]?[0-9]{1,18}").fillna(False)).astype("Int64")
        case _:
            result = pd.to_numeric(column, errors="coerce").astype("float64")
    unfit = present & result.isna()
    if unfit.any():
        first = int(unfit.to_numpy().argmax())
        raise StepError(
            f"{shown}: column {column.name!r} is not a valid {kind} in {int(unfit.sum())} rows, "
            f"first in data row {first + 1}: {str(column.iloc[first])[:80]!r}",
            code="bad-value",
        )
    return result

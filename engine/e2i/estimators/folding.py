"""Assign rows to folds, and prove that no entity or time leaks. In: keys and a strategy. Out: a role for each row.

A split of the folds is an array with a role for each row: 0 not used, 1 train, 2 test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from e2i.catalog.artifacts import Folds, Table
from e2i.catalog.context import StepContext
from e2i.errors import StepError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Codes = npt.NDArray[np.intp]
    Roles = npt.NDArray[np.int8]

UNUSED, TRAIN, TEST = 0, 1, 2
Strategy = Literal["kfold", "stratified", "group", "stratified_group", "time", "group_time"]
GROUPED = ("group", "stratified_group", "group_time")
STRATIFIED = ("stratified", "stratified_group")
TIMED = ("time", "group_time")
MOST_CLASSES = 20
"""Different numbers that are taken for classes, however rare each is."""
DAY = 86_400_000_000_000


class Keys(Struct, frozen=True, eq=False):
    """The columns that folds are made by: a code for each row's group and class, and a number for its time."""

    rows: int
    groups: Codes | None = None
    classes: Codes | None = None
    times: npt.NDArray[np.float64] | None = None


class Division(Struct, frozen=True):
    """How rows are divided. ``gap`` is in the unit of the times: days for timestamps."""

    strategy: Strategy
    folds: int
    gap: float = 0.0
    repeats: int = 1


def splits(keys: Keys, params: Division, seed: int) -> list[Roles]:
    """Return the role of each row in each split, proven to be without leaks. Raises StepError."""
    import numpy as np

    if params.strategy in TIMED:
        made = list(_in_time(keys, params.folds, params.gap))
    else:
        made = []
        for repeat in range(params.repeats):
            fold = _folded(keys, params.folds, np.random.default_rng((seed, repeat)))
            made += [np.where(fold == number, TEST, TRAIN).astype(np.int8) for number in range(params.folds)]
    for number, roles in enumerate(made, start=1):
        if not (roles == TEST).any() or not (roles == TRAIN).any():
            raise StepError(
                f"split {number} of {len(made)} has no rows to {'test' if (roles == TRAIN).any() else 'train on'}",
                code="empty-part",
                hint="use fewer folds, a smaller gap, or more rows",
            )
        prove(keys, roles, params.gap)
    return made


def prove(keys: Keys, roles: Roles, gap: float) -> None:
    """Check a finished split. Raises StepError when a group is trained on and tested, or a time is not before."""
    import numpy as np

    train, test = roles == TRAIN, roles == TEST
    if keys.groups is not None and len(shared := np.intersect1d(keys.groups[train], keys.groups[test])):
        raise StepError(f"{len(shared)} groups are trained on and tested in one split", code="leakage")
    if keys.times is not None and not keys.times[train].max() + gap < keys.times[test].min():
        raise StepError("a split is trained on rows that are not before the tested ones", code="leakage")


def times(column: pd.Series[Any]) -> npt.NDArray[np.float64]:
    """Return times as numbers: days since 1970 for timestamps. Raises StepError."""
    import numpy as np
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column):
        plain = pd.DatetimeIndex(column).tz_localize(None) if column.dt.tz is None else pd.DatetimeIndex(column)
        found = plain.tz_convert(None) if plain.tz is not None else plain
        return np.asarray(found.to_numpy().astype("datetime64[ns]").astype(np.int64) / DAY, dtype=np.float64)
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=np.float64)
    raise StepError(
        f"column {column.name!r} has {column.dtype} values, which have no order in time",
        code="not-a-time",
        hint="add it to parse_dates of data.load",
    )


def require_classes(column: pd.Series[Any], folds: int) -> None:
    """Raise StepError for numbers that are no classes: many fractions, or integers that hardly a fold has in common."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        return
    counts = column.value_counts()
    has_fractions = any(float(value) % 1 != 0 for value in counts.index)
    if len(counts) > MOST_CLASSES and (has_fractions or counts[counts < folds].sum() > counts.sum() / 2):
        raise StepError(
            f"{column.name!r} is a number with {len(counts):,} different values, which are no classes to stratify by",
            code="bad-target",
            hint="use strategy kfold or group, or stratify by a column of its intervals",
        )


def _folded(keys: Keys, folds: int, random: np.random.Generator) -> Codes:
    """Return the number of each row's fold."""
    import numpy as np

    if keys.groups is not None:
        return _grouped(keys.groups, keys.classes, folds, random)[keys.groups]
    order = random.permutation(keys.rows)
    if keys.classes is not None:  # dealt one after the other: each fold gets its share of each class
        order = order[np.argsort(keys.classes[order], kind="stable")]
    fold = np.empty(keys.rows, dtype=np.intp)
    fold[order] = np.arange(keys.rows) % folds
    return fold


def _grouped(groups: Codes, classes: Codes | None, folds: int, random: np.random.Generator) -> Codes:
    """Return the fold of each group: the largest groups first, each where rows of its classes are fewest.

    A fold's load is the sum of its shares of each class, squared, so that no class crowds in one fold.
    """
    import numpy as np

    kinds = np.zeros(len(groups), dtype=np.intp) if classes is None else classes
    counts = np.zeros((int(groups.max()) + 1, int(kinds.max()) + 1))
    np.add.at(counts, (groups, kinds), 1)
    shares = counts / counts.sum(axis=0)
    order = random.permutation(len(counts))
    order = order[np.argsort(-shares[order].sum(axis=1), kind="stable")]
    loads = np.zeros((folds, counts.shape[1]))
    chosen = np.empty(len(counts), dtype=np.intp)
    for group in order:
        cost = ((loads + shares[group]) ** 2).sum(axis=1) - (loads**2).sum(axis=1)
        fold = int(np.argmin(cost))
        loads[fold] += shares[group]
        chosen[group] = fold
    return chosen


def _in_time(keys: Keys, folds: int, gap: float) -> Iterator[Roles]:
    """Yield splits in which training ends `gap` before testing begins. Rows of one time are in one fold."""
    import numpy as np

    assert keys.times is not None
    moments, codes, counts = np.unique(keys.times, return_inverse=True, return_counts=True)
    middles = (np.cumsum(counts) - counts / 2) / keys.rows
    block = np.minimum((middles * (folds + 1)).astype(np.intp), folds)[codes]
    for number in range(1, folds + 1):
        test = block == number
        if not test.any():
            raise StepError(
                f"{len(moments)} different times are too few for {folds} folds", code="empty-part", hint="use fewer"
            )
        train = (block < number) & (keys.times + gap < keys.times[test].min())
        if keys.groups is not None:
            train &= ~np.isin(keys.groups, keys.groups[test])
        yield np.where(test, TEST, np.where(train, TRAIN, UNUSED)).astype(np.int8)


def read(folds: Folds, table: Table, ctx: StepContext) -> list[Roles]:
    """Return the role of each row of the table in each split. Raises StepError for the folds of another table."""
    import pyarrow as pa
    import pyarrow.ipc

    if folds.table != table.digest:
        raise StepError(
            f"the folds were made from another table ({folds.rows:,} rows; this one has {table.rows:,})",
            code="fold-rows",
            hint="make the folds from the table that they are used with",
        )
    with pa.memory_map(str(ctx.open(folds))) as source:
        found = pyarrow.ipc.open_file(source).read_all()
    return [column.to_numpy() for column in found.columns]


def write(made: Sequence[Roles], path: Any) -> None:
    """Write splits as one column each of an Arrow file."""
    import pyarrow as pa
    import pyarrow.ipc

    table = pa.table({f"split_{number}": roles for number, roles in enumerate(made)})
    with pa.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)

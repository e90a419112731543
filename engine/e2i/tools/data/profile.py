"""Describe the columns of a table. In: an Arrow table. Out: facts by column, and what the page's plots show.

All rows count for missing values and for keys. Everything else is of a sample, if the table is larger than it, so
memory and time depend on the sample and on single columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.estimators import alone
from e2i.tools.data import splits
from e2i.tools.data.looking import ColumnFacts, Frequent

if TYPE_CHECKING:
    import pyarrow as pa

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
FREQUENT = 10
MOST_CLASSES = 10
"""A whole number with at most so many values is a class when it is the target, and has single-feature AUCs."""
MOST_CHECKED = 50
"""Columns that are unique in the sample whose uniqueness is tested on all rows."""
MOST_VALUES = 10_000_000
"""Values of all columns that are looked at together."""
LEAST_ROWS = 1_000
LONGEST = 100


class Column(Struct, frozen=True, eq=False):
    """A column's sample. ``numbers``: float64 with NaN, for numbers and times. ``codes``: from 0, -1 for null, for
    everything else with values that can be counted.
    """

    name: str
    type: str
    nulls: int
    numbers: Any = None
    codes: Any = None
    values: Any = None
    """The value of each code, as an Arrow array."""
    is_time: bool = False
    sampled: Any = None


class Profile(Struct, frozen=True, eq=False):
    """What is known of a table."""

    facts: Mapping[str, ColumnFacts]
    columns: Mapping[str, Column]
    rows: int
    looked_at: int
    target: str | None


def of(table: pa.Table, target: str | None, most: int, seed: int) -> Profile:
    """Return the profile of a table."""
    import pyarrow as pa

    rows = table.num_rows
    most = min(most, max(LEAST_ROWS, MOST_VALUES // max(table.num_columns, 1)))
    chosen = None if rows <= most else pa.array(splits.sample(rows, most, seed))
    columns = {name: _column(name, table[name], chosen) for name in table.column_names}
    judge = _Target(columns[target]) if target is not None else None
    facts: dict[str, ColumnFacts] = {}
    checked = 0
    for name, column in columns.items():
        found = _facts(column, judge if name != target else None)
        may_be_key = found.type not in ("double", "float", "halffloat") and not column.nulls
        if may_be_key and found.distinct == len(column.sampled) > 0 and checked < MOST_CHECKED:
            checked += 1
            is_key = chosen is None or _is_unique(table[name])
            found = found.model_copy(update={"key": is_key})
        facts[name] = found
    return Profile(facts, columns, rows, rows if chosen is None else most, target)


def notes(profile: Profile) -> Iterator[str]:
    """Yield what deserves attention."""
    facts = profile.facts
    if not profile.rows:
        yield "the table has no rows"
        return
    if profile.looked_at < profile.rows:
        yield (
            f"{profile.looked_at:,} of {profile.rows:,} rows were chosen at random; missing values and keys are those "
            "of all rows"
        )
    for name, found in facts.items():
        if found.suspect:
            figure = f"AUC {found.auc:.4f}" if found.auc is not None else f"rank correlation {found.association:.4f}"
            yield (
                f'"{name}" alone predicts "{profile.target}" almost perfectly ({figure}): check that it is known '
                "before the target is"
            )
    if profile.target is not None and facts[profile.target].nulls:
        yield f'the target "{profile.target}" is missing in {facts[profile.target].nulls:,} rows'
    if constant := [name for name, found in facts.items() if found.constant]:
        yield f"at most one value: {_few(constant)}"
    if empty := [name for name, found in facts.items() if profile.rows and found.nulls > profile.rows / 2]:
        yield f"more than half missing: {_few(empty)}"
    if odd := [name for name, found in facts.items() if found.not_finite]:
        yield f"NaN or infinite numbers: {_few(odd)}"


def correlations(profile: Profile, most: int) -> tuple[list[str], Any]:
    """Return the names of numbers that vary, at most ``most``, and their rank correlations with each other."""
    import pandas as pd

    names = [
        name
        for name, column in profile.columns.items()
        if column.numbers is not None and not column.is_time and not profile.facts[name].constant
    ]
    if profile.target is not None:  # the most informative first
        names.sort(key=lambda name: -(profile.facts[name].association or (name == profile.target) * 2))
    names = names[:most]
    frame = pd.DataFrame({name: profile.columns[name].numbers for name in names})
    return names, frame.rank().corr().to_numpy()


def _column(name: str, whole: Any, chosen: Any) -> Column:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    sampled = (whole if chosen is None else whole.take(chosen)).combine_chunks()
    kind = sampled.type
    known = {"name": name, "type": str(whole.type), "nulls": whole.null_count, "sampled": sampled}
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind) or pa.types.is_duration(kind):
        ticks = sampled.cast(pa.int32() if kind.bit_width == 32 else pa.int64()).cast(pa.float64(), safe=False)
        return Column(**known, numbers=_floats(ticks), is_time=True)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return Column(**known, numbers=_floats(sampled.cast(pa.float64(), safe=False)))
    if pa.types.is_dictionary(kind):
        sampled = sampled.cast(kind.value_type)
    if pa.types.is_nested(kind) or pa.types.is_null(kind):
        return Column(**known)
    encoded = pc.dictionary_encode(sampled)
    codes = np.asarray(encoded.indices.fill_null(-1)).astype(np.int64)
    return Column(**known, codes=codes, values=encoded.dictionary)


def _floats(array: Any) -> Any:
    return array.to_numpy(zero_copy_only=False).astype("float64")


def _is_unique(whole: Any) -> bool:
    import pyarrow.compute as pc

    return bool(pc.count_distinct(whole, mode="all").as_py() == len(whole))


def _facts(column: Column, target: _Target | None) -> ColumnFacts:
    import pyarrow.compute as pc

    found: dict[str, Any] = {"type": column.type, "nulls": column.nulls}
    if column.numbers is not None or column.codes is not None:
        distinct = pc.count_distinct(column.sampled).as_py() if column.numbers is not None else len(column.values)
        found |= {"distinct": distinct, "constant": distinct <= 1}
    elif column.type == "null":
        found |= {"distinct": 0, "constant": True}
    if column.numbers is not None:
        found |= _times(column) if column.is_time else _numbers(column)
    elif column.codes is not None:
        found |= _categories(column)
    if target is not None:
        found |= target.judge(column)
    return ColumnFacts.model_validate(found)


def _numbers(column: Column) -> dict[str, Any]:
    import numpy as np

    finite = column.numbers[np.isfinite(column.numbers)]
    present = len(column.sampled) - column.sampled.null_count
    facts: dict[str, Any] = {"not_finite": present - len(finite)}
    if not len(finite):
        return facts
    with np.errstate(over="ignore", invalid="ignore"):
        measured = {"mean": float(finite.mean()), "deviation": float(finite.std())}
        quantiles = np.quantile(finite, QUANTILES)
    return {
        **facts,
        **_ends(column, finite),
        **{name: value for name, value in measured.items() if math.isfinite(value)},
        "quantiles": {
            str(at): float(value) for at, value in zip(QUANTILES, quantiles, strict=True) if np.isfinite(value)
        },
    }


def _ends(column: Column, finite: Any) -> dict[str, Any]:
    """Return minimum and maximum: of whole numbers exactly."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_integer(column.sampled.type):
        ends = pc.min_max(column.sampled).as_py()
        return {"minimum": ends["min"], "maximum": ends["max"]}
    return {"minimum": float(finite.min()), "maximum": float(finite.max())}


def _times(column: Column) -> dict[str, Any]:
    import numpy as np

    if np.isnan(column.numbers).all():
        return {}
    ends = (np.nanargmin(column.numbers), np.nanargmax(column.numbers))
    least, largest = (str(column.sampled[int(at)].as_py()) for at in ends)
    return {"minimum": least, "maximum": largest}


def _categories(column: Column) -> dict[str, Any]:
    import numpy as np

    counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.values))
    order = np.argsort(-counts, kind="stable")[:FREQUENT]
    frequent = [Frequent(value=_text(column.values[int(at)].as_py()), rows=int(counts[at])) for at in order]
    return {"frequent": tuple(frequent)}


class _Target:
    """The column to be predicted: a number, or classes."""

    def __init__(self, column: Column) -> None:
        import numpy as np

        numbers, self._codes = column.numbers, column.codes
        if numbers is not None and not column.is_time:
            values, codes = np.unique(numbers[~np.isnan(numbers)], return_inverse=True)
            if 2 <= len(values) <= MOST_CLASSES and bool((values == np.round(values)).all()):
                self._codes = np.full(len(numbers), -1, dtype=np.int64)
                self._codes[~np.isnan(numbers)] = codes
        self._numbers = numbers if self._codes is None else None
        self._present = (
            self._codes >= 0 if self._codes is not None else ~np.isnan(numbers) if numbers is not None else None
        )

    def judge(self, column: Column) -> dict[str, Any]:
        """Return the association of a column with the target."""
        if self._present is None or not self._present.any() or (column.numbers is None and column.codes is None):
            return {}
        if self._numbers is not None:
            return self._of_number(column)
        return self._of_classes(column)

    def _of_number(self, column: Column) -> dict[str, Any]:
        if column.numbers is None:
            return {"association": alone.correlation_ratio(column.codes, _finite(self._numbers))}
        figure = abs(alone.rank_correlation(column.numbers, self._numbers))
        return {"association": figure, "suspect": figure > alone.SUSPECT_RANK}

    def _of_classes(self, column: Column) -> dict[str, Any]:
        import numpy as np

        present, classes = self._present, self._codes[self._present]
        if column.numbers is not None:
            figure = alone.correlation_ratio(self._codes, _finite(alone.ranks(column.numbers)))
        else:
            figure = alone.cramers_v(column.codes, self._codes)
        found: dict[str, Any] = {"association": figure}
        if 2 <= len(labels := np.unique(classes)) <= MOST_CLASSES:
            areas = [
                self._area(column, present, classes == label) for label in labels[: 1 if len(labels) == 2 else None]
            ]
            found["auc"] = float(np.mean(areas))
            found["suspect"] = found["auc"] > alone.SUSPECT_AUC
        return found

    def _area(self, column: Column, present: Any, positive: Any) -> float:
        if column.numbers is not None:
            return alone.area(column.numbers[present], positive)
        return alone.area_of_categories(column.codes[present], positive)


def _finite(values: Any) -> Any:
    import numpy as np

    return np.where(np.isfinite(values), values, np.nan)


def _text(value: Any) -> str:
    text = value.hex() if isinstance(value, bytes) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _few(names: list[str]) -> str:
    from e2i.spec.suggest import few

    return few(names)

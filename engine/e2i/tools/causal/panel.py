"""Read a table of units and periods. In: a frame with one row per unit and period. Out: a panel, and warnings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.errors import StepError
from e2i.spec.suggest import few
from e2i.tools.causal.did import Panel
from e2i.tools.causal.panels import DidParams
from e2i.tools.causal.question import codes
from e2i.tools.causal.question import numbers as outcome_of

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix


FEWEST = 4
"""Fewest units with all periods: two treated ones and two that are not."""
DIGITS = re.compile(r"(\d+)")


class Read(Struct, frozen=True, eq=False):
    """A panel with the names of its periods, and what was left out of it."""

    panel: Panel
    periods: list[str]
    warnings: list[str]


def read(frame: pd.DataFrame, params: DidParams) -> Read:
    """Return the panel. Raises StepError for rows that are none."""
    import numpy as np
    import pandas as pd

    units, times = codes(frame[params.unit], params.unit), frame[params.time]
    if times.isna().any():
        raise StepError(f"{params.time!r} is missing in {int(times.isna().sum())} rows", code="bad-group")
    periods = _ordered(times.unique().tolist(), params.time)
    numbers = pd.Index(periods).get_indexer(pd.Index(times))
    outcome = _matrix(units, numbers, outcome_of(frame, params.outcome), params)
    treated = _matrix(units, numbers, _treated(frame[params.treatment]), params)
    whole = ~np.isnan(outcome).any(axis=1)
    warnings = []
    if not whole.all():
        warnings.append(_sparse(np.isnan(outcome), [_name(one) for one in periods], params))
    first = _first(treated[whole], params)
    always = first == 0
    if always.any():
        warnings.append(f"{int(always.sum())} units are treated from the first period on and were left out")
    kept = np.flatnonzero(whole)[~always]
    groups = np.arange(len(kept))
    if params.group is not None:
        by_unit = pd.Series(codes(frame[params.group], params.group)).groupby(units)
        if (by_unit.nunique() > 1).any():
            message = f"a unit is in several of {params.group!r}"
            raise StepError(message, code="bad-group", hint="a group of a unit is the same in all periods")
        groups = by_unit.first().to_numpy()[kept]
    return Read(Panel(outcome[kept], first[~always], groups), [_name(one) for one in periods], warnings)


def left_out(read: Read, absent: Mapping[int, Sequence[int]], params: DidParams) -> list[str]:
    """Return a warning that names the treated periods that cannot be compared, by the units' first period."""
    if not absent:
        return []
    named = []
    for group, periods in absent.items():
        every = len(periods) == len(read.periods) - group
        which = "all periods" if every else few([read.periods[at] for at in periods])
        named.append(f"{which} of the units treated from {read.periods[group]} on")
    untreated = "never treated" if params.controls == "never" else "not treated yet"
    return [
        f"left out of the effect, as fewer than two of these units, or of those {untreated}, are there to compare: "
        + "; ".join(named)
    ]


def _ordered(periods: list[Any], time: str) -> list[Any]:
    """Return the periods in order. Raises StepError for texts that have another order than their numbers."""
    if not isinstance(periods[0], str):
        return sorted(periods)
    found = sorted(periods)
    counted = sorted(periods, key=lambda text: [int(part) if part.isdigit() else part for part in DIGITS.split(text)])
    wrong = next(((one, other) for one, other in zip(found, counted, strict=True) if one != other), None)
    if wrong is not None:
        message = f"the periods in {time!r} are texts, in whose order {wrong[0]!r} comes before {wrong[1]!r}"
        hint = "make numbers or dates of them with table.derive"
        raise StepError(message, code="not-a-number", hint=hint)
    return found


def _sparse(absent: Matrix, periods: list[str], params: DidParams) -> str:
    """Return the warning of units without some periods. Raises StepError when too few have all of them."""
    lacking = absent.any(axis=1)
    most = int(absent.sum(axis=0).argmax())
    where = f"{periods[most]} is absent in {int(absent[:, most].sum()):,} of {len(absent):,}"
    whole = int((~lacking).sum())
    if whole < FEWEST:
        raise StepError(
            f"{whole} of {len(absent):,} units have a row in each of the {len(periods)} periods; {where}",
            code="few-rows",
            hint=f"choose periods that most units have, with data.select, or coarser ones than {params.time!r}",
        )
    return f"{int(lacking.sum()):,} units lack a period and were left out ({where})"


def _matrix(units: Matrix, numbers: Matrix, values: Matrix, params: DidParams) -> Matrix:
    """Return one row per unit, one column per period, NaN where there is no row."""
    import numpy as np

    shape = (int(units.max()) + 1, int(numbers.max()) + 1)
    cells = units * shape[1] + numbers
    if len(np.unique(cells)) < len(cells):
        raise StepError(
            f"some {params.unit!r} have several rows of one {params.time!r}",
            code="bad-group",
            hint="aggregate them with sql.query first",
        )
    found = np.full(shape, np.nan)
    found[units, numbers] = values
    return found


def _treated(column: pd.Series[Any]) -> Matrix:
    import numpy as np

    values = column.dropna().unique()
    if column.isna().any() or not set(values) <= {0, 1}:
        raise StepError(
            f"the treatment {column.name!r} is not 0 or 1 in all rows",
            code="bad-treatment",
            hint="it says of each row whether the unit is treated in that period",
        )
    return column.to_numpy(dtype=np.float64)


def _first(treated: Matrix, params: DidParams) -> Matrix:
    """Return the first treated period of each unit, the number of periods for none."""
    import numpy as np

    if (np.diff(treated, axis=1) < 0).any():
        ended = int((np.diff(treated, axis=1) < 0).any(axis=1).sum())
        raise StepError(
            f"the treatment {params.treatment!r} ends for {ended} units",
            code="bad-treatment",
            hint="compare the periods up to its end",
        )
    found: Matrix = treated.shape[1] - treated.sum(axis=1).astype(int)
    return found


def _name(period: Any) -> str:
    import pandas as pd

    return period.date().isoformat() if isinstance(period, pd.Timestamp) else str(period)

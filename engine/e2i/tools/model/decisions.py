"""Measure what a model decides: the cost of its decisions, and its intervals. In: rows with predictions. Out: values.

Each figure is the mean of a value of each row, so that it has intervals and slices as metrics have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from msgspec import Struct, field

from e2i.errors import StepError
from e2i.estimators import thresholds
from e2i.estimators.thresholds import OUTCOMES

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix, Scorer
    from e2i.estimators.thresholds import Decided, Outcome
    from e2i.tools.model.params.costs import Costs

DIRECTIONS: Mapping[str, Literal["maximize", "minimize"]] = {
    "cost": "minimize",
    "coverage": "maximize",
    "width": "minimize",
    "set_size": "minimize",
}
"""Figure → its better direction. Coverage is good at its level; below it is worse than above."""
OF_TASK = {"regression": ("coverage", "width"), "classification": ("cost", "coverage", "set_size")}


class Decisions(Struct, frozen=True, eq=False):
    """A value of each row for each figure, (n,). ``idle``: the cost of the better decision that is equal for all, of
    those that the model's constraint allows.
    """

    values: Mapping[str, Matrix] = field(default_factory=dict)
    idle: float | None = None

    def part(self, places: Matrix) -> Decisions:
        """Return those of some of the rows, by their positions."""
        return Decisions({name: values[places] for name, values in self.values.items()})

    def means(self) -> dict[str, float]:
        """Return the figures."""
        return {name: float(values.mean()) for name, values in self.values.items()}


def costs_of(costs: Costs, frame: pd.DataFrame) -> dict[Outcome, Matrix]:
    """Return the cost of each outcome for each row, (n,). Raises StepError for a column that is not of numbers."""
    import numpy as np
    import pandas as pd

    found: dict[Outcome, Matrix] = {}
    for name in OUTCOMES:
        given = getattr(costs, name)
        if not isinstance(given, str):
            found[name] = np.full(len(frame), float(given))
            continue
        if given not in frame.columns:
            raise StepError(f"the table has no column {given!r}, the cost {name}", code="unknown-column")
        values = pd.to_numeric(frame[given], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        if not np.isfinite(values).all():
            raise StepError(
                f"the column {given!r}, the cost {name}, has values that are missing or no numbers",
                code="bad-cost",
                hint="fill them, for example with table.fill",
            )
        found[name] = values
    return found


def costly(
    labels: Matrix, decided: Matrix, costs: Mapping[Outcome, Matrix], constraint: Mapping[Decided, str]
) -> Decisions:
    """Return the cost of each row's decision. ``labels`` and ``decided`` (n,) are 1 for positive ones.

    ``constraint``: limits that a decision for all rows must keep to be compared with.
    """
    import numpy as np

    as_positive = np.where(labels == 1, costs["tp"], costs["fp"])
    as_negative = np.where(labels == 1, costs["fn"], costs["tn"])
    curve = thresholds.curve(labels, np.zeros(len(labels)), costs)  # at 0 all rows are positive, at 0.5 none
    assert curve.cost is not None
    equal = curve.cost[thresholds.allowed(curve, constraint)]
    idle = float(equal.min()) if len(equal) else None
    return Decisions({"cost": np.where(decided == 1, as_positive, as_negative)}, idle)


def covered(scorer: Scorer, frame: pd.DataFrame, labels: Matrix, predicted: Matrix) -> dict[str, Matrix]:
    """Return whether each row's interval or set contains the truth, and its size; nothing of a model without any.

    ``labels`` and ``predicted`` are in the order of the model's classes.
    """
    import numpy as np

    if "conformal" not in scorer.manifest:
        return {}
    bounds = scorer.bounds(frame, predicted)
    if scorer.manifest["classes"] is None:
        lower, upper = bounds["lower"], bounds["upper"]
        return {"coverage": ((lower <= labels) & (labels <= upper)).astype(np.float64), "width": upper - lower}
    sets = np.column_stack(list(bounds.values()))
    inside = sets[np.arange(len(labels)), labels]
    return {"coverage": inside.astype(np.float64), "set_size": sets.sum(axis=1).astype(np.float64)}

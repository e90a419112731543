"""Fit a recipe to training rows. In: rows, operations and the target. Out: fitted steps, and the prepared rows.

scikit-learn is used here only, to fit. ``preparing`` applies what was fitted: to the training rows too, except for
target encoding, whose training rows are cross-fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.errors import StepError
from e2i.estimators import prepare_numbers, prepare_values
from e2i.estimators.recipe_operations import KINDS, MOST_CELLS, MOST_COLUMNS, WHOLE, Kind
from e2i.estimators.recipes import Operation
from e2i.spec.suggest import few, hint

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.encoding import Feature, Matrix
    from e2i.estimators.preparing import Columns, Step

UNITS = {"number": "a number", "text": "a text", "time": "a time"}


class Target(Struct, frozen=True, eq=False):
    """What some operations learn from: the target of the training rows, (n,).

    ``labels`` are positions in ``classes``, which are None for regression. ``groups``: rows that belong together, such
    as those of one customer, are not used to encode each other.
    """

    name: str
    labels: Matrix
    classes: tuple[Any, ...] | None
    seed: int = 0
    groups: Matrix | None = None


class Preparation(Struct, frozen=True, eq=False):
    """A fitted recipe. ``features`` are the columns of the table that it takes."""

    features: tuple[Feature, ...]
    steps: tuple[Step, ...]

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the prepared columns of a table. Raises StepError when the table does not match."""
        from e2i.estimators import scoring

        try:
            return scoring.prepare(frame, self.features, self.steps)
        except scoring.ScoringError as error:
            raise StepError(str(error), code="bad-features") from error


def fit(
    frame: pd.DataFrame, features: Sequence[Feature], operations: Sequence[Operation], target: Target
) -> tuple[Preparation, pd.DataFrame]:
    """Fit each operation to the columns that those before it made.

    Return what was fitted, and the prepared training rows. Raises StepError naming the operation.
    """
    import pandas as pd

    from e2i.estimators import encoding

    try:
        columns = encoding.columns_of(frame, features)
    except encoding.ScoringError as error:
        raise StepError(str(error), code="bad-features") from error
    steps: list[Step] = []
    removed: set[str] = set()
    for number, operation in enumerate(operations):
        about = f"step {number + 1} of the recipe, {operation.op}"
        names = _chosen(columns, operation, about, removed, target.name)
        step, made = _fitted(columns, operation, names, target, about)
        if operation.op in WHOLE:
            removed |= columns.keys() - made.keys()
        steps.append(step)
        columns = made
    if not columns:
        raise StepError("no column is left after the preparation", code="bad-features", hint="check the recipe")
    if target.name in columns:
        message = f"the preparation makes a column of the name of the target {target.name!r}"
        raise StepError(message, code="duplicate-column", hint="rename the target")
    prepared = pd.DataFrame(columns, index=frame.index, copy=False)
    return Preparation(tuple(features), tuple(steps)), prepared


def kind_of(values: Matrix) -> Kind:
    """Return the kind of a column's values."""
    return "number" if values.dtype.kind == "f" else "time" if values.dtype.kind == "M" else "text"


def _chosen(columns: Columns, operation: Operation, about: str, removed: set[str], target: str) -> list[str]:
    """Return the columns of an operation. Those that an earlier step has removed for what they tell are left out."""
    kinds = operation.types or KINDS[operation.op]
    if operation.columns is None:
        return [name for name, values in columns.items() if kind_of(values) in kinds]
    chosen = [name for name in dict.fromkeys(operation.columns) if name in columns or name not in removed]
    for name in chosen:
        if name == target:
            raise StepError(f"{about}: {name!r} is the target", code="target-leak", hint="prepare features only")
        if name not in columns:
            raise StepError(
                f"{about}: there is no feature {name!r}", code="unknown-column", hint=hint(name, list(columns), most=40)
            )
        if kind_of(columns[name]) not in KINDS[operation.op]:
            wanted = " or ".join(UNITS[kind] for kind in KINDS[operation.op])
            raise StepError(
                f"{about}: {name!r} is {UNITS[kind_of(columns[name])]}, not {wanted}",
                code="bad-column",
                hint="add it to `parse_dates` of data.load" if operation.op == "dates" else None,
            )
    return chosen


def _fitted(
    columns: Columns, operation: Operation, names: list[str], target: Target, about: str
) -> tuple[Step, Columns]:
    """Fit one operation; return it, and the columns after it."""
    from e2i.estimators import preparing

    fitting = prepare_numbers.FITTING.get(operation.op) or prepare_values.FITTING[operation.op]
    try:
        step, training = fitting(operation, columns, names, target)
    except (ValueError, TypeError) as error:
        raise StepError(f"{about}: {error}", code="bad-column") from error
    _within_bounds(step, columns, about)
    replaced = {state["name"] for state in step["columns"]}
    if training.keys() >= set(_added(step)) > set():  # nothing is as in other rows
        made = {name: values for name, values in columns.items() if name not in replaced} | training
    else:
        made = preparing.apply(columns, [step]) | training
    if clashing := [name for name in _added(step) if name in columns and name not in replaced]:
        message = f"{about} makes columns of names that exist: {few(clashing)}"
        raise StepError(message, code="duplicate-column", hint="rename the columns")
    return step, made


def _within_bounds(step: Step, columns: Columns, about: str) -> None:
    """Raise StepError for a step that makes too many columns, before it makes them."""
    added, rows = len(_added(step)), len(next(iter(columns.values())))
    whole = len(columns) + added
    if whole <= MOST_COLUMNS and rows * added <= MOST_CELLS:
        return
    raise StepError(
        f"{about} makes {added:,} columns of {rows:,} rows; at most {MOST_COLUMNS:,} columns in all, and "
        f"{MOST_CELLS:,} values in one operation",
        code="bad-column",
        hint="set `min_frequency`, a smaller `size` or fewer `words`, or use target_encode or count_encode",
    )


def _added(step: Step) -> list[str]:
    """Return the names of columns that a step makes."""
    listed = step.get("names", ())
    if step["op"] == "interact":
        return [f"{one}_x_{other}" for one, other in combinations(listed, 2)]
    found: list[str] = []
    for state in step["columns"]:
        found += state.get("names", ())
        found += [f"{state['name']}_missing"] if state.get("indicator") else ()
        found += [f"{state['name']}_{part}{end}" for part in listed for end in ("", "_sin", "_cos")]
    return found

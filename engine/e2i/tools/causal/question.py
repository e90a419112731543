"""Read the columns of a causal question. In: a frame and the roles of its columns. Out: arrays, in the same order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.errors import StepError
from e2i.estimators import schema
from e2i.spec.suggest import few
from e2i.tools.causal import EstimateParams, Label

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix

FEWEST = 20
"""Fewest rows of each arm from which anything is estimated."""


class Question(Struct, frozen=True, eq=False):
    """The rows of one question, in arrays of one element a row. Matrices have a column for each number or category."""

    outcome: Matrix
    treatment: Matrix
    """1 treated, 0 control; the amount of a continuous treatment."""
    covariates: Matrix
    modifiers: Matrix
    names: tuple[str, ...]
    """The columns of ``covariates``."""
    features: list[Any]
    """The modifiers as the effect model's manifest has them."""
    groups: Matrix
    """A number for each entity."""
    kept: Matrix
    """Positions of these rows in the frame."""
    control: Label | None
    treated: Label | None
    instrument: Matrix | None = None
    """0 and 1 of an instrument of two values; an amount otherwise."""

    @property
    def rows(self) -> int:
        return len(self.outcome)

    def only(self, chosen: Matrix) -> Question:
        """Return the chosen rows, by a mask."""
        from msgspec.structs import replace

        arrays = ("outcome", "treatment", "covariates", "modifiers", "groups", "kept", "instrument")
        found = {name: getattr(self, name) for name in arrays}
        return replace(self, **{name: array[chosen] for name, array in found.items() if array is not None})


def ask(frame: pd.DataFrame, params: EstimateParams) -> Question:
    """Return the rows that answer. Raises StepError for columns that cannot have their role."""
    import numpy as np

    _check_roles(params, list(frame.columns))
    amounts, control, treated = _treatment(frame[params.treatment], params)
    kept = np.flatnonzero(~np.isnan(amounts))
    frame, amounts = frame.iloc[kept], amounts[kept]
    outcome = numbers(frame, params.outcome)
    if not params.continuous:
        for name, value, count in (("untreated", control, amounts == 0), ("treated", treated, amounts == 1)):
            if count.sum() < FEWEST:
                raise StepError(
                    f"only {int(count.sum())} rows are {name} ({params.treatment} = {value!r}), fewer than {FEWEST}",
                    code="bad-treatment",
                    hint="check `control` and `treated`, or the rows of the table",
                )
    names = list(dict.fromkeys((*params.effect_modifiers, *params.confounders)))
    features, covariates = encoded(frame, params.outcome, names)
    modifiers = features[: len(set(params.effect_modifiers))]
    groups = np.arange(len(frame)) if params.group is None else codes(frame[params.group], params.group)
    return Question(
        outcome,
        amounts,
        covariates,
        _encode(frame, modifiers),
        tuple(name for feature in features for name in columns_of(feature)),
        modifiers,
        groups,
        kept,
        control,
        treated,
        _instrument(frame, params),
    )


def numbers(frame: pd.DataFrame, outcome: str) -> Matrix:
    """Return the outcome of each row. Raises StepError for texts, and for rows without one."""
    from pandas.api import types

    try:
        return schema.labels(frame, outcome, None)
    except StepError as error:
        if error.code != "bad-target":
            raise
        column = frame[outcome]
        hint = "remove those rows with data.select"
        if missing := int(column.isna().sum()):
            message, code = f"the outcome {outcome!r} is missing in {missing} of {len(frame)} rows", "bad-target"
            hint += ", or say what they mean with table.fill"
        elif types.is_numeric_dtype(column.dtype):
            message, code = f"the outcome {outcome!r} has infinite values", "bad-target"
        else:
            kind = "times" if types.is_datetime64_any_dtype(column.dtype) else "texts"
            message, code = f"the outcome {outcome!r} has {kind}; it must be a number", "not-a-number"
            hint = "name a column of numbers, or make one with table.derive"
        raise StepError(message, code=code, hint=hint) from error


def columns_of(feature: Any) -> list[str]:
    """Return the names of a feature's encoded columns: its own, or one for each category."""
    name = str(feature["name"])
    if feature["kind"] == "category":
        return [f"{name} = {category}" for category in feature["categories"]]
    return [name]


def _check_roles(params: EstimateParams, columns: Sequence[Any]) -> None:
    roles = [("treatment", params.treatment), ("outcome", params.outcome)]
    roles += [("group", params.group)] if params.group is not None else []
    roles += [("instrument", params.instrument)] if params.instrument is not None else []
    roles += [("effect_modifiers", name) for name in params.effect_modifiers]
    roles += [("confounders", name) for name in params.confounders]
    for role, name in roles:
        if name not in columns:
            hint = f"columns: {few([str(column) for column in columns], 40)}"
            raise StepError(f"the table has no column {name!r}, its {role}", code="unknown-column", hint=hint)
    for name in (*params.effect_modifiers, *params.confounders):
        if name in (params.treatment, params.outcome, params.instrument):
            message = f"{name!r} is the treatment, the outcome or the instrument, not a confounder"
            raise StepError(message, code="bad-covariate")
    if params.instrument in (params.treatment, params.outcome):
        raise StepError(
            f"{params.instrument!r} is the treatment or the outcome, not an instrument", code="bad-instrument"
        )
    if params.treatment == params.outcome:
        raise StepError(f"{params.outcome!r} is both treatment and outcome", code="bad-treatment")


def _treatment(column: pd.Series[Any], params: EstimateParams) -> tuple[Matrix, Label | None, Label | None]:
    """Return 0, 1 and NaN for other rows, with the values that they stand for; or amounts."""
    import numpy as np

    if column.isna().any():
        missing = int(column.isna().sum())
        hint = "remove those rows with data.select, or say what they mean with table.fill"
        raise StepError(f"the treatment {column.name!r} is missing in {missing} rows", code="bad-treatment", hint=hint)
    if params.continuous:
        return schema.labels(column.to_frame(), str(column.name), None), None, None
    values = [value.item() if hasattr(value, "item") else value for value in column.unique()]
    values = sorted(values, key=lambda value: (isinstance(value, str), value))
    chosen = [value for value in (params.control, params.treated) if value is not None]
    if strange := [value for value in chosen if value not in values]:
        hint = f"its values: {few([repr(value) for value in values], 10)}"
        raise StepError(f"the treatment {column.name!r} is never {strange[0]!r}", code="bad-treatment", hint=hint)
    if len(values) < 2 or (len(values) > 2 and len(chosen) < 2 and not params.each_level):
        few_values = few([repr(value) for value in values], 10)
        hint = (
            "name two of them in `control` and `treated`, set `each_level: true`, or `continuous: true` for an amount"
        )
        message = f"the treatment {column.name!r} has {len(values)} different values, not two: {few_values}"
        raise StepError(message, code="bad-treatment", hint=hint if len(values) > 2 else None)
    control = values[0] if params.control is None else params.control
    treated = values[-1] if params.treated is None else params.treated
    if params.control is None and control == treated:
        control = values[-1]
    if params.treated is None and control == treated:
        treated = values[0]
    if control == treated:
        raise StepError(f"`control` and `treated` are both {control!r}", code="bad-treatment")
    amounts = np.full(len(column), np.nan)
    amounts[(column == control).to_numpy()] = 0.0
    amounts[(column == treated).to_numpy()] = 1.0
    return amounts, control, treated


def _instrument(frame: pd.DataFrame, params: EstimateParams) -> Matrix | None:
    """Return the instrument of each row. Raises StepError where the estimator needs one of two values."""
    import numpy as np

    name = params.instrument
    if name is None:
        return None
    column, two = frame[name], params.estimator == "IntentToTreatDRIV"
    values = sorted(column.dropna().unique().tolist())
    if column.isna().any() or len(values) < 2 or (two and len(values) != 2):
        what = "is missing in some rows" if column.isna().any() else f"has {len(values)} values"
        needs = ", and IntentToTreatDRIV needs two" if two else ""
        hint = "remove those rows with data.select, or use OrthoIV for an instrument of numbers"
        raise StepError(f"the instrument {name!r} {what}{needs}", code="bad-instrument", hint=hint)
    if len(values) == 2:
        return np.asarray(column == values[1], dtype=np.float64)
    return numbers(frame, name)


def encoded(frame: pd.DataFrame, outcome: str, names: list[str]) -> tuple[list[Any], Matrix]:
    """Return what is learned of columns, and the columns as numbers: one for each number or category."""
    import numpy as np

    if not names:
        return [], np.empty((len(frame), 0))
    learned = schema.learn(frame, outcome, "Ridge", task="regression", features=names)
    return list(learned.features), learned.encode(frame)


def _encode(frame: pd.DataFrame, features: list[Any]) -> Matrix:
    import numpy as np

    from e2i.estimators.encoding import encode

    encoded: Matrix = encode(frame, features, "one-hot") if features else np.empty((len(frame), 0))
    return encoded


def codes(column: pd.Series[Any], name: str) -> Matrix:
    """Return a number for each entity, shape (rows,)."""
    if column.isna().any():
        raise StepError(f"the group {name!r} is missing in {int(column.isna().sum())} rows", code="bad-group")
    found: Matrix = column.factorize()[0]
    return found

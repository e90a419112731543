"""Estimate the average effect of each value of a treatment against the control. In: a frame, a question. Out: rows.

Doubly robust scores with one propensity for each value (Cattaneo 2010, "Efficient semiparametric estimation of
multi-valued treatment effects under ignorability", Journal of Econometrics 155). All effects are averages over the same
rows, so that they can be compared with each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from e2i.errors import StepError
from e2i.tools.causal import CLIP, Estimate, EstimateParams, Label, averages, model_of
from e2i.tools.causal.crossfit import fit
from e2i.tools.causal.estimation import Estimated
from e2i.tools.causal.question import FEWEST, codes, encoded, numbers

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix


class LevelEffect(Struct, frozen=True):
    """One value of the treatment: its rows, its effect, and the share of all rows outside the overlap."""

    level: Label | None
    rows: int
    effect: Estimate
    outside: float | None


def of(found: Estimated, frame: pd.DataFrame, params: EstimateParams, seed: int, threads: int) -> list[LevelEffect]:
    """Return the effect of each value if the question asks for it, otherwise the one that was estimated."""
    if params.each_level:
        return each(frame, params, seed, threads)
    rows = int((found.question.treatment == 1).sum()) if not params.continuous else found.question.rows
    outside = None if found.overlap is None else found.overlap.outside
    return [LevelEffect(found.question.treated, rows, found.effect, outside)]


def each(frame: pd.DataFrame, params: EstimateParams, seed: int, threads: int) -> list[LevelEffect]:
    """Return the effects in the order of the values. Raises StepError for a value of too few rows."""
    import numpy as np

    labels = _labels(frame, params)
    values = [value for value, _ in labels]
    given = np.select([mask for _, mask in labels], np.arange(len(labels)), -1)
    outcome = numbers(frame, params.outcome)
    names = list(dict.fromkeys((*params.effect_modifiers, *params.confounders)))
    covariates = encoded(frame, params.outcome, names)[1]
    groups = np.arange(len(frame)) if params.group is None else codes(frame[params.group], params.group)
    propensity, means = _cross_fit(covariates, given, outcome, groups, params, seed, threads)
    scores = []
    for place in range(len(values)):
        own = given == place
        kept = np.clip(propensity[:, place], CLIP, 1)
        scores.append(means[:, place] + own * (outcome - means[:, place]) / kept)
    found = []
    for place in range(1, len(values)):
        shares = propensity[:, [0, place]]
        outside = float(((shares < params.overlap.low).any(axis=1)).mean())
        effect = averages.mean(scores[place] - scores[0], groups, params.level)
        found.append(LevelEffect(values[place], int((given == place).sum()), effect, outside))
    return found


def warnings(found: list[LevelEffect], params: EstimateParams) -> list[str]:
    """Return a warning of values that many rows could hardly have got."""
    if not params.each_level:
        return []
    off = [f"{one.level!r} {one.outside:.1%}" for one in found if one.outside]
    what = f"rows with a propensity below {params.overlap.low:g} of a value of {params.treatment!r} or of `control`"
    return [f"{what}: {', '.join(off)}"] if off else []


def _labels(frame: pd.DataFrame, params: EstimateParams) -> list[tuple[Label, Matrix]]:
    """Return the values of the treatment with their rows, the control first."""
    column = frame[params.treatment]
    values = [value.item() if hasattr(value, "item") else value for value in column.unique()]
    values = sorted(values, key=lambda value: (isinstance(value, str), value))
    control = values[0] if params.control is None else params.control
    found = []
    for value in (control, *(value for value in values if value != control)):
        mask = (column == value).to_numpy()
        if mask.sum() < FEWEST:
            raise StepError(
                f"only {int(mask.sum())} rows have {params.treatment} = {value!r}, fewer than {FEWEST}",
                code="bad-treatment",
                hint="remove those rows with data.select, or join values with table.derive",
            )
        found.append((value, mask))
    return found


def _cross_fit(
    covariates: Matrix,
    given: Matrix,
    outcome: Matrix,
    groups: Matrix,
    params: EstimateParams,
    seed: int,
    threads: int,
) -> tuple[Matrix, Matrix]:
    """Return the propensity of each value and the outcome expected with it, both of shape (rows, values)."""
    import numpy as np
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    count = int(given.max()) + 1
    propensity, means = np.zeros((len(given), count)), np.zeros((len(given), count))
    if params.folds == 1:
        parts = [(np.arange(len(given)), np.arange(len(given)))]
    else:
        kind = StratifiedKFold if params.group is None else StratifiedGroupKFold
        splitter = kind(params.folds, shuffle=True, random_state=seed)
        parts = list(splitter.split(covariates, given, None if params.group is None else groups))
    treatment_model, outcome_model = model_of(params.treatment_model), model_of(params.outcome_model)
    for learn, judge in parts:
        x, other = covariates[learn], covariates[judge]
        fitted = fit(treatment_model, "classification", x, given[learn], seed, threads)
        propensity[np.ix_(judge, fitted.classes_.astype(int))] = fitted.predict_proba(other)
        for place in range(count):
            own = given[learn] == place
            if own.sum() < 2:
                message = f"a part of the rows lacks a value of {params.treatment!r}"
                raise StepError(message, code="bad-treatment", hint="set `folds` lower")
            model = fit(outcome_model, "regression", x[own], outcome[learn][own], seed, threads)
            means[judge, place] = model.predict(other)
    return propensity, means

"""Give rows that a model has not seen their doubly robust scores. In: a frame, a question. Out: scores and groups.

Effects by an instrument are judged by scores of the same instrument. One of more than two values counts as whether it
is above its median: given the covariates, what an instrument decides is an instrument too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from e2i.errors import StepError
from e2i.estimators.effects import EffectManifest
from e2i.tools.causal import EstimateParams, averages, crossfit, diagnostics, estimation, linear_effects
from e2i.tools.causal.averages import scores
from e2i.tools.causal.question import Question, ask

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix


class HeldOut(Struct, frozen=True, eq=False):
    """Rows of a frame within the overlap, each with its score: the mean of scores is an average effect.

    ``warnings`` say whose effect that is, and what it rests on.
    """

    frame: pd.DataFrame
    scores: Matrix
    groups: Matrix
    """A number for each entity, shape (rows,)."""
    warnings: tuple[str, ...] = ()


def hold_out(
    frame: pd.DataFrame, asked: EstimateParams, manifests: list[EffectManifest], seed: int, threads: int
) -> HeldOut:
    """Return the rows that can judge all these models, by nuisance models that are cross-fitted on these rows alone.

    Raises StepError for models of different questions, and for rows that cannot answer theirs.
    """
    _check(manifests)
    first = manifests[0]
    if asked.continuous:
        raise StepError(
            f"the treatment {asked.treatment!r} is an amount, and effects are judged for two values only",
            code="bad-treatment",
            hint="estimate the effect of two of its values",
        )
    covariates = [
        name for one in manifests for role in ("effect_modifiers", "confounders") for name in one.question[role]
    ]
    further = tuple(name for name in dict.fromkeys(covariates) if name not in asked.effect_modifiers)
    asked = asked.model_copy(update={"confounders": further, "control": first.control, "treated": first.treated})
    rows = ask(frame, asked)
    if rows.instrument is not None:
        return _by_instrument(frame, rows, asked, seed, threads)
    found = crossfit.cross_fit(rows, asked, seed, threads)
    bounds = asked.overlap.model_copy(update={"outside": "trim" if asked.overlap.outside == "trim" else "warn"})
    rows, found = estimation.within(rows, found, asked.model_copy(update={"overlap": bounds}), 0.0)
    return HeldOut(frame.iloc[rows.kept], scores(rows, found), rows.groups)


def _by_instrument(frame: pd.DataFrame, rows: Question, asked: EstimateParams, seed: int, threads: int) -> HeldOut:
    """Return the rows with their scores by the instrument."""
    import numpy as np

    assert rows.instrument is not None
    if set(np.unique(rows.instrument).tolist()) - {0.0, 1.0}:
        rows = replace(rows, instrument=(rows.instrument > np.median(rows.instrument)).astype(np.float64))
    found = crossfit.cross_fit(rows, asked.model_copy(update={"estimator": "IntentToTreatDRIV"}), seed, threads)
    warnings = [
        f"judged by {asked.instrument}: the figures are of those whose {asked.treatment} it changes (Imbens and "
        "Angrist 1994); others of the same covariates may gain more or less, which no data can show"
    ]
    strength = averages.first_stage(rows, found)
    if strength is not None and strength < estimation.WEAK:
        warnings.insert(0, diagnostics.weak(str(asked.instrument), strength, estimation.WEAK))
    scores = linear_effects.instrumented_scores(rows, found)
    return HeldOut(frame.iloc[rows.kept], scores, rows.groups, tuple(warnings))


def _check(manifests: list[EffectManifest]) -> None:
    """Raise StepError when models answer different questions."""
    first = manifests[0]
    for other in manifests[1:]:
        one, two = first.question.get("instrument"), other.question.get("instrument")
        if one != two:
            raise StepError(
                f"the models have different questions: the instrument is {one!r} in one and {two!r} in another",
                code="other-question",
                hint="compare estimates by one instrument, or estimates without one",
            )
        for name in ("treatment", "outcome", "control", "treated"):
            one, two = getattr(first, name), getattr(other, name)
            if one != two:
                raise StepError(
                    f"the models have different questions: {name} is {one!r} in one and {two!r} in another",
                    code="other-question",
                    hint="compare estimates of one treatment and one outcome",
                )

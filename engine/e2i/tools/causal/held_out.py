"""Give rows that a model has not seen their doubly robust scores. In: a frame, a question. Out: scores and groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from e2i.errors import StepError
from e2i.estimators.effects import EffectManifest
from e2i.tools.causal import EstimateParams, crossfit, estimation
from e2i.tools.causal.averages import scores
from e2i.tools.causal.question import ask

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix


class HeldOut(Struct, frozen=True, eq=False):
    """Rows of a frame within the overlap, each with its score: the mean of scores is an average effect."""

    frame: pd.DataFrame
    scores: Matrix
    groups: Matrix
    """A number for each entity, shape (rows,)."""


def hold_out(
    frame: pd.DataFrame, asked: EstimateParams, manifests: list[EffectManifest], seed: int, threads: int
) -> HeldOut:
    """Return the rows that can judge all these models, by nuisance models that are cross-fitted on these rows alone.

    Raises StepError for models of different questions, and for rows that cannot answer theirs.
    """
    _check(manifests)
    first = manifests[0]
    if asked.instrument is not None:
        raise StepError(
            "effects by an instrument cannot be judged by adjusting, which the instrument is there to avoid",
            code="other-question",
            hint="judge models without an instrument",
        )
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
    found = crossfit.cross_fit(rows, asked, seed, threads)
    bounds = asked.overlap.model_copy(update={"outside": "trim" if asked.overlap.outside == "trim" else "warn"})
    rows, found = estimation.within(rows, found, asked.model_copy(update={"overlap": bounds}), 0.0)
    return HeldOut(frame.iloc[rows.kept], scores(rows, found), rows.groups)


def _check(manifests: list[EffectManifest]) -> None:
    """Raise StepError when models answer different questions."""
    first = manifests[0]
    for other in manifests[1:]:
        for name in ("treatment", "outcome", "control", "treated"):
            one, two = getattr(first, name), getattr(other, name)
            if one != two:
                raise StepError(
                    f"the models have different questions: {name} is {one!r} in one and {two!r} in another",
                    code="other-question",
                    hint="compare estimates of one treatment and one outcome",
                )

"""Evaluate a trial of a search for effects. In: tables and a question. Out: R-score or DR-score on rows kept apart.

The models of outcome and treatment that judge are the same for all trials, and each row is judged by models that know
no row of its entity. Models of a trial are fitted to the rows to learn from alone; those that trials share are fitted
once.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from importlib import import_module
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, field

from e2i.catalog.context import StepContext
from e2i.documents import Values
from e2i.errors import StepError
from e2i.tools.causal.averages import scores
from e2i.tools.causal.crossfit import Nuisances, cross_fit
from e2i.tools.causal.estimating import EstimateParams, Nuisance, model_of
from e2i.tools.causal.final_stage import fit
from e2i.tools.causal.learners import LEARNERS
from e2i.tools.causal.question import Question, ask
from e2i.tools.optuna import effect_space
from e2i.tools.optuna.effect_parameters import BestEstimate, EffectQuestion
from e2i.tools.optuna.parameters import TuneParams

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix

EffectMetric = Literal["r_score", "dr_score"]
KEPT = 4
"""Pairs of models of outcome and treatment whose predictions of a split are kept."""

LIBRARIES = {
    "linear": ("statsmodels.api", "econml.sklearn_extensions.linear_model"),
    "forest": ("econml.grf",),
    "predictions": (),
}
"""What the last stage of an estimator imports, by its form."""


class Judge(Struct, frozen=True, eq=False):
    """Rows that effects are judged by: what the covariates leave of outcome and treatment, or doubly robust scores."""

    frame: pd.DataFrame
    question: Question
    found: Nuisances

    def score(self, metric: EffectMetric, effect: Matrix) -> float:
        """Return 1 less the loss of the effects over that of the best single effect for all rows; NaN without loss.

        r_score: squared residuals of the outcome given those of the treatment (Nie and Wager 2021, "Quasi-oracle
        estimation of heterogeneous treatment effects", as in EconML's RScorer). dr_score: squared distance to doubly
        robust scores (Kennedy 2023, "Towards optimal doubly robust estimation of heterogeneous causal effects").
        """
        import numpy as np

        if metric == "r_score":
            rest, moved = self.question.outcome - self.found.expected, self.question.treatment - self.found.treatment
        else:
            rest, moved = scores(self.question, self.found), np.ones(self.question.rows)
        single = float(moved @ rest / (moved @ moved))
        base = float(np.mean((rest - moved * single) ** 2))
        return 1 - float(np.mean((rest - moved * effect) ** 2)) / base if base > 0 else float("nan")


class Part(Struct, frozen=True, eq=False):
    """Rows to learn from, and the judge of what is learned."""

    question: Question
    judge: Judge
    kept: dict[str, Nuisances] = field(default_factory=dict)
    locks: dict[str, threading.Lock] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def effect(self, asked: EstimateParams, seed: int) -> Matrix:
        """Return the effect on each judged row by a trial's estimator. Raises StepError."""
        import numpy as np

        final = fit(self.question, self._nuisances(asked, seed), asked, seed, 1).model
        effect: Matrix = final.scorer.point(final.encode(self.judge.frame))
        if not np.isfinite(effect).all():
            raise StepError(f"{asked.estimator} has no effect for some rows", code="fit-failed")
        return effect

    def _nuisances(self, asked: EstimateParams, seed: int) -> Nuisances:
        models = (model_of(asked.outcome_model), model_of(asked.treatment_model))
        key = "|".join(model.model_dump_json() for model in models)
        with self.lock:
            own = self.locks.setdefault(key, threading.Lock())
        with own:  # trials with equal models wait for the first of them
            found = self.kept.get(key)
            if found is None:
                found = cross_fit(self.question, asked, seed, 1)
            with self.lock:
                self.kept.pop(key, None)
                self.kept[key] = found  # the newest last
                while len(self.kept) > KEPT:
                    del self.kept[next(iter(self.kept))]
        return found


class EffectRows:
    """The rows of a search: one part, or one for each split of folds. Raises StepError for rows without an answer."""

    def __init__(self, params: TuneParams, question: EffectQuestion, ctx: StepContext) -> None:
        self.seed = ctx.seed if params.seed is None else params.seed
        self._threads, self.frame = ctx.threads, ctx.frame(params.train)
        asked = {name: getattr(question, name) for name in EffectQuestion.model_fields}
        asked |= {"table": params.train, "outcome": params.target, "estimator": params.algorithm}
        self.base = EstimateParams.model_validate(asked)
        self.question = ask(self.frame, self.base)
        if not question.continuous:  # every part compares the same two values
            arms = {"control": self.question.control, "treated": self.question.treated}
            self.base = self.base.model_copy(update=arms)
        for library in LIBRARIES[LEARNERS[self.base.estimator].form]:
            import_module(library)  # scikit-learn fails on a module that another thread has imported by half
        self.parts = self._folded(params, ctx) if params.folds is not None else [self._validated(params, ctx)]

    def asked(self, chosen: Values) -> EstimateParams:
        """Return the question with a trial's parameters. Raises StepError for a parameter that there is not."""
        own, models = effect_space.split(chosen)
        changed = {}
        for role, given in models.items():
            base = model_of(getattr(self.base, role))
            changed[role] = Nuisance(algorithm=base.algorithm, params={**base.params, **given})
        return self.base.model_copy(update={"params": dict(own), **changed})

    def best(self, chosen: Values) -> BestEstimate:
        """Return a trial's parameters for ``causal.estimate``."""
        asked = self.asked(chosen)
        names = ("estimator", "params", "outcome_model", "treatment_model")
        return BestEstimate(**{name: getattr(asked, name) for name in names})

    def _validated(self, params: TuneParams, ctx: StepContext) -> Part:
        assert params.validation is not None
        frame, group = ctx.frame(params.validation), self.base.group
        judged = ask(frame, self.base)
        if group is not None and (both := len({*self.frame[group]} & {*frame[group]})):
            raise StepError(
                f"{both:,} values of {group!r} are both in `train` and in `validation`, so trials would be judged by "
                "entities that they know",
                code="bad-group",
                hint=f"divide the rows with data.split by `strategy: entity` and `by: {group}`",
            )
        found = cross_fit(judged, self.base, self.seed, self._threads)
        return Part(self.question, Judge(frame.iloc[judged.kept], judged, found))

    def _folded(self, params: TuneParams, ctx: StepContext) -> list[Part]:
        from e2i.estimators import folding

        assert params.folds is not None
        if self.base.group is not None and params.folds.by != self.base.group:
            raise StepError(
                f"the folds are by {params.folds.by!r}, not by the entity {self.base.group!r}",
                code="bad-group",
                hint=f"make the folds with `strategy: group` and `by: {self.base.group}`",
            )
        found = cross_fit(self.question, self.base, self.seed, self._threads)
        parts = []
        for roles in folding.read(params.folds, params.train, ctx):
            held = roles[self.question.kept] == folding.TEST
            judged = self.question.only(held)
            judge = Judge(self.frame.iloc[judged.kept], judged, found.only(held))
            parts.append(Part(ask(self.frame[roles == folding.TRAIN], self.base), judge))
        return parts


class EffectObjective(Struct, frozen=True, eq=False):
    """Fits and judges one trial in each part. Safe to call from several threads at once."""

    rows: EffectRows
    metric: EffectMetric
    fixed: Mapping[str, Any]
    prunes: bool = False

    def __call__(self, trial: Any) -> tuple[float, ...]:
        """Return the mean score over the parts. Raises StepError when a fit fails, optuna.TrialPruned when pruned."""
        import optuna

        asked = self.rows.asked({**self.fixed, **trial.params})
        found: list[float] = []
        for number, part in enumerate(self.rows.parts, start=1):
            found.append(part.judge.score(self.metric, part.effect(asked, self.rows.seed)))
            if self.prunes:
                trial.report(fmean(found), number)
                if number < len(self.rows.parts) and trial.should_prune():
                    raise optuna.TrialPruned
        return (fmean(found),)

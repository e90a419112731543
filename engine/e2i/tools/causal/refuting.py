"""Try to refute an estimate. In: the rows and their question. Out: attempts, each with its figure and threshold.

The estimate is computed again where its answer is known: with a shuffled treatment it is 0, with a random cause, fewer
rows or other draws it stays, on an outcome that the treatment cannot change it is 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from e2i.errors import StepError
from e2i.estimators.effects import EffectManifest
from e2i.tools.causal import EstimateParams, RefuteParams, estimation
from e2i.tools.causal.question import Question, ask

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from e2i.estimators.scoring import Matrix

KEPT = 0.8
"""Share of the entities in a subset."""
SAME = 1e-6
"""Largest difference, in standard errors, of an estimate that is computed again."""


class Check(Struct, frozen=True):
    """One attempt. ``meaning`` says in words what was found."""

    check: str
    value: float
    threshold: float
    passed: bool
    meaning: str


class Refutation(Struct, frozen=True):
    """All attempts, and how strong an unmeasured confounder must be."""

    checks: tuple[Check, ...]
    robustness_value: float
    e_value: float


class Attempts:
    """Attempts on one estimate. Each has random numbers of its own, so that leaving one out changes no other."""

    def __init__(
        self, frame: pd.DataFrame, asked: EstimateParams, manifest: EffectManifest, seed: int, threads: int
    ) -> None:
        self._frame, self._asked, self._seed, self._threads = frame, asked, seed, threads
        self._fit_seed = manifest.seed
        self._rows = ask(frame, asked)
        self._value, self._error = manifest.average

    def run(self, params: RefuteParams) -> Refutation:
        """Return the attempts that ``params`` asks for, in a fixed order. Raises StepError for other rows."""
        answer = estimation.estimate(self._rows, self._asked, self._fit_seed, self._threads)
        if abs(answer.effect.value - self._value) > SAME * self._error:
            raise StepError(
                f"these rows give an effect of {answer.effect.value:.6g}, and the model has {self._value:.6g}",
                code="other-rows",
                hint="pass the table of the step that estimated it",
            )
        asked, found = params.checks, []
        if asked.placebo is not None:
            found.append(self._placebo(asked.placebo, params.repeats))
        if asked.random_cause is not None:
            found.append(self._random_cause(asked.random_cause))
        if asked.subset is not None:
            found.append(self._subset(asked.subset, params.repeats))
        if asked.bootstrap is not None:
            found.append(self._bootstrap(asked.bootstrap, params.repeats))
        found += [self._negative_control(name) for name in params.negative_controls]
        strength = robustness_value(*estimation.residuals(answer))
        if asked.robustness is not None:
            meaning = (
                f"an unmeasured confounder that explains {strength:.1%} of what is left of treatment and outcome would "
                "reduce the effect to 0"
            )
            enough = strength >= asked.robustness
            found.append(Check("unmeasured confounder", strength, asked.robustness, enough, meaning))
        spread = float(self._rows.outcome.std())
        return Refutation(tuple(found), strength, e_value(self._value / spread if spread else 0.0))

    def _placebo(self, threshold: float, repeats: int) -> Check:
        import numpy as np

        random = self._random(1)
        estimates = [self._average(self._shuffled(random)) for _ in range(repeats)]
        mean, spread = float(np.mean(estimates)), float(np.std(estimates, ddof=1)) / math.sqrt(repeats)
        value = abs(mean) / spread if spread else 0.0
        meaning = f"with a shuffled treatment the estimate is {mean:.3g} on average, {value:.1f} standard errors from 0"
        return Check("placebo treatment", value, threshold, value <= threshold, meaning)

    def _shuffled(self, random: np.random.Generator) -> Question:
        """Return the rows with the treatments of others; their instruments come along, and still change them."""
        order, rows = random.permutation(self._rows.rows), self._rows
        if rows.instrument is None:
            return replace(rows, treatment=rows.treatment[order])
        return replace(rows, treatment=rows.treatment[order], instrument=rows.instrument[order])

    def _random_cause(self, threshold: float) -> Check:
        import numpy as np

        column = self._random(2).normal(size=self._rows.rows)
        rows = replace(
            self._rows,
            covariates=np.column_stack([self._rows.covariates, column]),
            names=(*self._rows.names, "random cause"),
        )
        return self._moved("random cause", "with a random column adjusted for too", self._average(rows), threshold)

    def _subset(self, threshold: float, repeats: int) -> Check:
        import numpy as np

        random = self._random(3)
        entities = np.unique(self._rows.groups)
        estimates = []
        for _ in range(repeats):
            chosen = random.choice(entities, max(2, int(KEPT * len(entities))), replace=False)
            estimates.append(self._average(self._rows.only(np.isin(self._rows.groups, chosen))))
        how = f"with {KEPT:.0%} of the entities"
        return self._moved("subset", how, float(np.mean(estimates)), threshold)

    def _bootstrap(self, threshold: float, repeats: int) -> Check:
        import numpy as np

        random = self._random(4)
        order = np.argsort(self._rows.groups, kind="stable")
        entities, starts = np.unique(self._rows.groups[order], return_index=True)
        members = np.split(order, starts[1:])
        estimates = []
        for _ in range(repeats):
            drawn = [members[index] for index in random.integers(0, len(entities), len(entities))]
            rows = self._rows.only(np.concatenate(drawn))
            # a repeated entity keeps its number, so that its copies are never on both sides of a part
            estimates.append(self._average(rows, grouped=True))
        value = float(np.std(estimates, ddof=1)) / self._error if self._error else 0.0
        meaning = f"drawn again, the estimates spread {value:.2f} times as far as the standard error says"
        return Check("bootstrap", value, threshold, value <= threshold, meaning)

    def _negative_control(self, name: str) -> Check:
        from e2i.estimators import schema

        asked = self._asked
        if name in (asked.treatment, asked.outcome, asked.instrument, *asked.effect_modifiers, *asked.confounders):
            raise StepError(
                f"the negative control {name!r} is a part of the question",
                code="bad-covariate",
                hint="name an outcome that the treatment cannot change and that is not adjusted for",
            )
        frame = self._frame.iloc[self._rows.kept]
        rows = replace(self._rows, outcome=schema.labels(frame, name, None))
        found = estimation.average(rows, self._asked, self._fit_seed, self._threads)
        value = abs(found.value) / found.standard_error if found.standard_error else 0.0
        meaning = (
            f"the effect on {name}, which cannot be changed, is {found.value:.3g} ({found.low:.3g} to {found.high:.3g})"
        )
        half = (found.high - found.low) / 2
        threshold = half / found.standard_error if found.standard_error else 0.0
        return Check(f"negative control {name}", value, threshold, found.low <= 0 <= found.high, meaning)

    def _moved(self, check: str, how: str, other: float, threshold: float) -> Check:
        value = abs(other - self._value) / self._error if self._error else 0.0
        meaning = f"{how} the estimate is {other:.3g} instead of {self._value:.3g}, {value:.2f} standard errors away"
        return Check(check, value, threshold, value <= threshold, meaning)

    def _average(self, rows: Question, *, grouped: bool = False) -> float:
        asked = self._asked
        if grouped and asked.group is None:
            asked = asked.model_copy(update={"group": "entity"})
        return estimation.average(rows, asked, self._fit_seed, self._threads).value

    def _random(self, number: int) -> np.random.Generator:
        import numpy as np

        return np.random.default_rng([self._seed, number])


def robustness_value(outcome: Matrix, treatment: Matrix) -> float:
    """Return the robustness value of the regression of one residual on the other, each of shape (rows,).

    Cinelli and Hazlett 2020, "Making sense of sensitivity", J. R. Stat. Soc. B 82, equation 18 for q = 1:
    (sqrt(f^4 + 4 f^2) - f^2) / 2, with f^2 the partial R^2 over 1 - R^2.
    """
    import numpy as np

    if not treatment.std() or not outcome.std():
        return 0.0
    share = float(np.corrcoef(outcome, treatment)[0, 1]) ** 2
    if share >= 1:
        return 1.0
    odds = share / (1 - share)
    return (math.sqrt(odds**2 + 4 * odds) - odds) / 2


def e_value(difference: float) -> float:
    """Return the E-value of a difference of means in standard deviations of the outcome.

    VanderWeele and Ding 2017, "Sensitivity analysis in observational research", Annals of Internal Medicine 167: the
    risk ratio is about exp(0.91 d), and the E-value RR + sqrt(RR (RR - 1)).
    """
    ratio = math.exp(0.91 * abs(difference))
    return ratio + math.sqrt(ratio * (ratio - 1))

"""Judge trials while they are evaluated. In: trials of a study. Out: whether to prune them.

Optuna prunes only trials with one value. Trials with several are judged in a second study in memory, of the one value
that they report on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, field

from e2i.tools.optuna import pruners
from e2i.tools.optuna.pruners import Pruner


class Judged(Struct):
    """A trial of a search: its parameters, and what it reports on the way. ``number`` is its number in the search."""

    number: int
    proposed: Any
    """The trial (optuna Trial) in the study of the sampler."""
    judge: Any
    """The trial (optuna Trial) that is pruned: the same, one of the second study, or None."""
    reports: dict[int, float] = field(default_factory=dict)

    @property
    def params(self) -> dict[str, Any]:
        """The hyperparameters, by name."""
        found: dict[str, Any] = self.proposed.params
        return found

    def report(self, value: float, step: int) -> None:
        """Report the watched value after a step (from 0)."""
        self.reports[int(step)] = float(value)
        if self.judge is not None:
            self.judge.report(value, step)

    def should_prune(self) -> bool:
        """Return True when the pruner ends the trial."""
        return self.judge is not None and bool(self.judge.should_prune())

    def end(self, state: Any) -> None:
        """Tell the second study, if there is one, that the trial has ended."""
        from optuna.trial import TrialState

        if self.judge is None or self.judge is self.proposed:
            return
        if state == TrialState.COMPLETE and self.reports:
            self.judge.study.tell(self.judge, self.reports[max(self.reports)])
        else:
            self.judge.study.tell(self.judge, state=TrialState.PRUNED if self.reports else TrialState.FAIL)


class Jury:
    """The study that trials are pruned in."""

    def __init__(self, directions: Sequence[str], watched: int, pruner: Pruner, before: Sequence[Any]) -> None:
        self._second: Any = None
        self._is_one = len(directions) == 1
        if self._is_one or pruner == "none":
            return
        import optuna

        self._second = optuna.create_study(
            study_name="search",  # as that of the sampler: Hyperband derives the bracket of a trial from it
            direction=directions[watched],
            sampler=optuna.samplers.RandomSampler(seed=0),
            pruner=pruners.make(pruner),
        )
        self._second.add_trials([_of_one_value(trial) for trial in before])

    def judge(self, proposed: Any, number: int) -> Judged:
        """Return the trial with its judge."""
        if self._is_one:
            return Judged(number, proposed, proposed)
        return Judged(number, proposed, None if self._second is None else self._second.ask())


def _of_one_value(trial: Any) -> Any:
    from optuna.trial import TrialState, create_trial

    reports = trial.intermediate_values
    if trial.state != TrialState.COMPLETE or not reports:
        return create_trial(state=TrialState.PRUNED if reports else TrialState.FAIL, intermediate_values=reports)
    return create_trial(value=reports[max(reports)], intermediate_values=reports)

"""Make pruners whose verdicts repeat. In: a pruner's name. Out: an Optuna pruner.

Optuna's successive halving also compares a trial with trials that are still running, so its verdict would depend on
which thread is quicker. Here a trial is compared with those that have been reported, and its own values, only.
"""

from __future__ import annotations

import threading
from typing import Any, Literal, assert_never

Pruner = Literal["none", "median", "hyperband", "successive_halving"]


def make(pruner: Pruner) -> Any:
    """Return the pruner, for use by several threads."""
    from optuna import pruners

    match pruner:
        case "none":
            return pruners.NopPruner()
        case "median":
            return _repeatable(pruners.MedianPruner)()
        case "hyperband":
            return _repeatable(pruners.HyperbandPruner)()
        case "successive_halving":
            return _repeatable(pruners.SuccessiveHalvingPruner)()
        case _:
            assert_never(pruner)


def _repeatable(kind: Any) -> Any:
    """Return a class that prunes as ``kind`` does, by the finished trials only and for one thread at a time.

    A subclass, because Optuna's samplers ask whether a pruner is a HyperbandPruner.
    """
    import optuna

    class Repeatable(kind):  # type: ignore[misc]  # optuna has no types here
        def __init__(self) -> None:
            super().__init__()
            self._one_at_a_time = threading.Lock()

        def prune(self, study: Any, trial: Any) -> bool:
            with self._one_at_a_time:
                settled = optuna.Study(study.study_name, _Settled(study._storage), study.sampler, self)
                return bool(super().prune(settled, trial))

    return Repeatable


class _Settled:
    """A storage in memory without its running trials."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_all_trials(self, study_id: int, deepcopy: bool = True, states: Any = None) -> list[Any]:
        """Return the finished trials of these states."""
        found = self._storage.get_all_trials(study_id, deepcopy=deepcopy, states=states)
        return [trial for trial in found if trial.state.is_finished()]

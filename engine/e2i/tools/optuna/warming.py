"""Let a search know the trials of other studies. In: their trials and the search. Out: trials of its own space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from e2i.estimators.space import Dimension, IntRange, is_active, may_have

if TYPE_CHECKING:
    from e2i.tools.optuna.search import Plan


def known(trials: Sequence[Any], plan: Plan) -> list[Any]:
    """Return those of the finished trials that are of the search's space, as trials of it.

    A trial is, if it has a value for each range that is searched with its other values, and no other parameter than
    fixed ones that are equal. Pruned trials are known to a search that prunes.
    """
    return [made for trial in trials if (made := _of(trial, plan)) is not None]


def _of(trial: Any, plan: Plan) -> Any:
    from optuna.trial import TrialState, create_trial

    from e2i.tools.optuna.samplers import distributions

    usable = (TrialState.COMPLETE,) if plan.pruner == "none" else (TrialState.COMPLETE, TrialState.PRUNED)
    params = _params(trial.params, plan)
    if params is None or trial.state not in usable:
        return None
    return create_trial(
        state=trial.state,
        values=trial.values if trial.state == TrialState.COMPLETE else None,
        params=params,
        distributions=distributions({name: plan.space[name] for name in params}),
        intermediate_values={} if plan.pruner == "none" else trial.intermediate_values,
    )


def _params(given: dict[str, Any], plan: Plan) -> dict[str, Any] | None:
    chosen = dict(plan.fixed)
    found: dict[str, Any] = {}
    for name, dimension in plan.space.items():
        if not is_active(dimension, chosen):
            continue
        if name not in given or not may_have(dimension, given[name]):
            return None
        found[name] = chosen[name] = _typed(dimension, given[name])
    others = {name: value for name, value in given.items() if name not in found}
    return found if all(name in plan.fixed and plan.fixed[name] == value for name, value in others.items()) else None


def _typed(dimension: Dimension, value: Any) -> Any:
    return int(value) if isinstance(dimension, IntRange) else value

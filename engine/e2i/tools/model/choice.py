"""Choose the best of several candidates. In: candidates in any form of a spec. Out: the best and the ranking."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from e2i.catalog.artifacts import Model
from e2i.errors import StepError
from e2i.estimators.metrics import METRICS
from e2i.tools.model.params.choosing import Candidates, Combination, Ranked, SelectOutputs, SelectParams, Trained

Judge = Callable[[Model], dict[str, float]]


class Candidate(Struct, frozen=True):
    """A model with a name, and its known metrics."""

    name: str
    model: Model
    metrics: dict[str, float]


def choose(params: SelectParams, judge: Judge | None) -> SelectOutputs:
    """Return the best candidate; ``judge`` evaluates each again. Raises StepError when they cannot be ranked."""
    found = candidates(params.candidates)
    tasks = {candidate.model.task for candidate in found}
    if len(tasks) > 1:
        raise StepError("the candidates do not all predict the same type of target", code="wrong-task")
    if judge is not None:
        found = [Candidate(item.name, item.model, judge(item.model)) for item in found]
    metric = params.metric or ("roc_auc" if tasks == {"classification"} else "rmse")
    lacking = [item for item in found if metric not in item.metrics]
    if lacking:
        raise StepError(
            f"the metric {metric!r} is missing for {', '.join(item.name for item in lacking)}",
            code="unknown-metric",
            hint=f"set `table` to evaluate them on, or choose one of {', '.join(sorted(lacking[0].metrics)) or 'none'}",
        )
    sign = -1.0 if _direction(metric, params.direction) == "maximize" else 1.0
    ranked = sorted(found, key=lambda item: sign * item.metrics[metric])
    best = ranked[0]
    ranking = [Ranked(name=item.name, algorithm=item.model.algorithm, value=item.metrics[metric]) for item in ranked]
    return SelectOutputs(model=best.model, name=best.name, metrics=best.metrics, ranking=ranking)


def candidates(given: Candidates) -> list[Candidate]:
    """Return every candidate with a unique name."""
    if isinstance(given, dict):
        return [_candidate(name, item) for name, item in given.items()]
    return [_candidate(_name(index, item), item) for index, item in enumerate(given, start=1)]


def _candidate(name: str, item: Combination | Trained | Model) -> Candidate:
    match item:
        case Combination():
            return Candidate(name, item.outputs.model, item.outputs.metrics)
        case Trained():
            return Candidate(name, item.model, item.metrics)
        case Model():
            return Candidate(name, item, {})


def _name(index: int, item: Combination | Trained | Model) -> str:
    """Name a matrix combination by its values, and any other candidate by its algorithm and its number in the list."""
    match item:
        case Combination():
            return "/".join(str(value) for value in item.matrix.values()) or str(index)
        case Trained():
            return f"{item.model.algorithm} {index}"
        case Model():
            return f"{item.algorithm} {index}"


def _direction(metric: str, asked: str | None) -> str:
    """Return the requested direction, or that of the metric, also with a prefix such as ``validation_``."""
    if asked is not None:
        return asked
    known = next((name for name in METRICS if metric == name or metric.endswith(f"_{name}")), None)
    if known is None:
        raise StepError(f"the better direction of {metric!r} is unknown", code="unknown-metric", hint="set `direction`")
    return METRICS[known].direction

"""Estimate the time and memory of a plan. Pure.

In: a plan, its planner, what finished steps took. Out: ``PlanEstimate``, also for people and programs.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence

from e2i.planning import work
from e2i.planning.build import Planner
from e2i.planning.estimates import schedule
from e2i.planning.estimates.model import PlanEstimate, Range, StepEstimate
from e2i.planning.estimates.prediction import LEAST, Observation, predict
from e2i.planning.estimates.sizes import Sizes, Used
from e2i.planning.model import Plan, Verdict

RUNS = (Verdict.RUN, Verdict.ALWAYS, Verdict.UNDECIDED)
DRAWS = 200
SHARED = 0.8
"""Share of the doubt that all steps of a run have in common: how busy the machine is."""
LEAST_MEMORY = 1e6
OVERHEAD = 1.0
"""Seconds of a run beside its steps, while no run is known: workers start, records are written."""


def estimate(
    plan: Plan, planner: Planner, used: Sequence[Used], spans: Mapping[str, float], slots: int
) -> PlanEstimate:
    """Returns what a plan takes. ``used``: newest first. ``spans``: the seconds of past runs of the pipeline.

    ``slots``: steps that run beside each other.
    """
    sizes = Sizes(planner, used)
    steps = [_step(plan, step.id, planner, used, sizes, runs=step.verdict in RUNS) for step in plan.steps]
    unknown = [
        one.id for one, step in zip(steps, plan.steps, strict=True) if step.verdict in RUNS and one.seconds is None
    ]
    needs = {step.id: step.needs for step in plan.steps}
    seconds, memory = _whole(needs, steps, _overhead(plan.name, needs, used, spans, slots), slots)
    return PlanEstimate(steps=steps, seconds=seconds, memory=memory, unknown=unknown)


def _step(plan: Plan, name: str, planner: Planner, used: Sequence[Used], sizes: Sizes, *, runs: bool) -> StepEstimate:
    if not runs:
        verdict = next(step.verdict for step in plan.steps if step.id == name)
        return StepEstimate(id=name, seconds=None, memory=None, based_on=0, note=_NOT_RUN[verdict])
    node = planner.expanded.nodes[name]
    variant = work.variant(planner.expanded.known(node).values)
    alike = [one for one in used if one.uses == node.step.uses and one.variant == variant]
    own = [one for one in alike if one.pipeline == plan.name and one.step == name]
    seen = own or alike
    size = sizes.of(name)
    seconds = predict([Observation(one.size, one.seconds) for one in seen], size)
    held = [Observation(one.size, one.memory) for one in seen if one.memory is not None]
    memory = predict(held, size, LEAST_MEMORY)
    note = "" if own else f"from other steps of {node.step.uses}" if seen else "no history"
    return StepEstimate(id=name, seconds=seconds, memory=memory, based_on=len(seen), note=note)


_NOT_RUN = {Verdict.REUSE: "reused", Verdict.SKIP: "skipped"}


def _overhead(
    pipeline: str,
    needs: Mapping[str, Sequence[str]],
    used: Sequence[Used],
    spans: Mapping[str, float],
    slots: int,
) -> float:
    """Returns the seconds of a run beside its steps: the median of what past runs took longer than their steps."""
    by_run: dict[str, dict[str, float]] = {}
    for one in used:
        if one.pipeline == pipeline and one.run in spans:
            by_run.setdefault(one.run, {})[one.step] = one.seconds
    beside = [
        spans[run] - schedule.simulate(needs, seconds, {}, slots).seconds
        for run, seconds in by_run.items()
        if seconds.keys() <= needs.keys()
    ]
    return max(0.0, statistics.median(beside)) if beside else OVERHEAD


def _whole(
    needs: Mapping[str, Sequence[str]], steps: Sequence[StepEstimate], overhead: float, slots: int
) -> tuple[Range | None, Range | None]:
    """Returns the time and the memory of all steps, from draws of what each takes."""
    known = [step for step in steps if step.seconds is not None]
    if not known:
        return None, None
    chance = random.Random(0)
    draws = []
    for _ in range(DRAWS if len(steps) <= 100 else DRAWS // 5):
        shared = chance.gauss(0, 1)
        seconds = {step.id: _drawn(step.seconds, shared, chance) for step in known if step.seconds}
        memory = {step.id: _drawn(step.memory, shared, chance) for step in known if step.memory}
        draws.append(schedule.simulate(needs, seconds, memory, slots))
    found = _range([overhead + one.seconds for one in draws])
    return found, _range([one.memory for one in draws]) if any(step.memory for step in known) else None


def _drawn(given: Range, shared: float, chance: random.Random) -> float:
    z = SHARED**0.5 * shared + (1 - SHARED) ** 0.5 * chance.gauss(0, 1)
    edge = given.high if z > 0 else given.low
    ratio: float = (max(edge, LEAST) / max(given.median, LEAST)) ** (abs(z) / 1.6449)
    return given.median * ratio


def _range(values: Sequence[float]) -> Range:
    ordered = sorted(values)

    def at(share: float) -> float:
        return ordered[round(share * (len(ordered) - 1))]

    return Range(median=round(at(0.5), 3), low=round(at(0.05), 3), high=round(at(0.95), 3))

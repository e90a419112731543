"""Estimate what a plan takes from the usage in the run store, and hold it against the budgets of spec and policy.

In: a plan, a history. Out: ``PlanEstimate``, and problems with the location of the budget. Nothing is estimated without
history, so the first run of a spec is over no budget.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from msgspec.structs import replace

from e2i.check.policy import Authority
from e2i.errors import RefusedSpec
from e2i.planning.build import Planner
from e2i.planning.estimates.estimate import estimate
from e2i.planning.estimates.model import PlanEstimate, Range
from e2i.planning.model import Plan
from e2i.policy import Budgets
from e2i.settings import Settings
from e2i.spec import durations, sizes
from e2i.spec.models import BudgetSpec
from e2i.spec.problems import Problem
from e2i.spec.validation import Path
from e2i.store.usage import Usage


class Recorded(Protocol):
    """The usage in a run store."""

    def usage(self, pipeline: str) -> tuple[Sequence[Usage], Mapping[str, float]]: ...


def estimated(plan: Plan, planner: Planner, recorded: Recorded | None, settings: Settings) -> PlanEstimate:
    """Returns what a plan takes, as far as the store has usage of its actions."""
    used, spans = recorded.usage(plan.name) if recorded else ((), {})
    slots = settings.workers or len(os.sched_getaffinity(0))
    return with_cost(estimate(plan, planner, used, spans, slots), settings.resources.hourly_cost)


def with_cost(found: PlanEstimate, hourly: float | None) -> PlanEstimate:
    """Returns the estimate with the cost of its time. ``hourly``: what an hour of the machine costs."""
    if hourly is None or found.seconds is None:
        return found
    median, low, high = (
        round(hourly * value / 3600, 6) for value in (found.seconds.median, found.seconds.low, found.seconds.high)
    )
    return replace(found, cost=Range(median=median, low=low, high=high))


def held(plan: Plan, planner: Planner, recorded: Recorded | None, settings: Settings, authority: Authority) -> Plan:
    """Returns the plan with its estimate, and warnings for budgets that it is over. Raises RefusedSpec when one of them
    is of the policy.
    """
    found = estimated(plan, planner, recorded, settings)
    over = tuple(problems(found, planner, authority))
    if any(problem.severity == "error" for problem in over):
        raise RefusedSpec((*plan.warnings, *over))
    return replace(plan, estimate=found, warnings=(*plan.warnings, *over))


def problems(found: PlanEstimate, planner: Planner, authority: Authority) -> Iterator[Problem]:
    """Yields a warning for each budget of the spec that the median of the estimate is over, and an error for each of
    the policy.
    """
    loaded = planner.expanded.loaded
    for name, text in _over(found, loaded.spec.budget):
        path: Path = ("budget", name)
        hint = "raise it, or reduce the data: e2i plan --estimate shows each step"
        yield loaded.document.problem("over-budget", path, text, hint, severity="warning")
    for name, text in _over(found, authority.rules.budgets):
        hint = f"the operator decides: {authority.origin}.budgets.{name} in config/policy.yaml"
        given = loaded.document.has(("budget", name))
        path = ("budget", name) if given else ("steps",)
        message = f"{text} for specs of origin {authority.origin}"
        yield loaded.document.problem("policy-budget", path, message, hint, key=not given)


def _over(found: PlanEstimate, budget: BudgetSpec | Budgets) -> Iterator[tuple[str, str]]:
    """Yields each budget that the estimate is over, with a sentence about it."""
    if budget.time and found.seconds and found.seconds.median > durations.parse(budget.time):
        low, high = seconds(found.seconds.low), seconds(found.seconds.high)
        yield "time", f"a run takes about {seconds(found.seconds.median)} ({low} to {high}), over {budget.time}"
    if budget.memory and found.memory and found.memory.median > sizes.parse(budget.memory):
        low, high = sizes.text(found.memory.low), sizes.text(found.memory.high)
        about = sizes.text(found.memory.median)
        yield "memory", f"a run needs about {about} of memory ({low} to {high}), over {budget.memory}"
    if budget.cost is not None and found.cost and found.cost.median > budget.cost:
        low, high = cost(found.cost.low), cost(found.cost.high)
        yield "cost", f"a run costs about {cost(found.cost.median)} ({low} to {high}), over {budget.cost:g}"


def cost(value: float) -> str:
    """Returns an amount of money for people."""
    return f"{value:.3g}"


def seconds(value: float) -> str:
    """Returns seconds for people: ``0.4s``, ``12s``, ``3m20s``."""
    return f"{value:.1f}s" if value < 10 else durations.text(round(value))

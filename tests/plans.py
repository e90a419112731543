"""Parts of plans for tests that need no spec."""

from __future__ import annotations

from collections.abc import Collection

from e2i.planning.inputs import BoundOptions, Components
from e2i.planning.model import PlanStep, Reason, Verdict, Why
from e2i.spec.models import StepOptions

COMPONENTS = Components(
    action="debug.echo", version=1, written={}, files={}, libraries={}, python="3.11", seed=0, params={}
)
OPTIONS = BoundOptions(when=[True], selected=True, fresh=False, **StepOptions().as_json)


def step(name: str, uses: str, needs: Collection[str] = (), verdict: Verdict = Verdict.RUN) -> PlanStep:
    """A planned step that has never run."""
    return PlanStep(name, name, uses, tuple(needs), verdict, Reason(Why.NEVER_RUN, "new"), None, COMPONENTS, OPTIONS)

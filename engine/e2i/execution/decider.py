"""A step that is ready goes in; what is to become of it comes out: left out, faulty, its result reused, or carried out.

Knows the plan and what the steps above gave; changes nothing but its own memory of that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from e2i.catalog.action import Effect
from e2i.check import provenance
from e2i.check.policy import amounts
from e2i.errors import Refused
from e2i.execution import secrets
from e2i.execution.record import RunStatus
from e2i.execution.request import RunRequest
from e2i.execution.state import RunState, Status
from e2i.planning.build import Decision
from e2i.planning.model import PlanStep, Verdict
from e2i.spec.expand import StepNode, is_settled
from e2i.spec.expressions import ExpressionError
from e2i.workers.executor import Failure


class LeftOut(Struct, frozen=True):
    """The step is not carried out, and the note says why."""

    note: str


class Faulty(Struct, frozen=True):
    """The step cannot be carried out as it is."""

    failure: Failure
    decision: Decision | None = None


class Reused(Struct, frozen=True):
    """A finished result stands for the step's own."""

    decision: Decision


class Ready(Struct, frozen=True):
    """The step is to be carried out."""

    decision: Decision


class Decider:
    """Decides about the steps of one run, each when all that it waits for is over."""

    def __init__(self, request: RunRequest, state: RunState) -> None:
        self._request = request
        self._state = state
        self.planner = request.planner
        self._steps: dict[str, PlanStep] = {step.id: step for step in request.plan.steps}
        self.outputs: dict[str, Mapping[str, Any] | None] = {}
        """What each step that is over gave; None: nothing."""
        self._blocked: set[str] = set()
        """Steps that were left out because of a failure above."""
        self._made: set[str] = set()
        """The artifacts among the outputs."""
        self._spent: Counter[str] = Counter()
        """What the steps so far asked for of the budgets that all share."""

    @property
    def nodes(self) -> Mapping[str, StepNode]:
        return self.planner.expanded.nodes

    def decide(self, step: str) -> LeftOut | Faulty | Reused | Ready:
        """What is to become of a step that is ready."""
        planned, node = self._steps[step], self.nodes[step]
        if planned.verdict is Verdict.SKIP:
            return LeftOut(planned.reason.detail)
        if missing := self._missing_inputs(step, node):
            if any(map(self._stops, missing)):
                self._blocked.add(step)
            return LeftOut(f"{', '.join(missing)} gave no result")
        if (foreseen := self.planner.foreseen.get(step)) is not None:
            return self._permit(planned, node, foreseen)
        try:
            condition, decider = self.planner.expanded.condition(node, self.outputs)
            if condition is False:
                return LeftOut(f"when: {decider.condition}")
            if condition is not True:
                return Faulty(
                    Failure("bad-condition", f'"when" must be true or false, not {condition!r}', "compare it")
                )
            decision = self.planner.decide(node, self.outputs)
        except ExpressionError as error:
            return Faulty(Failure("bad-expression", f"an expression cannot be evaluated: {error}", error.hint))
        return self._permit(planned, node, decision)

    def gave(self, step: str, outputs: Mapping[str, Any]) -> None:
        """A step has a result, which steps below may use."""
        self.outputs[step] = outputs
        self._made |= provenance.made(self._steps[step].uses, outputs)

    def may_share(self, decision: Decision) -> bool:
        """Whether the work can be left to another run that is doing the same."""
        return decision.fingerprint is not None and decision.verdict is Verdict.RUN and not self.planner.fresh

    def done_elsewhere(self, decision: Decision) -> Mapping[str, Any] | None:
        """What another run has made of the same work since it was decided to do it."""
        found = self.planner.history.outputs(decision.fingerprint or "")
        return found if found is not None and self._is_made_elsewhere(decision) else None

    def _is_made_elsewhere(self, decision: Decision) -> bool:
        """Whether another run made the result that is there after this one was planned, so that no plan could know."""
        maker = self.planner.history.made_since(decision.fingerprint or "", self._request.planned_ms)
        return maker not in (None, self._request.run)

    def revealed(self, decision: Decision) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The parameters to call the action with, secrets filled in, and these secrets. Raises Refused."""
        request = self._request
        params, revealed = secrets.reveal(decision.params, request.settings.secrets, request.environ)
        return params, tuple(sorted(revealed))

    def learn_status(self, status: RunStatus) -> None:
        """Lets the steps under ``finally`` know how the others went; what is known first stays."""
        if "status" not in self.planner.expanded.run:
            facts = {**self.planner.expanded.run, "status": status}
            self.planner = replace(self.planner, expanded=replace(self.planner.expanded, run=facts))

    def run_outputs(self) -> dict[str, Any]:
        """The pipeline's outputs, as far as the steps that they read have results."""
        expanded = self.planner.expanded
        found: dict[str, Any] = {}
        for name, value in expanded.loaded.spec.outputs.items():
            try:
                resolved = expanded.resolve(value, None, self.outputs)
            except ExpressionError:
                resolved = None
            found[name] = resolved if is_settled(resolved) else None
        return found

    def _permit(self, planned: PlanStep, node: StepNode, decision: Decision) -> Faulty | Reused | Ready:
        """The decision, if inputs, policy and secrets allow it."""
        if not is_settled(decision.params):
            return Faulty(
                Failure("missing-input", "an input is not there: the step that gives it was skipped"), decision
            )
        if fault := next(self._request.authority.call(node, decision.params, self._spent, self._made), None):
            return Faulty(Failure(fault.code, fault.message, fault.hint), decision)
        if asked := amounts(node, decision.params):
            self._spent.update(asked)
        if self._is_reusable(planned, node, decision):
            assert decision.outputs is not None
            self.gave(node.id, decision.outputs)
            return Reused(decision)
        try:
            self.revealed(decision)
        except Refused as error:
            return Faulty(Failure(error.code, error.message, error.hint), decision)
        return Ready(decision)

    def _is_reusable(self, planned: PlanStep, node: StepNode, decision: Decision) -> bool:
        if decision.verdict is not Verdict.REUSE:
            return False
        if planned.verdict is Verdict.RUN and not self._is_made_elsewhere(decision):
            return False  # what the plan says is carried out, also when a step of this run has just done the same work
        planner = self.planner
        if planner.action(node).effect is not Effect.SERVICE:
            return True
        # A service is not needed if every step that uses it would be reused, given the service's last outputs.
        outputs = {**self.outputs, node.id: decision.outputs or {}}
        users = [
            other for other in self._steps.values() if node.id in other.needs and other.verdict is not Verdict.SKIP
        ]
        return all(planner.decide(self.nodes[user.id], outputs).verdict is Verdict.REUSE for user in users)

    def _missing_inputs(self, step: str, node: StepNode) -> list[str]:
        """The steps above without a result that it cannot do without: those it reads, and failures that count."""
        required = self.planner.expanded.sources(node).steps
        return [
            above
            for above in self._state.failed_above(step)
            if required.get(above) or (self._stops(above) and not node.final)
        ]

    def _stops(self, step: str) -> bool:
        """Whether a step without a result stops those below: it failed, or was left out because of such a failure."""
        node = self.nodes[step]
        failed = self._state.status[step] is not Status.SKIPPED and node.options.on_error == "fail"
        return failed or step in self._blocked

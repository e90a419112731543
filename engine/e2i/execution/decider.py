"""A step that is ready goes in; what is to become of it comes out: left out, faulty, its result reused, or carried out.

Knows the plan and what the steps above gave; changes nothing but its own memory of that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from e2i.catalog import registry
from e2i.catalog.action import Effect
from e2i.check import provenance
from e2i.check.policy import amounts
from e2i.errors import Refused
from e2i.execution import secrets
from e2i.execution.record import RunStatus
from e2i.execution.request import RunRequest
from e2i.execution.state import RunState, Status
from e2i.planning.build import Decision
from e2i.planning.model import PlanStep, Reason, Verdict, Why
from e2i.spec.expansion.nodes import StepNode, is_settled
from e2i.spec.values import ExpressionError
from e2i.workers.executor import Failure
from e2i.workers.looking import Looker

BY_OUTPUTS = (Why.WHEN_FALSE, Why.UPSTREAM_SKIPPED)
"""Why a plan leaves a step out by what upstream steps gave."""


class Skip(Struct, frozen=True):
    """The step is not carried out, and the note says why."""

    note: str


class Invalid(Struct, frozen=True):
    """The step cannot be carried out as it is."""

    failure: Failure
    decision: Decision | None = None


class Reused(Struct, frozen=True):
    """A finished result stands for the step's own."""

    decision: Decision


class Execute(Struct, frozen=True):
    """The step is to be carried out."""

    decision: Decision
    known: Mapping[str, Any] | None = None
    """The outputs of a finished result, which stand if the worker finds its effect."""


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
        self._changed: set[str] = set()
        """Steps whose outputs are not those that the plan foresaw, and those below them."""
        self._looker = Looker(request.store, request.settings)
        self._spent: Counter[str] = Counter()
        """What the steps so far asked for of the budgets that all share."""

    @property
    def nodes(self) -> Mapping[str, StepNode]:
        return self.planner.expanded.nodes

    def decide(self, step: str) -> Skip | Invalid | Reused | Execute:
        """What is to become of a step that is ready."""
        planned, node = self._steps[step], self.nodes[step]
        if not self._changed.isdisjoint(planned.needs):
            self._changed.add(step)
        predicted_inputs = step not in self._changed
        if planned.verdict is Verdict.SKIP and (predicted_inputs or planned.reason.code not in BY_OUTPUTS):
            return Skip(planned.reason.detail)
        if missing := self._missing_inputs(step, node):
            if any(map(self._stops, missing)):
                self._blocked.add(step)
            return Skip(f"{', '.join(missing)} gave no result")
        if predicted_inputs and (predicted := self.planner.predicted.get(step)) is not None:
            return self._permit(planned, node, predicted)
        try:
            condition, decider = self.planner.expanded.condition(node, self.outputs)
            if condition is False:
                return Skip(f"when: {decider.condition}")
            if condition is not True:
                return Invalid(
                    Failure("bad-condition", f'"when" must be true or false, not {condition!r}', "compare it")
                )
            decision = self.planner.decide(node, self.outputs)
        except ExpressionError as error:
            return Invalid(Failure("bad-expression", f"an expression cannot be evaluated: {error}", error.hint))
        return self._permit(planned, node, decision)

    def gave(self, step: str, outputs: Mapping[str, Any] | None) -> None:
        """A step has a result, which steps below may use; or none."""
        self.outputs[step] = outputs
        predicted = self.planner.predicted.get(step)
        if predicted is not None and predicted.outputs != outputs:
            self._changed.add(step)
        if outputs is not None:
            self._made |= provenance.made(self._steps[step].uses, outputs)

    def may_share(self, decision: Decision) -> bool:
        """Whether the work can be left to another run that is doing the same."""
        return decision.fingerprint is not None and decision.verdict is Verdict.RUN and not self.planner.fresh

    def done_elsewhere(self, decision: Decision) -> Mapping[str, Any] | None:
        """What another run has made of the same work since it was decided to do it."""
        found = self.planner.history.outputs(decision.fingerprint or "")
        if found is None or not self._is_made_elsewhere(decision):
            return None
        uses = decision.components["action"]
        if not _is_verified(uses):
            return found
        return found if self._looker.can_see(uses) and not self._missing(decision, found) else None

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

    def _permit(self, planned: PlanStep, node: StepNode, decision: Decision) -> Invalid | Reused | Execute:
        """The decision, if inputs, policy and secrets allow it."""
        if not is_settled(decision.params):
            return Invalid(
                Failure("missing-input", "an input is not there: the step that gives it was skipped"), decision
            )
        if violation := next(self._request.authority.call(node, decision.params, self._spent, self._made), None):
            return Invalid(Failure(violation.code, violation.message, violation.hint), decision)
        if asked := amounts(node, decision.params):
            self._spent.update(asked)
        known = None
        if self._is_reusable(planned, node, decision):
            assert decision.outputs is not None
            if self._is_asked(node):
                known = decision.outputs
            elif missing := self._missing(decision, decision.outputs):
                decision = replace(decision, verdict=Verdict.RUN, reason=Reason(Why.EFFECT_LOST, missing), outputs=None)
            else:
                self.gave(node.id, decision.outputs)
                return Reused(decision)
        try:
            self.revealed(decision)
        except Refused as error:
            return Invalid(Failure(error.code, error.message, error.hint), decision)
        return Execute(decision, known)

    def _is_asked(self, node: StepNode) -> bool:
        """Whether a worker has to ask the step's tool for the effect of a finished result."""
        return self.planner.action(node).verified and not self._looker.can_see(node.step.uses)

    def _missing(self, decision: Decision, outputs: Mapping[str, Any]) -> str | None:
        """What is missing of the effect of a finished result, as far as files tell."""
        uses = decision.components["action"]
        if not _is_verified(uses):
            return None
        return self._looker.missing(uses, decision.params, outputs, decision.fingerprint or "")

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
            upstream
            for upstream in self._state.failed_upstream(step)
            if required.get(upstream) or (self._stops(upstream) and not node.final)
        ]

    def _stops(self, step: str) -> bool:
        """Whether a step without a result stops those below: it failed, or was left out because of such a failure."""
        node = self.nodes[step]
        failed = self._state.status[step] is not Status.SKIPPED and node.options.on_error == "fail"
        return failed or step in self._blocked


def _is_verified(uses: str) -> bool:
    found = registry.action(uses)
    return found is not None and found.verified

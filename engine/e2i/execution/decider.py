"""Decide for a ready step: skip it, reject it, reuse a result, or execute it.

In: a step whose upstream steps are over. Out: the decision. Uses the plan and the upstream outputs, and keeps only its
own record of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from msgspec import Struct
from msgspec.structs import replace

from e2i.catalog import marks
from e2i.catalog.action import Effect
from e2i.catalog.context import Superseded
from e2i.check import approval, provenance
from e2i.check.policy import amounts
from e2i.documents import OutputValues, ParamValues
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
from e2i.workspace import environment

BY_OUTPUTS = (Why.WHEN_FALSE, Why.UPSTREAM_SKIPPED)
"""Reasons for skipping a step that depend on upstream outputs."""


class Skip(Struct, frozen=True):
    """The step is skipped, for the reason in the note."""

    note: str


class Invalid(Struct, frozen=True):
    """The step cannot be executed with its inputs."""

    failure: Failure
    decision: Decision | None = None


class Reused(Struct, frozen=True):
    """A finished result is used as the step's own."""

    decision: Decision


class Execute(Struct, frozen=True):
    """The step is to be executed."""

    decision: Decision
    known: OutputValues | None = None
    """The outputs of a finished result, which are used if the worker finds its effect."""


class Decider:
    """Decides about the steps of one run, each when its upstream steps are over."""

    def __init__(self, request: RunRequest, state: RunState) -> None:
        self._request = request
        self._state = state
        self.planner = request.planner
        self._steps: dict[str, PlanStep] = {step.id: step for step in request.plan.steps}
        self.outputs: dict[str, OutputValues | None] = {}
        """The outputs of each finished step; None without a result."""
        self._blocked: set[str] = set()
        """Steps that were skipped because of a failed upstream step."""
        self._made: set[str] = set()
        """The artifacts among the outputs."""
        self._changed: set[str] = set()
        """Steps whose outputs differ from the predicted ones, and their downstream steps."""
        self._looker = Looker(request.store, request.settings, request.roots)
        self._writers: dict[str, tuple[str, ...]] = {}
        """The files that steps write in this run, by step. Readers take their new content, not that of the plan."""
        self._spent: Counter[str] = Counter()
        """Amounts taken so far from budgets that all steps share."""

    @property
    def nodes(self) -> Mapping[str, StepNode]:
        return self.planner.expanded.nodes

    def decide(self, step: str) -> Skip | Invalid | Reused | Execute:
        """Decides about a step that is ready."""
        planned, node = self._steps[step], self.nodes[step]
        if step in self.planner.given:
            given = self.planner.predicted[step]
            self.gave(step, given.outputs)
            return Reused(given)
        if not self._changed.isdisjoint(planned.needs):
            self._changed.add(step)
        predicted_inputs = step not in self._changed
        if self._writers and not predicted_inputs:
            self.planner.match_again(node)
        if planned.verdict is Verdict.SKIP and (predicted_inputs or planned.reason.code not in BY_OUTPUTS):
            return Skip(planned.reason.detail)
        if missing := self._missing_inputs(step, node):
            if any(map(self._stops, missing)):
                self._blocked.add(step)
            return Skip(f"{', '.join(missing)} returned no result")
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
        except Refused as error:  # a pattern matches too many files
            return Invalid(Failure(error.code, error.message, error.hint))
        return self._permit(planned, node, decision)

    def gave(self, step: str, outputs: OutputValues | None) -> None:
        """Records the outputs of a step, or that it has none, for its downstream steps."""
        self.outputs[step] = outputs
        predicted = self.planner.predicted.get(step)
        if step in self._writers or (predicted is not None and predicted.outputs != outputs):
            self._changed.add(step)
        if step in self._writers:
            self._look_again(self._writers[step])
        if outputs is not None:
            self._made |= provenance.made(self.planner.facts.registry.action(self._steps[step].uses), outputs)

    def may_share(self, decision: Decision) -> bool:
        """Returns whether another run that executes the same work can do it for this one."""
        return decision.fingerprint is not None and decision.verdict is Verdict.RUN and not self.planner.fresh

    def done_elsewhere(self, decision: Decision) -> OutputValues | None:
        """Returns the result that another run produced for the same work since the decision, if any."""
        found = self.planner.history.outputs(decision.fingerprint or "")
        if found is None or not self._is_made_elsewhere(decision):
            return None
        uses = decision.components.action
        if not self._is_verified(uses):
            return found
        return found if self._looker.can_see(uses) and not self._missing(decision, found) else None

    def _is_made_elsewhere(self, decision: Decision) -> bool:
        """Returns whether another run stored the result after this run was planned, when no plan could know it."""
        maker = self.planner.history.made_since(decision.fingerprint or "", self._request.planned_ms)
        return maker not in (None, self._request.run)

    def revealed(self, decision: Decision) -> tuple[ParamValues, tuple[str, ...]]:
        """Returns the parameters of the call with secrets filled in, and these secrets. Raises Refused."""
        request = self._request
        params, revealed = secrets.reveal(decision.params, request.settings.secrets, request.environ)
        return params, tuple(sorted(revealed))

    def learn_status(self, status: RunStatus) -> None:
        """Makes the status of the run known to the steps under ``finally``. The first status is kept."""
        if "status" not in self.planner.expanded.run:
            facts = {**self.planner.expanded.run, "status": status}
            self.planner = replace(self.planner, expanded=replace(self.planner.expanded, run=facts))

    def run_outputs(self) -> OutputValues:
        """Returns the pipeline's outputs, as far as the steps that they read have results."""
        expanded = self.planner.expanded
        found = OutputValues()
        for name, value in expanded.loaded.spec.outputs.items():
            try:
                resolved = expanded.resolve(value, None, self.outputs)
            except ExpressionError:
                resolved = None
            found[name] = resolved if is_settled(resolved) else None
        return found

    def _permit(self, planned: PlanStep, node: StepNode, decision: Decision) -> Invalid | Reused | Execute:
        """Returns the decision, if inputs, policy and secrets allow it."""
        if not is_settled(decision.params):
            return Invalid(
                Failure("missing-input", "an input is missing: the step that outputs it was skipped"), decision
            )
        if violation := next(self._request.authority.call(node, decision.params, self._spent, self._made), None):
            return Invalid(Failure(violation.code, violation.message, violation.hint), decision)
        if self._request.approval is None and (refused := self._unapproved(node, decision.params)):
            return Invalid(refused, decision)
        if asked := amounts(self.planner.action(node), decision.params):
            self._spent.update(asked)
        known = None
        if self._is_reusable(planned, node, decision):
            assert decision.outputs is not None
            if self._is_asked(node):
                known = decision.outputs
            elif (missing := self._missing(decision, decision.outputs)) and not (
                isinstance(missing, Superseded) and node.id in self._request.done
            ):
                decision = replace(decision, verdict=Verdict.RUN, reason=Reason(Why.EFFECT_LOST, missing), outputs=None)
            else:
                self.gave(node.id, decision.outputs)
                return Reused(decision)
        try:
            self.revealed(decision)
        except Refused as error:
            return Invalid(Failure(error.code, error.message, error.hint), decision)
        if written := marks.written(self.planner.action(node).params, decision.params):
            self._writers[node.id] = written
        return Execute(decision, known)

    def _unapproved(self, node: StepNode, params: ParamValues) -> Failure | None:
        """Returns the error of a step that needs an approval by the values that it has now, in a run without one."""
        demand = next(approval.of_step(node, params, self._request.authority, self._spent), None)
        if demand is None:
            return None
        return Failure(
            "not-approved", f"this step needs an approval ({demand.rule}): {demand.detail}", "have the plan approved"
        )

    def _look_again(self, files: Collection[str]) -> None:
        """Plans later steps with the present content of files that a step has just written."""
        facts = self.planner.facts
        present = environment.of(self._request.roots, self._request.settings)

        def is_written(name: str) -> bool:
            return any(name == file or name.startswith(f"{file}/") for file in files)

        def globbed(pattern: str) -> list[str]:
            return sorted({*facts.glob(pattern), *filter(is_written, present.glob(pattern))})

        self.planner = replace(
            self.planner,
            facts=replace(
                facts,
                file=lambda name: (present if is_written(name) else facts).file(name),
                matching=lambda name: (present if is_written(name) else facts).matching(name),
                glob=globbed,
            ),
        )

    def _is_asked(self, node: StepNode) -> bool:
        """Returns whether a worker must ask the step's tool for the effect of a finished result."""
        return self.planner.action(node).verified and not self._looker.can_see(node.step.uses)

    def _missing(self, decision: Decision, outputs: OutputValues) -> str | None:
        """Returns what is missing of the effect of a finished result, as far as files show it."""
        uses = decision.components.action
        if not self._is_verified(uses):
            return None
        return self._looker.missing(uses, decision.params, outputs, decision.fingerprint or "")

    def _is_verified(self, uses: str) -> bool:
        found = self.planner.facts.registry.action(uses)
        return found is not None and found.verified

    def _is_reusable(self, planned: PlanStep, node: StepNode, decision: Decision) -> bool:
        if decision.verdict is not Verdict.REUSE:
            return False
        if planned.verdict is Verdict.RUN and not self._is_made_elsewhere(decision):
            return False  # planned steps run, also when a step of this run has just done the same work
        planner = self.planner
        if planner.action(node).effect is not Effect.SERVICE:
            return True
        # A service is not needed if every step that uses it would be reused with the service's last outputs.
        outputs = {**self.outputs, node.id: decision.outputs or OutputValues()}
        users = [
            other for other in self._steps.values() if node.id in other.needs and other.verdict is not Verdict.SKIP
        ]
        return all(planner.decide(self.nodes[user.id], outputs).verdict is Verdict.REUSE for user in users)

    def _missing_inputs(self, step: str, node: StepNode) -> list[str]:
        """Returns the upstream steps without a result that block the step: those it reads, and failures that count."""
        required = self.planner.expanded.sources(node).steps
        return [
            upstream
            for upstream in self._state.failed_upstream(step)
            if required.get(upstream) or (self._stops(upstream) and not node.final)
        ]

    def _stops(self, step: str) -> bool:
        """Returns whether a step without a result blocks downstream steps: it failed, or such a failure blocked it."""
        node = self.nodes[step]
        failed = self._state.status[step] is not Status.SKIPPED and node.options.on_error == "fail"
        return failed or step in self._blocked

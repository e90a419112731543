"""Plans a pipeline: decides for each step whether it runs or is reused.

In: a checked spec and the history of past results. Out: the ``Plan``. Reads only. Nothing is run or written. ``decide``
is used twice: here for every step that can be decided before the run, and by the run for the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import Any, Literal, Protocol

from msgspec import UNSET, Struct, field
from msgspec.structs import replace

from e2i.catalog import marks
from e2i.catalog.action import Action, Effect
from e2i.catalog.registry import Registry
from e2i.documents import JsonObject, OutputValues, ParamValues, Values
from e2i.planning import fingerprint, graph
from e2i.planning.fingerprint import Environment
from e2i.planning.inputs import BoundOptions, Components
from e2i.planning.model import Plan, PlanStep, Reason, Undecided, Verdict, Why
from e2i.spec.expansion.evaluation import Results
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.expansion.nodes import Pending, StepNode, is_settled, shown
from e2i.spec.values import ExpressionError

SEED_PARAMETER = "seed"
"""The pipeline parameter that seeds every step. Without it the seed is 0."""


class History(Protocol):
    """Results of past runs. It has no method that writes."""

    def outputs(self, fingerprint: str) -> OutputValues | None:
        """Returns the outputs of a finished step, if the artifacts in them are all in the store."""

    def made_since(self, fingerprint: str, at_ms: int) -> str | None:
        """Returns the run that finished the step of that fingerprint, unless it ended before that time."""

    def any_result(self, static_key: str) -> bool:
        """Returns True when a finished step had the same parameters, whatever its inputs were."""

    def last(self, pipeline: str, step: str) -> Components | None:
        """Returns the components of the last finished run of this step of this pipeline, as recorded."""


class Decision(Struct, frozen=True):
    """The decision about a step, as far as its inputs are known."""

    verdict: Verdict
    reason: Reason
    components: Components
    fingerprint: str | None = None
    outputs: OutputValues | None = None
    """The result to reuse."""
    params: Any = None
    """The resolved parameters with which to call the action."""


class Planner(Struct, frozen=True, dict=True):
    """Makes the decisions about the steps of one pipeline."""

    expanded: Expanded
    history: History
    facts: Environment
    fresh: bool = False
    selected: Collection[str] | None = None
    """Ids of the selected nodes. None: all."""
    profile: str = "default"
    """The environment whose settings the run will use."""
    environment: Values = field(default_factory=dict)
    """The operator's settings that affect what the run does and where its outputs go."""
    resumes: str | None = None
    """The run that is resumed, if one is."""
    given: Mapping[str, OutputValues] = field(default_factory=dict)
    """Outputs of steps that are not to run, by node: the fixtures of a test. They are used as results."""
    finals: bool = True
    """Whether steps under ``finally`` run although they are not selected."""
    predicted: dict[str, Decision] = field(default_factory=dict)
    """Decisions of ``plan`` that a run need not repeat: those to reuse a result."""
    _fixed: dict[str, Components] = field(default_factory=dict)
    """The components of each step that no upstream step can change."""
    _keys: dict[str, str] = field(default_factory=dict)
    """The digests of these components."""

    @property
    def seed(self) -> int:
        value = self.expanded.params.get(SEED_PARAMETER, 0)
        return value if isinstance(value, int) else 0

    def plan(self) -> Plan:
        """Returns every step, in order, with its verdict."""
        steps: dict[str, PlanStep] = {}
        outputs: dict[str, OutputValues | None] = {}
        for name in graph.order(graph.waits(self.expanded)):
            node = self.expanded.nodes[name]
            needed_ids = self.expanded.upstream(node)
            needed = [steps[other] for other in needed_ids]
            decision = self._predicted(node, needed, outputs)
            if decision.outputs is not None or decision.verdict is Verdict.SKIP:
                outputs[name] = decision.outputs
            if decision.verdict is Verdict.REUSE:
                self.predicted[name] = decision
            steps[name] = PlanStep(
                id=name,
                group=node.group,
                uses=node.step.uses,
                needs=needed_ids,
                verdict=decision.verdict,
                reason=decision.reason,
                fingerprint=decision.fingerprint,
                components=decision.components,
                bound=self._bound(node),
                final=node.final,
                undecided=tuple(self._undecided(node)),
            )
        _start_needed_services(steps, self.expanded, self.facts.registry)
        params = ParamValues({name: shown(value) for name, value in self.expanded.params.items()})
        outputs_ = shown(self.expanded.resolve(self.expanded.loaded.spec.outputs, None, {}))
        return Plan(
            self.expanded.loaded.spec.name, tuple(steps.values()), params, self.profile, outputs_, self.environment
        )

    def decide(self, node: StepNode, outputs: Results) -> Decision:
        """Decides about a step, given the outputs of its upstream steps as far as they exist."""
        action = self.action(node)
        known = self._known_params(node)
        if node.id not in self._fixed:
            self._fixed[node.id] = fingerprint.fixed(node.step.uses, action, known, self.seed, self.facts, self._paths)
        settled = node.is_plain or is_settled(known)
        params = known if settled else self.expanded.resolve(node.step.with_, node, outputs)
        fixed = self._fixed[node.id]
        parts = (
            fingerprint.settled(fixed, params)
            if settled
            else fingerprint.components(fixed, action, params, self.facts, self._paths)
        )
        digest = fingerprint.fingerprint(parts) if settled or is_settled(params) else None
        verdict, reason, found = self._verdict(node, action, parts, digest, params, outputs)
        return Decision(verdict, reason, parts, digest, found, params)

    def match_again(self, node: StepNode) -> None:
        """Looks for the files that the patterns of a step match when it is decided next: others have been written."""
        if any(isinstance(mark, marks.FilePattern) for _, mark in marks.of(self.action(node).params)):
            self._fixed.pop(node.id, None)

    def _known_params(self, node: StepNode) -> Any:
        """Returns the parameters of a step, with ``Pending`` for values only known in a run. Raises ExpressionError."""
        known = self.expanded.known(node)
        for error in known.errors.values():
            raise error
        return known.values

    @cached_property
    def _paths(self) -> frozenset[str]:
        """Returns the values of all parameters of the type ``path``."""
        return frozenset(
            value
            for instance in self.expanded.instances
            for name, declared in instance.loaded.spec.params.items()
            if declared.type == "path" and isinstance(value := instance.params.get(name), str)
        )

    def static_key(self, step: str) -> str:
        """Returns a key that is equal for runs of a decided step that differ only in their inputs."""
        if step not in self._keys:
            self._keys[step] = fingerprint.static_key(self._fixed[step])
        return self._keys[step]

    def _verdict(
        self, node: StepNode, action: Action, parts: Components, digest: str | None, params: Any, outputs: Results
    ) -> tuple[Verdict, Reason, OutputValues | None]:
        """Returns the verdict of a step, its reason, and the result to reuse."""
        if always := self._always(node, action, params):
            return Verdict.ALWAYS, always, None
        if self.fresh:
            own = self.history.outputs(digest) if digest is not None and self._made(digest) else None
            if own is not None:
                return Verdict.REUSE, Reason(Why.UNCHANGED, "finished in this run before it was resumed"), own
            return Verdict.RUN, Reason(Why.FRESH, "requested by --fresh"), None
        if digest is None:
            if self.history.any_result(self.static_key(node.id)):
                waits = ", ".join(sorted(self._waits(node, params, outputs)))
                return Verdict.UNDECIDED, Reason(Why.UPSTREAM_RUNS, f"depends on the output of {waits}"), None
            return Verdict.RUN, _unsettled_difference(parts, self._last(node)), None
        found = self.history.outputs(digest)
        if found is not None:
            looked = "; its effect is verified during the run" if action.verified else ""
            return Verdict.REUSE, Reason(Why.UNCHANGED, f"a finished result exists{looked}"), found
        return Verdict.RUN, fingerprint.difference(parts, self._last(node)), None

    def _made(self, digest: str) -> bool:
        """Returns whether the resumed run itself has made that result: a fresh run ignores only those of others."""
        return self.resumes is not None and self.history.made_since(digest, 0) == self.resumes

    def _always(self, node: StepNode, action: Action, params: Any) -> Reason | None:
        """Returns the reason why the step runs regardless of past results, if there is one."""
        if action.always or (action.effect is Effect.SERVICE and _is_kept(params)):
            return Reason(Why.ALWAYS, f"{node.step.uses} is never reused")
        if action.effect is Effect.PURE and marks.changes_by_itself(action.params, params):
            return Reason(Why.ALWAYS, "what the name stands for changes by itself")
        if node.final:
            return Reason(Why.FINALLY, "runs after all others")
        if facts := self.expanded.sources(node).run:
            return Reason(Why.READS_RUN, "reads " + ", ".join(f"run.{fact}" for fact in sorted(facts)))
        if not node.options.cache:
            return Reason(Why.CACHE_OFF, "the step has cache: false")
        return None

    def _last(self, node: StepNode) -> Components | None:
        return self.history.last(self.expanded.loaded.spec.name, node.id)

    def _predicted(self, node: StepNode, upstream: list[PlanStep], outputs: Results) -> Decision:
        """Predicts the decision of the run. An expression that fails on a reused result fails its step, not the
        plan.
        """
        try:
            return self._decided(node, upstream, outputs)
        except ExpressionError:
            return self._decided(node, upstream, {})

    def _decided(self, node: StepNode, upstream: list[PlanStep], outputs: Results) -> Decision:
        if node.id in self.given:
            return self._given(node)
        condition = self.expanded.condition(node, outputs)
        skipped = self._skipped(node, upstream, condition)
        return skipped or self._conditional(node, upstream, condition, self.decide(node, outputs))

    def _given(self, node: StepNode) -> Decision:
        """Returns the decision for a step with given outputs. Its files and libraries do not matter."""
        action = self.action(node)
        parts = Components(
            action=node.step.uses, version=action.version, written={}, files={}, libraries={}, python="", seed=False
        )
        return Decision(Verdict.REUSE, Reason(Why.UNCHANGED, "given"), parts, None, self.given[node.id], {})

    def action(self, node: StepNode) -> Action:
        found = self.facts.registry.action(node.step.uses)
        assert found is not None, f"{node.step.uses} was checked"
        return found

    def _skipped(self, node: StepNode, upstream: list[PlanStep], condition: tuple[Any, StepNode]) -> Decision | None:
        """Returns the decision for a step that will certainly not run, or None."""
        reason = None
        required = self.expanded.sources(node).steps
        holds, decider = condition
        if self.selected is not None and node.id not in self.selected and not (node.final and self.finals):
            reason = Reason(Why.NOT_SELECTED, "not selected by --select")
        elif holds is False:
            reason = Reason(Why.WHEN_FALSE, f"when: {decider.condition}")
        elif lost := sorted(step.id for step in upstream if step.verdict is Verdict.SKIP and required.get(step.id)):
            reason = Reason(Why.UPSTREAM_SKIPPED, f"{', '.join(lost)} is skipped")
        if reason is None:
            return None
        known, action = self._known_params(node), self.action(node)
        fixed = fingerprint.fixed(node.step.uses, action, known, self.seed, self.facts, self._paths)
        parts = fingerprint.components(fixed, action, known, self.facts, self._paths)
        return Decision(Verdict.SKIP, reason, parts)

    def _conditional(
        self, node: StepNode, upstream: list[PlanStep], condition: tuple[Any, StepNode], decision: Decision
    ) -> Decision:
        """Returns the same decision, or an undecided one when the output of an upstream step decides whether it is
        skipped.
        """
        detail = ""
        required = self.expanded.sources(node).steps
        holds, decider = condition
        if isinstance(holds, Pending):
            detail = f"when: {decider.condition}"
        elif unsure := [s.id for s in upstream if s.reason.code is Why.WHEN_UNKNOWN and required.get(s.id)]:
            detail = f"{', '.join(unsure)} may be skipped"
        if not detail:
            return decision
        return replace(decision, verdict=Verdict.UNDECIDED, reason=Reason(Why.WHEN_UNKNOWN, detail), outputs=None)

    def _waits(self, node: StepNode, params: Any, outputs: Results) -> set[str]:
        """Returns the steps, as named in the spec, whose outputs the parameters depend on."""
        match params:
            case Pending():
                sources = (name for ref in params.references for name in self.expanded.behind(node, ref).steps)
                return {self.expanded.nodes[name].group for name in sources if name not in outputs}
            case dict():
                return set().union(*(self._waits(node, item, outputs) for item in params.values()))
            case list():
                return set().union(*(self._waits(node, item, outputs) for item in params))
        return set()

    def _bound(self, node: StepNode) -> BoundOptions:
        """Returns the options that decide how a step is executed, beyond those that can change its result."""
        conditions = [self.expanded.resolve(unit.step.when, unit, {}) for unit in node.chain]
        combinations, given = self._scope(node, conditions)
        return BoundOptions(
            when=[shown(condition) for condition in conditions],
            final=True if node.final else UNSET,
            agent=node.agent or UNSET,
            matrix=combinations or UNSET,
            given=given or UNSET,
            selected=self.selected is None or node.id in self.selected,
            fresh=self.fresh,
            **node.options.as_json,
        )

    def _scope(self, node: StepNode, conditions: list[Any]) -> tuple[list[JsonObject], list[ParamValues]]:
        """Returns the values that a step's undecided expressions read: its combinations, and the parameters of its
        included specs.
        """
        if (node.is_plain or is_settled(self._known_params(node))) and is_settled(conditions):
            return [], []
        combinations = [shown(unit.combination.values) for unit in node.chain if unit.combination]
        given = [
            ParamValues(shown(unit.inner.params)) for unit in node.chain if unit.inner is not None and unit.inner.params
        ]
        return combinations, given

    def _undecided(self, node: StepNode) -> Iterator[Undecided]:
        """Yields the parameters that choose a file or code, as far as they are only known in a run."""
        params = self.action(node).params
        if node.is_plain or not marks.of(params):
            return
        known = self._known_params(node)
        if isinstance(known, Pending):  # not even the names are known
            known = dict.fromkeys(params.model_fields, known)
        for path, mark in marks.reached(params, known, Pending):
            if isinstance(mark, marks.WorkspaceFile | marks.FilePattern | marks.Code):
                value = _at(known, path)
                kind: Literal["file", "code"] = "code" if marks.chooses_code(mark) else "file"
                yield Undecided(step=node.id, parameter=".".join(map(str, path)), kind=kind, value=_shown(value))


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _shown(value: Any) -> str:
    found = shown(value)
    return found if isinstance(found, str) else str(found["$expression"])


def _start_needed_services(steps: dict[str, PlanStep], expanded: Expanded, registry: Registry) -> None:
    """Starts a service only when a step that uses it runs, whether or not the service's own inputs changed."""
    working = (Verdict.RUN, Verdict.ALWAYS, Verdict.UNDECIDED)
    for name, step in steps.items():
        found = registry.action(step.uses)
        if found is None or found.effect is not Effect.SERVICE or step.verdict is not Verdict.REUSE:
            continue
        users = [other.id for other in steps.values() if name in other.needs and other.verdict in working]
        if users:
            reason = Reason(Why.NEEDED, f"{', '.join(users)} will use it")
            steps[name] = replace(step, verdict=Verdict.RUN, reason=reason)
        else:
            steps[name] = replace(step, reason=Reason(Why.NOT_NEEDED, "no step that uses it runs"))


def _unsettled_difference(parts: Components, last: Components | None) -> Reason:
    """Returns why a step with unknown inputs must run: no step with these parameters has finished."""
    reason = fingerprint.difference(replace(parts, params=last.params) if last else parts, last)
    if reason.code is Why.RESULT_LOST:
        return Reason(Why.INPUT_CHANGED, "the upstream steps have new outputs")
    return reason


def _is_kept(params: Any) -> bool:
    return isinstance(params, dict) and params.get("keep") is True

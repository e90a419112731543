"""The steps that there really are, and what their expressions see.

In: parts, nodes, outputs so far. Out: values, and who waits for whom.

``outputs`` everywhere maps the ids of nodes that are over to what they gave; None for one that gave no result, which
``default`` and ``is defined`` take for missing. A node that is not over is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from msgspec import Struct, field

from e2i.spec.expansion import dataflow
from e2i.spec.expansion.dataflow import Sources
from e2i.spec.expansion.evaluation import Evaluation, Outputs
from e2i.spec.expansion.nodes import SCALAR, Pending, SpecInstance, StepNode
from e2i.spec.load import LoadedSpec
from e2i.spec.references import Reference
from e2i.spec.values import ExpressionError

At = StepNode | SpecInstance | None
"""From where an expression looks: a step, or the outputs of a part; None: the outputs of the pipeline."""
RUN_FACTS = ("id", "name", "profile", "status")
"""What expressions may read of the run: its id, the pipeline's name, the profile; under ``finally`` how it went."""


class KnownParams(Struct, frozen=True):
    """A step's parameters before anything has run, with ``Pending`` where only the run can tell."""

    values: Mapping[str, Any]
    """Without those whose expression fails."""
    errors: Mapping[str, ExpressionError] = {}


class Expanded(Struct, frozen=True, dict=True):
    """All steps of a pipeline, with what is known of their scope."""

    root: SpecInstance
    env: Mapping[str, str]
    nodes: Mapping[str, StepNode]
    """The nodes to carry out, in the order of the spec, those of ``finally`` last."""
    instances: tuple[SpecInstance, ...] = ()
    """The pipeline and every part in it."""
    secrets: frozenset[str] = frozenset()
    """The names of the secrets that specs may use."""
    run: Mapping[str, str] = field(default_factory=dict)
    """The ``RUN_FACTS`` once there is a run."""
    _sources: dict[str, Sources] = field(default_factory=dict)
    _upstream: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def loaded(self) -> LoadedSpec:
        """The pipeline's own spec."""
        return self.root.loaded

    @property
    def params(self) -> Mapping[str, Any]:
        """The values of the pipeline's parameters."""
        return self.root.params

    @property
    def groups(self) -> Mapping[str, tuple[StepNode, ...]]:
        """The nodes of each step of the pipeline's own spec, combinations in the order of the matrix."""
        return self.root.units

    def units(self) -> Iterator[StepNode]:
        """Every step of every part, also those that include a part."""
        for instance in self.instances:
            for units in instance.units.values():
                yield from units

    def feeding(self, at: At, name: str) -> tuple[StepNode, ...]:
        """The nodes that ``steps.<name>`` means there: its own combination's counterpart, one step, or all
        combinations.
        """
        return dataflow.feeding(at or self.root, name)

    def is_one(self, at: At, name: str) -> bool:
        """True when ``steps.<name>`` is one step there: it has no matrix, or the combination has a counterpart."""
        return dataflow.is_one(at or self.root, name)

    def behind(self, at: At, reference: Reference) -> Sources:
        """What a reference leads to, through the parameters and outputs of parts."""
        return dataflow.behind(at or self.root, reference)

    def upstream(self, node: StepNode) -> tuple[str, ...]:
        """The ids of the nodes that must be over before ``node`` starts, sorted."""
        if node.id not in self._upstream:
            needed = set(self.sources(node).steps)
            for around in node.chain:
                for name in around.step.needs if around.final == node.final else ():
                    for unit in self.feeding(around, name):
                        needed.update(leaf.id for leaf in dataflow.leaves(unit) if leaf.final == unit.final)
            self._upstream[node.id] = tuple(sorted(needed))
        return self._upstream[node.id]

    def sources(self, node: StepNode) -> Sources:
        """What the node's parameters and conditions are made from."""
        if node.id not in self._sources:
            found = Sources()
            for unit in node.chain:
                for path, reference in unit.references:
                    # What a part is given counts where it is used.
                    if unit is node or path[2] == "when":
                        found.add(self.behind(unit, reference))
            self._sources[node.id] = found
        return self._sources[node.id]

    def is_known(self, at: At, reference: Reference, outputs: Outputs) -> bool:
        """True when everything that the reference reads is there."""
        return self._evaluation(outputs).is_known(at or self.root, reference)

    def resolve(self, value: Any, at: At, outputs: Outputs) -> Any:
        """The value with every expression evaluated that can be, and ``Pending`` in place of the others.

        Raises ExpressionError.
        """
        return self._evaluation(outputs).filled(value, at or self.root)

    def known(self, node: StepNode) -> KnownParams:
        """The parameters of a step, as far as they are known before anything has run."""
        if node.is_plain:
            return KnownParams(node.step.with_)
        if node.id in self._known:
            return self._known[node.id]
        values, errors = {}, {}
        for name, written in node.step.with_.items():
            try:
                values[name] = self.resolve(written, node, {})
            except ExpressionError as error:
                errors[name] = error
        found = KnownParams(values, errors)
        if all(isinstance(value, (Pending, *SCALAR)) for value in values.values()):  # a large value is not kept twice
            self._known[node.id] = found
        return found

    @cached_property
    def _known(self) -> dict[str, KnownParams]:
        return {}

    def fixed(self, value: Any, at: StepNode | SpecInstance) -> Any:
        """The same with what no run can change: ``params``, ``matrix`` and ``env``; secrets by name."""
        return Evaluation(self.env, self.run, {}, ("params", "matrix", "env", "secrets")).filled(value, at)

    def _evaluation(self, outputs: Outputs) -> Evaluation:
        return Evaluation(self.env, self.run, outputs) if outputs else self._before

    @cached_property
    def _before(self) -> Evaluation:
        """The evaluation before any step is over, which is asked for again and again."""
        return Evaluation(self.env, self.run, {})

    def condition(self, node: StepNode, outputs: Outputs) -> tuple[Any, StepNode]:
        """Whether the node is to be carried out, and the step whose ``when`` decides: its own or one around it.

        True, False, Pending, or a value that is no condition. Raises ExpressionError.
        """
        pending: tuple[Any, StepNode] | None = None
        for unit in node.chain:
            value = self.resolve(unit.step.when, unit, outputs) if unit.step.when is not True else True
            if isinstance(value, Pending):
                pending = pending or (value, unit)
            elif value is not True:
                return value, unit
        return pending or (True, node)

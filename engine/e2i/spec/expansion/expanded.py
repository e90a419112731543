"""The actual steps of a pipeline, and the values that their expressions can read.

In: included specs, nodes, outputs so far. Out: values, and the dependencies between nodes.

``outputs`` always maps the ids of finished nodes to their results. It is None for a node without a result, which
``default`` and ``is defined`` treat as missing. A node that has not finished is not in the mapping.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from msgspec import Struct, field

from e2i.documents import ParamValues
from e2i.spec.expansion import dataflow
from e2i.spec.expansion.dataflow import Sources
from e2i.spec.expansion.evaluation import Evaluation, Results
from e2i.spec.expansion.nodes import SCALAR, Pending, SpecInstance, StepNode
from e2i.spec.load import LoadedSpec
from e2i.spec.references import Reference
from e2i.spec.values import ExpressionError

At = StepNode | SpecInstance | None
"""The context of an expression: a step, or the outputs of an included spec. None: the outputs of the pipeline."""
RUN_FACTS = ("id", "name", "profile", "status")
"""Facts of the run that expressions may read: its id, the pipeline's name, the profile; under ``finally`` its
status.
"""


class KnownParams(Struct, frozen=True):
    """A step's parameters before the run, with ``Pending`` for values that are only known in the run."""

    values: ParamValues
    """Parameters whose expression fails are left out."""
    errors: Mapping[str, ExpressionError] = {}


class Expanded(Struct, frozen=True, dict=True):
    """All steps of a pipeline, with the known values of their scope."""

    root: SpecInstance
    env: Mapping[str, str]
    nodes: Mapping[str, StepNode]
    """The nodes to execute, in the order of the spec, those of ``finally`` last."""
    instances: tuple[SpecInstance, ...] = ()
    """The pipeline and every spec included in it."""
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
    def params(self) -> ParamValues:
        """The values of the pipeline's parameters."""
        return self.root.params

    @property
    def groups(self) -> Mapping[str, tuple[StepNode, ...]]:
        """The nodes of each step of the pipeline's own spec, combinations in the order of the matrix."""
        return self.root.units

    def units(self) -> Iterator[StepNode]:
        """Yields every step of every included spec, also steps that include a spec."""
        for instance in self.instances:
            for units in instance.units.values():
                yield from units

    def feeding(self, at: At, name: str) -> tuple[StepNode, ...]:
        """Returns the nodes that ``steps.<name>`` refers to in this context: the counterpart of the context's own
        combination, one step, or all combinations.
        """
        return dataflow.feeding(at or self.root, name)

    def is_one(self, at: At, name: str) -> bool:
        """Returns True when ``steps.<name>`` is one step in this context: without a matrix, or with a counterpart."""
        return dataflow.is_one(at or self.root, name)

    def behind(self, at: At, reference: Reference) -> Sources:
        """Returns what a reference depends on, through the parameters and outputs of included specs."""
        return dataflow.behind(at or self.root, reference)

    def upstream(self, node: StepNode) -> tuple[str, ...]:
        """Returns the sorted ids of the nodes that must have finished before ``node`` starts."""
        if node.id not in self._upstream:
            needed = set(self.sources(node).steps)
            for around in node.chain:
                for name in around.step.needs if around.final == node.final else ():
                    for unit in self.feeding(around, name):
                        needed.update(leaf.id for leaf in dataflow.leaves(unit) if leaf.final == unit.final)
            self._upstream[node.id] = tuple(sorted(needed))
        return self._upstream[node.id]

    def sources(self, node: StepNode) -> Sources:
        """Returns what the node's parameters and conditions depend on."""
        if node.id not in self._sources:
            found = Sources()
            for unit in node.chain:
                for path, reference in unit.references:
                    # Parameters of an included spec count where they are used.
                    if unit is node or path[2] == "when":
                        found.add(self.behind(unit, reference))
            self._sources[node.id] = found
        return self._sources[node.id]

    def is_known(self, at: At, reference: Reference, outputs: Results) -> bool:
        """Returns True when everything that the reference reads is available."""
        return self._evaluation(outputs).is_known(at or self.root, reference)

    def resolve(self, value: Any, at: At, outputs: Results) -> Any:
        """Returns the value with every known expression evaluated, and ``Pending`` for the others.

        Raises ExpressionError.
        """
        return self._evaluation(outputs).filled(value, at or self.root)

    def known(self, node: StepNode) -> KnownParams:
        """Returns the parameters of a step, as far as they are known before the run."""
        if node.is_plain:
            return KnownParams(ParamValues(node.step.with_))
        if node.id in self._known:
            return self._known[node.id]
        values, errors = ParamValues(), {}
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
        """Returns the value with everything filled in that no run can change: ``params``, ``matrix``, ``env``, secret
        names.
        """
        return Evaluation(self.env, self.run, {}, ("params", "matrix", "env", "secrets")).filled(value, at)

    def _evaluation(self, outputs: Results) -> Evaluation:
        return Evaluation(self.env, self.run, outputs) if outputs else self._before

    @cached_property
    def _before(self) -> Evaluation:
        """The evaluation before any step has finished. It is used repeatedly."""
        return Evaluation(self.env, self.run, {})

    def condition(self, node: StepNode, outputs: Results) -> tuple[Any, StepNode]:
        """Returns the condition of the node, and the step whose ``when`` decides: its own or an including step's.

        The condition is True, False, Pending, or an invalid value. Raises ExpressionError.
        """
        pending: tuple[Any, StepNode] | None = None
        for unit in node.chain:
            value = self.resolve(unit.step.when, unit, outputs) if unit.step.when is not True else True
            if isinstance(value, Pending):
                pending = pending or (value, unit)
            elif value is not True:
                return value, unit
        return pending or (True, node)

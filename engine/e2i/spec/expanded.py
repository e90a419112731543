"""The steps that there really are, and what their expressions see.

In: parts, nodes, outputs so far. Out: values, and who waits for whom.

``outputs`` everywhere maps the ids of nodes that are over to what they gave; None for one that gave no result, which
``default`` and ``is defined`` take for missing. A node that is not over is not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from e2i.spec import expressions, lineage, params
from e2i.spec.expressions import ExpressionError, MissingError, Reference
from e2i.spec.load import LoadedSpec
from e2i.spec.lineage import Sources
from e2i.spec.nodes import Part, Pending, StepNode, plain

At = StepNode | Part | None
"""From where an expression looks: a step, or the outputs of a part; None: the outputs of the pipeline."""
Outputs = Mapping[str, Mapping[str, Any] | None]
RUN_FACTS = ("id", "name", "profile", "status")
"""What expressions may read of the run: its id, the pipeline's name, the profile; under ``finally`` also how it went."""



@dataclass(frozen=True)
class Expanded:
    """All steps of a pipeline, with what is known of their scope."""

    root: Part
    env: Mapping[str, str]
    nodes: Mapping[str, StepNode]
    """The nodes to carry out, in the order of the spec, those of ``finally`` last."""
    parts: tuple[Part, ...] = ()
    """The pipeline and every part in it."""
    secrets: frozenset[str] = frozenset()
    """The names of the secrets that specs may use."""
    run: Mapping[str, str] = field(default_factory=dict)
    """The ``RUN_FACTS`` once there is a run."""
    _sources: dict[str, Sources] = field(default_factory=dict)
    _upstream: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _open: set[tuple[int, Reference]] = field(default_factory=set)

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
        """The nodes of each step of the pipeline's own spec, cells in the order of the matrix."""
        return self.root.units

    def units(self) -> Iterator[StepNode]:
        """Every step of every part, also those that include a part."""
        for part in self.parts:
            for units in part.units.values():
                yield from units

    def feeding(self, at: At, name: str) -> tuple[StepNode, ...]:
        """The nodes that ``steps.<name>`` means there: its own cell's counterpart, one step, or all cells."""
        return lineage.feeding(at or self.root, name)

    def is_one(self, at: At, name: str) -> bool:
        """True when ``steps.<name>`` is one step there: it has no matrix, or the cell has a counterpart."""
        return lineage.is_one(at or self.root, name)

    def behind(self, at: At, reference: Reference) -> Sources:
        """What a reference leads to, through the parameters and outputs of parts."""
        return lineage.behind(at or self.root, reference)

    def upstream(self, node: StepNode) -> tuple[str, ...]:
        """The ids of the nodes that must be over before ``node`` starts, sorted."""
        if node.id not in self._upstream:
            needed = set(self.sources(node).steps)
            for around in node.chain:
                for name in around.step.needs if around.final == node.final else ():
                    for unit in self.feeding(around, name):
                        needed.update(below.id for below in lineage.leaves(unit) if below.final == unit.final)
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
        if reference.root in ("env", "secrets"):
            return True
        found = self.behind(at, reference)
        return (
            not found.is_open
            and all(name in outputs for name in found.steps)
            and all(fact in self.run for fact in found.run)
        )

    def resolve(self, value: Any, at: At, outputs: Outputs) -> Any:
        """The value with every expression evaluated that can be, and ``Pending`` in place of the others.

        Raises ExpressionError.
        """
        here = at or self.root
        return self._filled(value, here, outputs, lambda reference: self.is_known(here, reference, outputs))

    def fixed(self, value: Any, at: StepNode | Part) -> Any:
        """The same with what no run can change: ``params``, ``matrix`` and ``env``."""
        fixed = ("params", "matrix", "env", "secrets")
        return self._filled(value, at, {}, lambda ref: ref.root in fixed and self.is_known(at, ref, {}))

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

    def _filled(self, value: Any, at: StepNode | Part, outputs: Outputs, known: Callable[[Reference], bool]) -> Any:
        if isinstance(value, dict):
            return {key: self._filled(item, at, outputs, known) for key, item in value.items()}
        if isinstance(value, list):
            return [self._filled(item, at, outputs, known) for item in value]
        if not isinstance(value, str) or not expressions.has_expression(value):
            return value
        template = expressions.parse(value)
        if all(known(reference) for reference in template.references):
            return expressions.evaluate(template, self._scope(at, template.references, outputs))
        return Pending(value, template.references, tuple(self._through(at, template.references)))

    def _scope(self, at: StepNode | Part, references: Iterable[Reference], outputs: Outputs) -> dict[str, Any]:
        """The names that these references use, with their values."""
        part = at.part
        values = part.params
        steps: dict[str, Any] = {}
        wanted: dict[str, set[str] | None] = {}
        for reference in references:
            if reference.root == "params" and part.owner:
                values = {**values, **self._given(part, reference, outputs)}
            elif reference.root == "steps" and reference.path:
                name = str(reference.path[0])
                output = lineage.output(reference, one=self.is_one(at, name))
                earlier = wanted.get(name, set())
                wanted[name] = None if output is None or earlier is None else {*earlier, output}
        for name, names in wanted.items():
            if self.is_one(at, name):
                result = self._result(self.feeding(at, name)[0], names, outputs)
                if result is not None:
                    steps[name] = result
            elif cells := self.feeding(at, name):
                # A cell that gave no result is not in the list; only what can do without it comes this far.
                results = ((cell, self._result(cell, names, outputs)) for cell in cells)
                steps[name] = [
                    {"matrix": dict(cell.cell or {}), "outputs": result}
                    for cell, result in results
                    if result is not None
                ]
        return {"params": values, "env": self.env, "matrix": at.cell or {}, "run": self.run, "steps": steps}

    def _given(self, part: Part, reference: Reference, outputs: Outputs) -> dict[str, Any]:
        """The values of a part's parameters that only a run can tell, as the including step gives them."""
        owner, found = part.owner, {}
        for name in reference.path[:1] or part.loaded.spec.params:
            if owner is None or name in part.params or name not in owner.step.with_:
                continue
            name = str(name)
            try:
                value = self.resolve(owner.step.with_[name], owner, outputs)
            except MissingError:
                continue
            declared = part.loaded.spec.params.get(name)
            fault = params.check_value(declared, value)[1] if declared else None
            if fault:
                raise ExpressionError(f'the value of parameter "{name}" of step "{owner.id}" {fault}')
            found[name] = value
        return found

    def _result(self, unit: StepNode, wanted: set[str] | None, outputs: Outputs) -> Mapping[str, Any] | None:
        """What a step gave; of a part, the wanted outputs. None when there is no result."""
        if unit.inner is None:
            return outputs.get(unit.id)
        declared = unit.inner.loaded.spec.outputs
        found: dict[str, Any] = {}
        for name in declared if wanted is None else wanted & declared.keys():
            try:
                found[name] = self.resolve(declared[name], unit.inner, outputs)
            except MissingError:
                continue
        was_left_out = not found and all(outputs.get(node.id) is None for node in lineage.leaves(unit))
        return None if was_left_out else found

    def _through(self, at: StepNode | Part, references: Iterable[Reference]) -> Iterator[tuple[str, Any]]:
        """What stands behind references into or out of parts, so that a change of it is seen."""
        for ref in references:
            key = (id(at), ref)
            if key in self._open:  # steps that wait for each other, which is a problem of its own
                continue
            self._open.add(key)
            try:
                yield from self._one_through(at, ref)
            finally:
                self._open.discard(key)

    def _one_through(self, at: StepNode | Part, ref: Reference) -> Iterator[tuple[str, Any]]:
        part = at.part
        name = str(ref.path[0]) if ref.path else ""
        if ref.root == "params" and part.owner and name in part.owner.step.with_ and name not in part.params:
            yield str(ref), plain(self.resolve(part.owner.step.with_[name], part.owner, {}))
        elif ref.root == "steps":
            inner = next((unit.inner for unit in self.feeding(at, name) if unit.inner), None)
            if inner is not None:
                wanted = lineage.output(ref, one=self.is_one(at, name))
                declared = inner.loaded.spec.outputs
                written = declared if wanted is None else declared.get(wanted)
                yield str(ref), plain(self.resolve(written, inner, {}))

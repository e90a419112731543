"""Determines the type of every expression. In: an expanded spec, and upstream output types. Out: ``Types``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from e2i.catalog.registry import BUILT_IN, Registry
from e2i.check import types
from e2i.check.types import ANY, MAPPING, STRING, Type, Types
from e2i.spec import expressions
from e2i.spec.expansion.expanded import At, Expanded
from e2i.spec.expansion.matrix import Combination
from e2i.spec.expansion.nodes import Pending, SpecInstance, StepNode
from e2i.spec.expressions import Expression, Template
from e2i.spec.references import Reference


class TypeEnvironment:
    """The known output types of each step. Steps are added in dependency order."""

    def __init__(self, expanded: Expanded, registry: Registry = BUILT_IN) -> None:
        self._expanded = expanded
        self.registry = registry
        self.columns = 0
        """Number of known columns, of all tables together."""
        self._outputs: dict[str, Type] = {}
        self._written: dict[tuple[int, str], Types] = {}

    @property
    def outputs(self) -> Mapping[str, Type]:
        """The known output types of the steps checked so far, by node id."""
        return self._outputs

    def learn(self, node: StepNode, outputs: Type) -> None:
        """Records the known output types of a step."""
        self._outputs[node.id] = outputs
        self.columns += sum(
            len(getattr(type_.known, "columns", ())) for given in outputs.inside.values() for type_ in given
        )
        self._written.clear()

    def of_template(self, template: Template, node: At) -> tuple[Types, list[tuple[Expression, str]]]:
        """Returns the type of a text with expressions, and its type errors. ``node=None``: in the pipeline's
        outputs.
        """
        found: list[Types] = []
        errors: list[tuple[Expression, str]] = []
        for instance in template.expressions:
            if isinstance(instance.body, Reference):
                found.append(self.of_reference(instance.body, node))
                continue
            from e2i.check import formulas  # needs Jinja2, which is only imported for specs with formulas

            given, wrong = formulas.infer(instance.body, lambda reference: self.of_reference(reference, node))
            found.append(given)
            errors += [(instance, message) for message in wrong]
        return (found[0] if template.whole else STRING), errors

    def of_reference(self, reference: Reference, node: At) -> Types:
        """Returns the type of the reference, or any for a dangling one, which ``references`` reports."""
        if len(self._expanded.instances) > 1 and self._expanded.behind(node, reference).too_far:
            return ANY
        given, path = self._start(reference, node)
        for key in path:
            given = types.inside(given, key) or ANY
        return given

    def of_step(self, group: str, node: At) -> Types:
        """Returns the type of ``steps.<group>`` for ``node``: a mapping of outputs, or a list with one entry for each
        combination.
        """
        feeding = self._feeding(group, node)
        if self._expanded.is_one(node, group):
            return (self._given_by(feeding[0]),)
        combinations: dict[str | int, Types] = {
            index: (
                Type("mapping", {"matrix": _combination(upstream.combination), "outputs": (self._given_by(upstream),)}),
            )
            for index, upstream in enumerate(feeding)
        }
        return (Type("list", combinations),) if combinations else ANY

    def _start(self, reference: Reference, node: At) -> tuple[Types, tuple[str | int, ...]]:
        """Returns the type of the first name, and the path after it."""
        path = reference.path
        match reference.root:
            case "steps" if path:
                return self.of_step(str(path[0]), node), path[1:]
            case "params" if path:
                return self._parameter(str(path[0]), (node or self._expanded.root).instance), path[1:]
            case "matrix":
                return _combination(node.combination if node else None), path
            case "params":
                return MAPPING, path
        return (STRING, path[1:]) if path else (MAPPING, path)

    def _parameter(self, name: str, instance: SpecInstance) -> Types:
        value = instance.params.get(name)
        if value is not None and not isinstance(value, Pending):
            return types.of_value(value)
        declared = instance.loaded.spec.params.get(name)
        if declared is not None and instance.owner and name in instance.owner.step.with_:
            return self._of_written(instance.owner.step.with_[name], instance.owner)
        return ANY if declared is None or name in instance.params else types.declared(declared.type)

    def _of_written(self, written: Any, node: At) -> Types:
        """Returns the type of a value as written, by the expressions in it. In a cycle: any."""
        if isinstance(written, dict):
            return (Type("mapping", {key: self._of_written(item, node) for key, item in written.items()}),)
        if isinstance(written, list):
            return (Type("list", {index: self._of_written(item, node) for index, item in enumerate(written)}),)
        if not isinstance(written, str) or not expressions.has_expression(written):
            return types.of_value(written)
        key = (id(node), written)
        if key not in self._written:
            self._written[key] = ANY
            self._written[key] = self.of_template(expressions.parse(written), node)[0]
        return self._written[key]

    def _feeding(self, group: str, node: At) -> tuple[StepNode, ...]:
        return self._expanded.feeding(node, group)

    def _given_by(self, node: StepNode) -> Type:
        """Returns a step's output types: as recorded, or as declared when it has not been checked (in a cycle)."""
        if node.inner is not None:
            declared = node.inner.loaded.spec.outputs
            if not node.inner.loaded.is_whole:
                return ANY[0]
            return Type("mapping", {name: self._of_written(written, node.inner) for name, written in declared.items()})
        if node.id not in self._outputs:
            found = self.registry.action(node.step.uses)
            return types.of_model(found.outputs) if found else ANY[0]
        return self._outputs[node.id]


def _combination(combination: Combination | None) -> Types:
    if combination is None:
        return MAPPING
    return (Type("mapping", {name: ANY if isinstance(value, Pending) else types.of_value(value)
                             for name, value in combination.values.items()}),)  # fmt: skip

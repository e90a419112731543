"""The changes that can be made to a spec, by kind.

In: a valid spec with the types of its outputs. Out: ``Change``s. Some are not valid; ``choosing`` leaves them out. What
cannot change a result is not changed: descriptions, retries, time limits, resources, tags.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from e2i.catalog.columns import KnownTable
from e2i.catalog.value_schema import ValueSchema
from e2i.check.type_environment import TypeEnvironment
from e2i.check.types import Types
from e2i.documents import JsonObject
from e2i.spec import expressions
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.expansion.nodes import StepNode
from e2i.testing.mutation import wording
from e2i.testing.mutation.changes import Change, Keys, Kind

HYPERPARAMETERS = ("params", "hyperparameters", "space", "fixed")
"""Keys below which numbers are hyperparameters of an algorithm."""
MOST_OTHERS = 2
"""Other columns, choices or outputs that one value is replaced by."""


def changes(data: JsonObject, expanded: Expanded, environment: TypeEnvironment) -> Iterator[Change]:
    """Yields the changes of the spec's own text, in the order of the file. Included specs are not changed."""
    for name, declared in (data.get("params") or {}).items():
        yield from _default(name, declared)
    nodes: dict[str, StepNode] = {}
    for node in expanded.nodes.values():
        if node.instance is expanded.root:
            nodes.setdefault(node.group, node)
    for name, step in data["steps"].items():
        yield Change("dropped-step", ("steps", name), name, step.get("uses"), drop=True)
        if isinstance(when := step.get("when"), str):
            for after in wording.conditions(when):
                yield Change("condition", ("steps", name, "when"), name, when, after)
        if name in nodes and isinstance(step.get("with"), dict):
            yield from _Step(name, step["with"], nodes[name], expanded, environment).changes()


def _default(name: str, declared: Any) -> Iterator[Change]:
    """Yields other defaults of a parameter of the spec."""
    if not isinstance(declared, dict) or "default" not in declared or name == "seed":
        return
    path: Keys = ("params", name, "default")
    before = declared["default"]
    others = [item for item in declared.get("choices") or () if item != before][:MOST_OTHERS]
    for after in others or wording.other_numbers(before):
        yield Change("default", path, "", before, after)


class _Step:
    """The changes of the parameters of one step."""

    def __init__(
        self, name: str, written: JsonObject, node: StepNode, expanded: Expanded, environment: TypeEnvironment
    ) -> None:
        self._name = name
        self._written = written
        self._node = node
        self._expanded = expanded
        self._environment = environment
        action = environment.registry.action(node.step.uses)
        assert action is not None, f"{node.step.uses} was checked"
        self._schema = ValueSchema.of_model(action.params.model_json_schema())
        self._columns = self._input_columns()

    def changes(self) -> Iterator[Change]:
        for key, value in self._written.items():
            is_reference = isinstance(value, str) and expressions.has_expression(value)
            if not is_reference and not self._is_default(key, value):
                yield Change("dropped-parameter", self._path((key,)), self._name, value, drop=True)
            yield from self._value((key,), value)

    def _is_default(self, key: str, value: Any) -> bool:
        """Returns whether leaving the parameter out changes nothing, or only what people read."""
        schema = self._schema.properties.get(key)
        return key == "description" or (schema is not None and schema.default == value)

    def _path(self, keys: Keys) -> Keys:
        return ("steps", self._name, "with", *keys)

    def _value(self, keys: Keys, value: Any) -> Iterator[Change]:
        path = self._path(keys)
        match value:
            case dict():
                for key, item in value.items():
                    yield from self._value((*keys, key), item)
            case list():
                if len(value) > 1 and all(item in self._columns for item in value if isinstance(item, str)):
                    yield Change("column", path, self._name, value, value[:-1])
                for index, item in enumerate(value):
                    yield from self._value((*keys, index), item)
            case bool():
                yield Change("choice", path, self._name, value, not value)
            case int() | float():
                kind: Kind = "hyperparameter" if any(key in HYPERPARAMETERS for key in keys) else "number"
                for after in wording.other_numbers(value):
                    yield Change(kind, path, self._name, value, after)
            case str():
                yield from self._text(keys, path, value)

    def _text(self, keys: Keys, path: Keys, value: str) -> Iterator[Change]:
        if expressions.has_expression(value):
            for after in wording.conditions(value):
                yield Change("expression", path, self._name, value, after)
            for after in self._other_references(value):
                yield Change("reference", path, self._name, value, after)
        elif value in self._columns:
            kind = self._columns[value]
            others = [name for name, other in self._columns.items() if name != value and other == kind]
            others += [name for name in self._columns if name != value and name not in others]
            for after in others[:MOST_OTHERS]:
                yield Change("column", path, self._name, value, after)
        else:
            choices = _choices(self._schema, keys)
            for after in [item for item in choices if item != value and item is not None][:MOST_OTHERS]:
                yield Change("choice", path, self._name, value, after)

    def _input_columns(self) -> dict[str, str | None]:
        """Returns the columns of the tables that the step reads."""
        found: dict[str, str | None] = {}
        for path, reference in self._node.references:
            if path[2] == "with" and reference.root == "steps":
                for table in _tables(self._environment.of_reference(reference, self._node)):
                    found.update(table.columns)
        return found

    def _other_references(self, text: str) -> Iterator[str]:
        """Yields the text with another output of the same type, of the same step or of another one."""
        template = expressions.parse(text)
        if template.whole is None:
            return
        for reference in template.references:
            if reference.root != "steps" or len(reference.path) != 2:
                continue
            names = _artifacts(self._environment.of_reference(reference, self._node))
            own, output = (str(key) for key in reference.path)
            count = 0
            for step, other in self._outputs(own):
                if (step, other) != (own, output) and names and self._fits(step, other, names):
                    yield text.replace(f"steps.{own}.{output}", f"steps.{step}.{other}")
                    count += 1
                if count == MOST_OTHERS:
                    break

    def _outputs(self, first: str) -> Iterator[tuple[str, str]]:
        """Yields the outputs of single steps of the spec: those of ``first``, then of the others but this one."""
        single = [
            node
            for node in self._expanded.nodes.values()
            if node.instance is self._expanded.root and node.combination is None and node.id != self._name
        ]
        for node in sorted(single, key=lambda one: one.id != first):
            given = self._environment.outputs.get(node.id)
            for name in given.inside if given else ():
                yield node.id, str(name)

    def _fits(self, step: str, output: str, names: frozenset[str]) -> bool:
        given = self._environment.outputs[step].inside[output]
        return bool(names & _artifacts(given))


def _tables(given: Types) -> Iterator[KnownTable]:
    for one in given:
        if isinstance(one.known, KnownTable):
            yield one.known
        elif one.name in ("list", "mapping"):
            for inner in one.inside.values():
                yield from _tables(inner)


def _artifacts(given: Types) -> frozenset[str]:
    """Returns the names of the artifact types among the types of a value."""
    from e2i.catalog.artifacts import ARTIFACTS

    return frozenset(one.name for one in given if one.name in ARTIFACTS)


def _choices(schema: ValueSchema, keys: Sequence[str | int]) -> tuple[Any, ...]:
    """Returns the values that the parameter at these keys allows, where they are listed."""
    found = [schema]
    for key in keys:
        inner: list[ValueSchema | None] = []
        for option in (each for one in found for each in one.options):
            inner.append(option.properties.get(str(key)) or (option.items if isinstance(key, int) else option.entries))
        found = [one for one in inner if one is not None]
    return tuple(dict.fromkeys(value for one in found for option in one.options for value in option.choices))

"""Resolves references through matrix combinations and through the parameters and outputs of included specs.

In: a step or included spec as context, and a reference. Out: the nodes it refers to, and all that its value depends on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct, field

from e2i.spec import expressions
from e2i.spec.expansion.nodes import SpecInstance, StepNode, is_settled
from e2i.spec.references import Reference

MAX_HOPS = 32
"""Parameters and outputs of included specs through which a value may be passed."""


class Sources(Struct):
    """The sources of a value. ``steps``: ids of nodes. True: the value cannot be computed without the node's result."""

    steps: dict[str, bool] = field(default_factory=dict)
    run: set[str] = field(default_factory=set)
    is_open: bool = False
    """The value needs a parameter without a value, or something that does not exist."""
    too_far: bool = False
    """The value passes through more than ``MAX_HOPS`` included specs."""

    def add(self, other: Sources) -> None:
        for name, required in other.steps.items():
            self.steps[name] = self.steps.get(name, False) or required
        self.run |= other.run
        self.is_open |= other.is_open
        self.too_far |= other.too_far


def feeding(at: StepNode | SpecInstance, name: str) -> tuple[StepNode, ...]:
    """Returns the nodes for ``steps.<name>`` in this context: the own combination's counterpart, one step, or all."""
    same = _counterpart(at, name)
    return (same,) if same else at.instance.units.get(name, ())


def is_one(at: StepNode | SpecInstance, name: str) -> bool:
    """Returns True when ``steps.<name>`` is one step in this context: without a matrix, or with a counterpart."""
    units = at.instance.units.get(name, ())
    return bool(units) and (units[0].combination is None or _counterpart(at, name) is not None)


def plain_step(at: StepNode | SpecInstance, name: str) -> StepNode | None:
    """Returns the step for ``steps.<name>`` when it is a single step without combinations that includes no spec."""
    units = at.instance.units.get(name, ())
    return units[0] if len(units) == 1 and units[0].combination is None and units[0].inner is None else None


def leaves(unit: StepNode) -> Iterator[StepNode]:
    """Yields the nodes to execute for a step: itself, or those of its included spec."""
    if unit.inner is None:
        yield unit
    else:
        for units in unit.inner.units.values():
            for downstream in units:
                yield from leaves(downstream)


def output(reference: Reference, *, one: bool) -> str | None:
    """Returns the output that a reference names: ``steps.a.NAME``, or ``steps.a[0].outputs.NAME``. None: all
    outputs.
    """
    path = reference.path[1:] if one else reference.path[3:] if reference.path[2:3] == ("outputs",) else ()
    return path[0] if path and isinstance(path[0], str) else None


def behind(at: StepNode | SpecInstance, reference: Reference) -> Sources:
    """Returns everything that a reference's value depends on."""
    found = Sources()
    waiting: list[_Step] = [(at, reference, True, 0)]
    seen: dict[tuple[StepNode | SpecInstance, Reference, bool], int] = {}
    while waiting:
        here, ref, required, hops = waiting.pop()
        if hops <= seen.get((here, ref, required), -1):
            continue  # two paths lead here, and the rest is followed once
        seen[here, ref, required] = hops
        required = required and not ref.optional
        if hops > MAX_HOPS:
            found.too_far = found.is_open = True
            return found
        match ref.root:
            case "steps" if ref.path:
                waiting += [(*step, required, hops + 1) for step in _into_steps(here, ref, required, found)]
            case "params":
                waiting += [(*step, required, hops + 1) for step in _out_of_instance(here.instance, ref, found)]
            case "run":
                found.run.add(str(ref.path[0]) if ref.path else "id")
            case "matrix":
                values = (here.matrix.get(str(name)) for name in ref.path[:1] or here.matrix)
                found.is_open |= not all(map(is_settled, values))
    return found


_Step = tuple[StepNode | SpecInstance, Reference, bool, int]
"""A reference to follow: its context, whether its value is required, and the number of included specs passed."""


def _into_steps(
    here: StepNode | SpecInstance, ref: Reference, required: bool, found: Sources
) -> Iterator[tuple[StepNode | SpecInstance, Reference]]:
    """Records the steps of a reference. For a step that includes a spec, yields the references in its outputs."""
    name = str(ref.path[0])
    units = feeding(here, name)
    found.is_open |= not units
    for unit in units:
        if unit.inner is None:
            found.steps[unit.id] = found.steps.get(unit.id, False) or required
            continue
        found.is_open |= not unit.inner.loaded.is_whole
        declared, wanted = unit.inner.loaded.spec.outputs, output(ref, one=is_one(here, name))
        for given in declared if wanted is None else [wanted]:
            for text in _texts(declared.get(given)):
                yield from ((unit.inner, other) for other in expressions.parse(text).references)


def _out_of_instance(
    instance: SpecInstance, ref: Reference, found: Sources
) -> Iterator[tuple[StepNode | SpecInstance, Reference]]:
    """Yields the references in what the including step passes for a parameter."""
    for name in ref.path[:1] or instance.loaded.spec.params:
        if name in instance.params:
            continue
        owner = instance.owner
        if owner is None or name not in owner.step.with_ or name in instance.unusable:
            found.is_open = True
            continue
        yield from ((owner, other) for path, other in owner.references if path[2:4] == ("with", name))


def _counterpart(at: StepNode | SpecInstance, name: str) -> StepNode | None:
    """Returns the combination with the same values, when both matrix steps have the same names."""
    if at.combination is None:
        return None
    for names, combinations in at.instance.combinations.get(name, {}).items():
        if at.combination.values.keys() >= set(names) and (found := combinations.get(at.combination.pairing(names))):
            return found
    return None


def _texts(value: Any) -> Iterator[str]:
    """Yields the texts with expressions in nested data."""
    if isinstance(value, str):
        if expressions.has_expression(value):
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)

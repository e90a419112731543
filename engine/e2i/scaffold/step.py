"""Write the skeleton of an action's step: what is required, with references to the newest outputs that fit.

In: an action, and the outputs that the steps of a spec offer. Out: ``Skeleton``: lines of YAML, and what is left to
fill in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from msgspec import Struct, field

from e2i.catalog.action import Action
from e2i.catalog.artifacts import ARTIFACTS
from e2i.catalog.files import Files
from e2i.catalog.forms import Field
from e2i.check import choices, types
from e2i.check.type_environment import TypeEnvironment
from e2i.check.types import Types
from e2i.documents import ParamValues
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.writing import written

MOST_TRIED = 20
"""Most outputs that are tried for one parameter, newest first."""
LONGEST = 90
"""Most characters of a comment."""
HELD_OUT = "test"
"""The output with rows that no model has seen: for actions that also take a model."""


class Output(Struct, frozen=True):
    """An output that a parameter may take."""

    step: str
    name: str
    types: Types

    @property
    def reference(self) -> str:
        return f"${{{{ steps.{self.step}.{self.name} }}}}"


class Offers(Struct, frozen=True):
    """What the steps of a spec offer to a new one: the newest first."""

    outputs: Mapping[str, Sequence[Sequence[Output]]] = {}
    """By the type of artifact: for each step, its outputs of this type in the order of their declaration."""
    values: ParamValues = field(default_factory=ParamValues)
    """The plain values of parameters, by name; of each the newest."""


class Skeleton(Struct, frozen=True):
    """A step without its id. ``left`` are the parameters without a value."""

    lines: tuple[str, ...]
    left: tuple[str, ...]

    def text(self, name: str, indent: int) -> str:
        """Returns the step with its id, without a line end."""
        space = " " * indent
        return "\n".join([f"{space}{name}:", *(f"{space}  {line}" for line in self.lines)])


Accepts = Callable[[Mapping[str, str]], bool]
"""Returns whether the action accepts these references in its parameters, as far as that is known."""


def offers(expanded: Expanded, environment: TypeEnvironment) -> Offers:
    """Returns what the steps of a spec offer. A step that may be skipped, or has a matrix, offers nothing."""
    outputs: dict[str, list[list[Output]]] = {}
    values = ParamValues()
    for name, units in reversed(expanded.root.units.items()):
        if len(units) != 1 or units[0].section != "steps" or units[0].is_conditional:
            continue
        for key, value in units[0].step.with_.items():
            if key not in values and _is_plain(value):
                values[key] = value
        found: dict[str, list[Output]] = {}
        for type_ in environment.of_step(name, None):
            for member, given in type_.inside.items():
                for kind in {each.name for each in given} & ARTIFACTS.keys():
                    found.setdefault(kind, []).append(Output(name, str(member), given))
        for kind, ones in found.items():
            outputs.setdefault(kind, []).append(ones)
    return Offers(outputs, values)


def accepts(expanded: Expanded, environment: TypeEnvironment, uses: str, files: Files) -> Accepts:
    """Returns a function that asks the action's column flow whether columns fit."""
    flow = environment.registry.column_flow(uses)

    def ask(references: Mapping[str, str]) -> bool:
        given = choices.given(expanded, environment, uses, ParamValues(references), None)
        if flow is None or given is None:
            return True
        try:
            return not flow(given, files).problems
        except (LookupError, TypeError, AttributeError, ValueError):
            return True  # it expects valid parameters, and these are not complete

    return ask


def skeleton(
    uses: str, action: Action, fields: Iterable[Field], offered: Offers, fits: Accepts = lambda given: True
) -> Skeleton:
    """Returns the step of an action with its required parameters. ``fields`` are its parameters.

    An artifact is that of the newest step that has one of the type, and of which ``fits`` is true: the output with the
    parameter's name, or held-out rows for an action that takes a model, or else the first. Another value is that of the
    newest step that has the same parameter.
    """
    required = {one.name: one for one in fields if one.required}
    takes = {name: types.at((types.of_model(action.params),), (name,)) for name in required}
    has_model = any(type_.name == "model" for taken in takes.values() for type_ in taken)
    wired: dict[str, str] = {}
    for name in sorted(required, key=lambda each: any(type_.name == "table" for type_ in takes[each])):
        if any(type_.name in ARTIFACTS for type_ in takes[name]):  # tables last: whether one fits depends on the model
            preferred = (name, HELD_OUT) if has_model else (name,)
            reference = _newest(name, takes[name], offered, wired, fits, preferred)
            wired |= {name: reference} if reference else {}
    lines, left = [f"uses: {uses}"], []
    for name, found in required.items():
        if name in wired:
            lines.append(f"  {name}: {wired[name]}")
        elif name in offered.values and _takes(takes[name], offered.values[name]):
            lines.append(f"  {name}: {written(offered.values[name], flow=False)}")
        else:
            lines.append(f"  {name}:  # {_comment(found)}")
            left.append(name)
    if len(lines) > 1:
        lines.insert(1, "with:")
    return Skeleton(tuple(lines), tuple(left))


def _newest(
    name: str, taken: Types, offered: Offers, wired: Mapping[str, str], fits: Accepts, preferred: Sequence[str]
) -> str | None:
    """Returns the reference to the newest output that a parameter takes."""
    kinds = [type_.name for type_ in taken if type_.name in ARTIFACTS]
    possible = (
        output
        for kind in kinds
        for step in offered.outputs.get(kind, ())
        for output in sorted(step, key=lambda one: preferred.index(one.name) if one.name in preferred else 9)
        if types.accepts(output.types, taken)
    )
    for output in islice(possible, MOST_TRIED):
        if fits({**wired, name: output.reference}):
            return output.reference
    return None


def _comment(field: Field) -> str:
    """Returns what a parameter accepts, on the rest of a line."""
    text = f"{field.type}: {field.description.partition('. ')[0].rstrip('.')}"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _is_plain(value: Any) -> bool:
    """Returns whether another step may have the same value: it is plain, or a parameter of the spec."""
    if isinstance(value, str) and "${{" in value:
        return "params." in value and "steps." not in value and "matrix." not in value
    return isinstance(value, str | int | float)


def _takes(taken: Types, value: Any) -> bool:
    is_reference = isinstance(value, str) and "${{" in value
    return is_reference or types.accepts(types.of_value(value), taken)

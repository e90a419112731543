"""Write the skeleton of an action's step: what is required, with references to the newest outputs that fit.

In: an action, and the outputs that the steps of a spec offer. Out: ``Skeleton``: lines of YAML, and what is left to
fill in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from functools import partial
from itertools import islice
from typing import Any

from msgspec import Struct, field

from e2i.catalog.action import Action
from e2i.catalog.artifacts import ARTIFACTS
from e2i.catalog.columns import KnownTable
from e2i.catalog.files import Files
from e2i.catalog.forms import Field
from e2i.check import choices, types
from e2i.check.type_environment import TypeEnvironment
from e2i.check.types import Types
from e2i.documents import ParamValues
from e2i.errors import E2IError
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.writing import written

MOST_TRIED = 20
"""Most outputs that are tried for one parameter, newest first."""
LONGEST = 90
"""Most characters of a comment."""
HELD_OUT = "test"
"""The output with rows that no model has seen: for actions that also take a model."""

LEARNS = "target"
"""The parameter of actions that learn from the rows of a table."""
LEARNT = frozenset({"model", "effect_model", "model_version", "bento", "service", "endpoint"})
"""Artifacts that hold a model."""


class Content(IntEnum):
    """What a table has."""

    DATA = 0
    PREDICTED = 1
    """Rows of data to which a model added something."""
    FINDINGS = 2
    """Rows about tables or models: their metrics, the importance of features."""


class Output(Struct, frozen=True):
    """An output that a parameter may take."""

    step: str
    name: str
    types: Types
    content: Content = Content.DATA

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
    """A step without its id."""

    lines: tuple[str, ...]
    left: frozenset[str]
    """The parameters without a value."""
    copied: frozenset[str]
    """Those with the value that another step has."""
    wired: frozenset[str]
    """Those with an output of another step."""

    def text(self, name: str, indent: int) -> str:
        """Returns the step with its id, without a line end."""
        space = " " * indent
        return "\n".join([f"{space}{name}:", *(f"{space}  {line}" for line in self.lines)])


Judge = Callable[[ParamValues], Collection[str]]
"""Returns the problems of these values of parameters, as far as they are known."""


def offers(expanded: Expanded, environment: TypeEnvironment, name: str = "") -> Offers:
    """Returns what the steps of a spec offer to a step ``name``. A step that may be skipped, has a matrix, or waits for
    that step offers no output.
    """
    outputs: dict[str, list[list[Output]]] = {}
    values = ParamValues()
    contents = _contents(expanded, environment)
    behind = _behind(expanded, name)
    for step, units in reversed(expanded.root.units.items()):
        if len(units) != 1 or units[0].section != "steps" or units[0].is_conditional:
            continue
        for key, value in units[0].step.with_.items():
            if key not in values and _is_plain(value):
                values[key] = value
        if step in behind:
            continue
        found: dict[str, list[Output]] = {}
        for type_ in environment.of_step(step, None):
            for member, given in type_.inside.items():
                one = Output(step, str(member), given, contents.get((step, str(member)), Content.DATA))
                for kind in {each.name for each in given} & ARTIFACTS.keys():
                    found.setdefault(kind, []).append(one)
        for kind, ones in found.items():
            outputs.setdefault(kind, []).append(ones)
    return Offers(outputs, values)


def _behind(expanded: Expanded, name: str) -> Collection[str]:
    """Returns the steps that wait for a step which may not be there yet, with those that wait for them."""
    waits = {
        group: {str(one.path[0]) for unit in units for _, one in unit.references if one.root == "steps" and one.path}
        | {needed for unit in units for needed in unit.step.needs}
        for group, units in expanded.root.units.items()
    }
    found = {name}
    while new := {group for group, others in waits.items() if group not in found and not found.isdisjoint(others)}:
        found |= new
    return found


def _contents(expanded: Expanded, environment: TypeEnvironment) -> Mapping[tuple[str, str], Content]:
    """Returns what each output has that is made of outputs of other steps: by the step and the name of the output."""
    found: dict[tuple[str, str], Content] = {}
    for name, outputs in environment.outputs.items():
        node = expanded.nodes[name]
        taken = [one for _, one in node.references if one.root == "steps"]
        kinds = {type_.name for one in taken for type_ in environment.of_reference(one, node)}
        before = max((found.get((str(one.path[0]), str(one.path[-1])), Content.DATA) for one in taken), default=0)
        for member, given in outputs.inside.items() if taken else ():
            tables = [type_.known for type_ in given if type_.name == "table"]
            known = [one for one in tables if isinstance(one, KnownTable)]
            if tables and len(known) == len(tables) and all(_is_own(one, f"{name}.") for one in known):
                found[node.group, str(member)] = Content.FINDINGS
            elif not LEARNT.isdisjoint(kinds) or before:
                found[node.group, str(member)] = Content.PREDICTED if known else Content.FINDINGS
    return found


def _is_own(table: KnownTable, prefix: str) -> bool:
    """Returns whether nothing in a table is from another step than the one whose outputs have this prefix."""
    ancestors = (name for lineage in table.made_from.values() for name in lineage.ancestors)
    return table.rows.origin.startswith(prefix) and all(name.startswith(prefix) for name in ancestors)


def judge(expanded: Expanded, environment: TypeEnvironment, uses: str, files: Files) -> Judge:
    """Returns a function that asks the action's column flow about values of its parameters."""
    flow = environment.registry.column_flow(uses)

    def ask(values: ParamValues) -> Collection[str]:
        given = choices.given(expanded, environment, uses, values, None)
        if flow is None or given is None:
            return ()
        try:
            problems = flow(given, files).problems
        except (LookupError, TypeError, AttributeError, ValueError, E2IError):
            return ()  # it expects valid parameters, and these are not complete
        wrong = (
            one for one in problems if one.severity == "error" and not one.leave_out
        )  # some columns can be left out
        return {f"{one.path}: {one.message}" for one in wrong}

    return ask


def skeleton(
    uses: str,
    action: Action,
    fields: Iterable[Field],
    offered: Offers,
    judged: Judge = lambda values: (),
    *,
    more: Collection[str] = (),
    empty: Collection[str] = (),
) -> Skeleton:
    """Returns the step of an action with its required parameters. ``fields`` are its parameters.

    ``more`` are parameters to write although they are not required, ``empty`` those that get no value. An artifact is
    that of the newest step that has one of the type, and that adds nothing to what is ``judged``: the output with the
    parameter's name, or held-out rows for an action that takes a model, or else the first. Findings come after data.
    Another value is that of the newest step that has the same parameter.
    """
    wanted = {one.name: one for one in fields if one.required or one.name in more}
    takes = {name: types.at((types.of_model(action.params),), (name,)) for name in wanted}
    artifacts = [name for name in wanted if any(type_.name in ARTIFACTS for type_ in takes[name])]
    values = ParamValues(
        {
            name: offered.values[name]
            for name in wanted
            if name not in artifacts and name not in empty and name in offered.values
            if _takes(takes[name], offered.values[name])
        }
    )
    wired = _wired(artifacts, takes, offered, judged, values)
    lines = [f"uses: {uses}", *(["with:"] if wanted else [])]
    for name, found in wanted.items():
        if name in wired:
            lines.append(f"  {name}: {wired[name]}")
        elif name in values:
            lines.append(f"  {name}: {written(values[name], flow=False)}")
        else:
            lines.append(f"  {name}:  # {_comment(found)}")
    left = wanted.keys() - wired.keys() - values.keys()
    return Skeleton(tuple(lines), frozenset(left), frozenset(values), frozenset(wired))


def _wired(
    names: Iterable[str], takes: Mapping[str, Types], offered: Offers, judged: Judge, values: ParamValues
) -> ParamValues:
    """Returns the references to the newest outputs that the parameters take, beside these values of others."""
    has_model = any(type_.name == "model" for taken in takes.values() for type_ in taken)
    most = Content.DATA if LEARNS in takes or has_model else Content.PREDICTED
    wired = ParamValues()
    # tables last: whether one fits depends on the model
    for name in sorted(names, key=lambda each: any(type_.name == "table" for type_ in takes[each])):
        preferred = (name, HELD_OUT) if has_model else (name,)
        tried = partial(_tried, takes[name], offered, preferred, most, {*wired.values()})
        found = _fitting(name, tried(), judged, ParamValues({**values, **wired}))
        found = found or _fitting(name, tried(), judged, wired)  # the value does not fit, then
        wired |= {name: found} if found else {}
    return wired


def _tried(
    taken: Types, offered: Offers, preferred: Sequence[str], most: Content, wired: Collection[str]
) -> Iterator[Output]:
    """Yields the outputs that a parameter may take, in the order in which they are tried: last those of more than
    ``most``, and among equal ones those that another parameter has.
    """
    levels = [one for one in Content if one >= most]
    in_order = (
        output
        for level in levels
        for is_wired in (False, True)
        for output in _possible(taken, offered, preferred)
        if max(output.content, most) == level and (output.reference in wired) == is_wired
        if types.accepts(output.types, taken) and not types.can_be(output.types, "null")
    )
    return islice(in_order, MOST_TRIED)


def _possible(taken: Types, offered: Offers, preferred: Sequence[str]) -> Iterator[Output]:
    """Yields the outputs of the kinds that a parameter takes, those of the newest step first."""
    for kind in (type_.name for type_ in taken if type_.name in ARTIFACTS):
        for step in offered.outputs.get(kind, ()):
            yield from sorted(step, key=lambda one: preferred.index(one.name) if one.name in preferred else 9)


def _fitting(name: str, possible: Iterable[Output], judged: Judge, beside: ParamValues) -> str | None:
    """Returns the reference to the first output that adds no problem to those of the values beside it."""
    before = {*judged(beside)}
    for output in possible:
        if before.issuperset(judged(ParamValues({**beside, name: output.reference}))):
            return output.reference
    return None


def _comment(field: Field) -> str:
    """Returns what a parameter accepts, on the rest of a line."""
    text = f"{field.type}: {field.description.partition('. ')[0].rstrip('.')}"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _is_plain(value: Any) -> bool:
    """Returns whether another step may have the same value: it is plain, or a parameter of the spec. Long texts, such
    as queries, are about what their step takes.
    """
    if isinstance(value, str) and "${{" in value:
        return "params." in value and "steps." not in value and "matrix." not in value
    return isinstance(value, int | float) or (isinstance(value, str) and len(value) <= LONGEST and "\n" not in value)


def _takes(taken: Types, value: Any) -> bool:
    is_reference = isinstance(value, str) and "${{" in value
    return is_reference or types.accepts(types.of_value(value), taken)

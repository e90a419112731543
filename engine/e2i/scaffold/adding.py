"""Add the skeleton of a step to the text of a spec. Everything else stays as it is, byte for byte.

In: a spec, the id of the new step and its action. Out: ``Added``: the new text, what is left to fill in, new problems.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Annotated

from msgspec import Meta, Struct

from e2i import api, route
from e2i.catalog import examples, forms
from e2i.catalog.action import Action
from e2i.catalog.forms import Field
from e2i.check import fixing
from e2i.documents import Element, JsonDocument, ParamValues
from e2i.errors import BadInput, InvalidSpec
from e2i.route import Draft
from e2i.scaffold import step as steps
from e2i.scaffold.step import Skeleton
from e2i.spec import action_synonyms, edit
from e2i.spec import document as documents
from e2i.spec.document import Document
from e2i.spec.models import IDENTIFIER
from e2i.spec.operations import Add
from e2i.spec.problems import Problem, ProblemDocument, pointer
from e2i.workspace.source import Source, Spec


class LeftParameter(Element, frozen=True, kw_only=True):
    """A required parameter that is left to fill in."""

    name: str
    type: Annotated[str, Meta(description="What it accepts.")]
    description: str


class AddedDocument(JsonDocument, frozen=True, kw_only=True):
    """A step that was added to a spec."""

    step: str
    uses: str
    valid: Annotated[bool, Meta(description="True when no problem of the new text is an error.")]
    left: Annotated[list[LeftParameter], Meta(description="Required parameters without a value.")]
    problems: Annotated[list[ProblemDocument], Meta(description="Problems that the spec did not have before.")]
    text: Annotated[str, Meta(description="The new text of the spec.")]


class Added(Struct, frozen=True):
    """The text of a spec with a new step. ``before`` is its text without it."""

    step: str
    uses: str
    before: str
    text: str
    left: tuple[Field, ...]
    problems: tuple[Problem, ...]
    """Those that the spec did not have before: what is left to fill in, and what nothing reads yet."""
    valid: bool

    @property
    def document(self) -> AddedDocument:
        """The result as data."""
        return AddedDocument(
            step=self.step,
            uses=self.uses,
            valid=self.valid,
            left=[LeftParameter(name=one.name, type=one.type, description=one.description) for one in self.left],
            problems=[problem.document for problem in self.problems],
            text=self.text,
        )


def add(spec: Spec, name: str, uses: str, workspace: api.Workspace) -> Added:
    """Returns the spec with the step of an action at the end of its steps. Writes nothing.

    Raises BadInput for a wrong name or action, InvalidSpec for a spec that cannot be read.
    """
    action = _action(uses, workspace)
    source = route.read(spec, workspace)
    draft = _examined(source, workspace)
    if draft.expanded is None or draft.environment is None:
        raise InvalidSpec(draft.problems)
    document = draft.expanded.loaded.document
    _check_name(name, document)
    fields = forms.params(action, workspace.authority.registry)
    offered = steps.offers(draft.expanded, draft.environment, name)
    judged = steps.judge(draft.expanded, draft.environment, uses, draft.files)

    def write(more: Collection[str], empty: Collection[str]) -> tuple[Skeleton, str]:
        made = steps.skeleton(uses, action, fields, offered, judged, more=more, empty=empty)
        return made, inserted(document, name, made)

    made, text = _judged(write, _OfStep(name, source.file, workspace), _of_example(uses, workspace))
    after = _examined(Source(text, source.file), workspace)
    known = {(problem.code, problem.path, problem.message) for problem in draft.problems}
    mark = "\ufeff" if source.text.startswith("\ufeff") else ""
    return Added(
        name,
        uses,
        source.text,
        mark + text,
        tuple(field for field in fields if field.name in made.left),
        tuple(one for one in after.problems if (one.code, one.path, one.message) not in known),
        after.is_valid,
    )


class _OfStep(Struct, frozen=True):
    """The errors of the parameters of one step."""

    name: str
    file: str
    workspace: api.Workspace

    def errors(self, text: str) -> Iterator[tuple[str, Problem]]:
        """Yields the errors of a text with the parameter that each is of; none: it is of several together."""
        start = pointer(("steps", self.name, "with"))
        for problem in _examined(Source(text, self.file), self.workspace).problems:
            if problem.severity == "error" and f"{problem.path}/".startswith(f"{start}/"):
                yield problem.path[len(start) + 1 :].partition("/")[0], problem


def _judged(
    write: Callable[[Collection[str], Collection[str]], tuple[Skeleton, str]], step: _OfStep, example: Collection[str]
) -> tuple[Skeleton, str]:
    """Returns a step, and the text with it, whose errors are only of parameters that are left to fill in.

    An error that names a parameter of the action's example needs it, and one whose hint is to set a parameter. A copied
    value with another error is left to fill in. Columns that the action should not use are left out.
    """
    more: frozenset[str] = frozenset()
    empty: frozenset[str] = frozenset()
    while True:
        made, text = write(more, empty)
        wrong = [(name, problem) for name, problem in step.errors(text) if name not in made.left]
        named = {each for _, one in wrong for each in _NAMED.findall(one.message) if each in example}
        named |= {each for _, one in wrong if not one.fixes for each in _TO_SET.findall(one.hint or "")}
        missing = named - made.left - made.copied - made.wired
        refused = frozenset() if missing else made.copied.intersection(name for name, _ in wrong)
        if not missing and not refused:
            break
        more, empty = more | missing, empty | refused

    def mendable(changed: str) -> list[Problem]:
        return [problem for name, problem in step.errors(changed) if name in made.wired]

    return made, fixing.fix_text(text, step.file, mendable).text


def inserted(document: Document, name: str, made: Skeleton) -> str:
    """Returns the text of a spec with a step after its last one. Raises BadInput when there is no place for it."""
    text = document.text or ""
    adding = Add(path=pointer(("steps", name)), value={"uses": "x"})
    try:
        (place,) = edit.edits(document, [adding])
    except edit.CannotEditError as error:
        raise BadInput(f"cannot add a step: {error}", code="cannot-edit", hint=_BLOCK) from error
    found = _ENTRY.search(place.text)
    if found is None:  # in braces, on one line
        value = documents.read_value(made.text(name, 0), "")[0][name]
        changed = edit.patch(document, [Add(path=adding.path, value=value)])
    else:
        newline = "\r\n" if "\r\n" in text else "\n"
        block = made.text(name, len(found["indent"])).replace("\n", newline)
        gap = newline if _are_apart(document) else ""
        before, behind = place.text[: found.start()], place.text[found.end() :]
        changed = text[: place.start] + before + gap + block + behind + text[place.end :]
    after = documents.read(changed or "", document.file)[0]
    if after is None or list(after.data["steps"]) != [*document.data["steps"], name]:
        raise BadInput("cannot add a step to this text", code="cannot-edit", hint=_BLOCK)
    return changed or ""


def _examined(source: Source, workspace: api.Workspace) -> Draft:
    return route.examine(source, workspace, ParamValues(), require_params=False)


def _of_example(uses: str, workspace: api.Workspace) -> frozenset[str]:
    """Returns the parameters that the example of an action sets: together they are valid."""
    example = examples.of(uses, workspace.authority.registry)
    found = documents.read_value(example.step, "")[0] if example.step else {}
    return frozenset(name for step in found.values() for name in step.get("with", {}))


def _action(uses: str, workspace: api.Workspace) -> Action:
    registry = workspace.authority.registry
    if problem := registry.problem(uses.partition(".")[0]):
        raise problem
    action = registry.action(uses)
    if action is None:
        known = registry.names()
        hint = action_synonyms.action(uses, known) or "`e2i catalog` lists the actions"
        raise BadInput(f'unknown action "{uses}"', code="unknown-action", hint=hint)
    return action


def _check_name(name: str, document: Document) -> None:
    if not re.match(IDENTIFIER, name):
        hint = "use letters, digits and underscores, and begin with a letter"
        raise BadInput(f"{name!r} is not the id of a step", code="bad-option", hint=hint)
    for section in ("steps", "finally"):
        if document.has((section, name)):
            where = document.location((section, name), key=True)
            message = f"the spec has a step {name!r} already, at {where}"
            raise BadInput(message, code="bad-option", hint="choose another id")


def _are_apart(document: Document) -> bool:
    """Returns whether an empty line separates the last two steps."""
    names = list(document.data["steps"])
    span = document.span(("steps", names[-1]), key=True)
    if len(names) < 2 or span is None:
        return False
    above = (document.text or "")[: span[0]].splitlines()[:-1]
    while above and above[-1].lstrip().startswith("#"):
        above.pop()
    return bool(above) and not above[-1].strip()


_NAMED = re.compile(r"`(\w+)`")
"""A parameter that a message names."""
_TO_SET = re.compile(r"\bset `(\w+)[:`]")
"""A parameter that a hint says to set."""
_BLOCK = "write each step on lines of its own"
_ENTRY = re.compile(r"(?:^|(?<=\n))(?P<indent> +)[A-Za-z_]\w*: \{uses: x\}")

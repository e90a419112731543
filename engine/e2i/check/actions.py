"""Whether each step fits its action. In: an expanded spec. Out: unknown actions, and parameters that the action does
not take.

A value that is known is checked by the action's own pydantic model; of a reference, the kind is known and is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from e2i.catalog import registry
from e2i.catalog.action import Action
from e2i.catalog.artifacts import Artifact
from e2i.check import kinds
from e2i.spec import expressions, suggest
from e2i.spec.expand import Expanded, Path, Pending, StepNode
from e2i.spec.expressions import ExpressionError, Reference, Secret
from e2i.spec.load import LoadedSpec, wording
from e2i.spec.problems import Problem, pointer

NOTHING = "sha256:" + "0" * 64


def check_names(loaded: LoadedSpec) -> Iterator[Problem]:
    """Problems of ``uses`` alone."""
    for group, step in loaded.spec.steps.items():
        if registry.find(step.uses) is None:
            path: Path = ("steps", group, "uses")
            known = registry.names()
            meant = suggest.certain(step.uses, known)
            fixes = ({"op": "replace", "path": pointer(path), "value": meant},) if meant else ()
            yield Problem(
                "unknown-action",
                f'unknown action "{step.uses}"',
                loaded.document.place(path),
                pointer(path),
                suggest.hint(step.uses, known) or "`e2i catalog` lists the actions",
                fixes=fixes,
            )


def check(expanded: Expanded) -> Iterator[Problem]:
    """Problems of ``uses`` and ``with``."""
    yield from check_names(expanded.loaded)
    for node in expanded.nodes.values():
        yield from _check_when(expanded, node)
        found = registry.find(node.step.uses)
        if found is not None:
            yield from _check_with(expanded, node, found[1])


def _check_when(expanded: Expanded, node: StepNode) -> Iterator[Problem]:
    """A condition that is known already must be true or false."""
    try:
        value = expanded.resolve(node.step.when, node, {})
    except ExpressionError as error:
        yield _bad_expression(expanded, node, ("when",), node.step.when, error)
        return
    if not isinstance(value, (bool, Pending)):
        path: Path = (*node.path, "when")
        message = f'"when" must be true or false, not {value!r}'
        hint = "compare it: ${{ params.rows > 0 }}"
        yield Problem("bad-condition", message, expanded.loaded.document.place(path), pointer(path), hint)


def _check_with(expanded: Expanded, node: StepNode, action: Action) -> Iterator[Problem]:
    base: Path = (*node.path, "with")
    fields = action.params.model_fields
    value: dict[str, Any] = {}
    for name, written in node.step.with_.items():
        try:
            value[name] = expanded.resolve(written, node, {})
        except ExpressionError as error:
            value[name] = Pending("", ())
            yield _bad_expression(expanded, node, ("with", name), written, error)
    for name in value:
        if name not in fields:
            path = (*base, name)
            meant = suggest.certain(name, fields)
            move = {"op": "move", "from": pointer(path), "path": pointer((*base, meant or ""))}
            fixes = (move,) if meant and meant not in value else ()
            yield Problem(
                "unknown-action-parameter",
                f'{node.step.uses} has no parameter "{name}"',
                expanded.loaded.document.place(path, key=True),
                pointer(path),
                suggest.hint(name, fields, most=12) or f"`e2i catalog {node.step.uses}` lists them",
                fixes=fixes,
            )
    waiting: dict[Path, Pending | Secret] = {}
    known = {name: _stand_in(expanded, node, item, (name,), waiting) for name, item in value.items() if name in fields}
    for path, pending in waiting.items():
        if len(path) == 1 and isinstance(pending, Pending):
            yield from _check_kind(expanded, node, action, str(path[0]), pending)
    try:
        action.params.model_validate(known)
    except ValidationError as error:
        yield from _parameter_problems(expanded, node, action, error, known, waiting)


def _stand_in(expanded: Expanded, node: StepNode, value: Any, path: Path, waiting: dict[Path, Pending | Secret]) -> Any:
    """The value with an empty artifact of the right type where a reference to one stands, and None for other
    unknowns.
    """
    if isinstance(value, dict):
        return {key: _stand_in(expanded, node, item, (*path, key), waiting) for key, item in value.items()}
    if isinstance(value, list):
        return [_stand_in(expanded, node, item, (*path, index), waiting) for index, item in enumerate(value)]
    if isinstance(value, Pending):
        artifact = _referenced_artifact(expanded, node, value)
        if artifact is not None:
            return _empty(artifact)
    if isinstance(value, (Pending, Secret)):
        waiting[path] = value
        return None
    return value


def _referenced(expanded: Expanded, node: StepNode, pending: Pending) -> tuple[Reference, Any] | None:
    """The reference that the text consists of, and the annotation of the output that it names."""
    only = expressions.parse(pending.text).whole
    whole = only.body if only else None
    if not isinstance(whole, Reference) or whole.root != "steps" or len(whole.path) < 2:
        return None
    feeding = expanded.feeding(node, str(whole.path[0]))
    if len(feeding) != 1:
        return None
    found = registry.find(feeding[0].step.uses)
    field = found[1].outputs.model_fields.get(str(whole.path[1])) if found else None
    return (whole, field.annotation) if field is not None and len(whole.path) == 2 else None


def _referenced_artifact(expanded: Expanded, node: StepNode, pending: Pending) -> type[Artifact] | None:
    found = _referenced(expanded, node, pending)
    return kinds.artifact_of(found[1]) if found else None


def _empty(artifact: type[Artifact]) -> Artifact:
    """An artifact of that type that passes for one while only types are checked."""
    empty: dict[str, Any] = {"columns": (), "rows": 0, "features": (), "views": {}, "join_keys": {}}
    values = {name: empty.get(name, "") for name in artifact.model_fields if name not in ("type", "digest")}
    return artifact.model_construct(digest=NOTHING, **values)


def _check_kind(expanded: Expanded, node: StepNode, action: Action, name: str, pending: Pending) -> Iterator[Problem]:
    found = _referenced(expanded, node, pending)
    if found is None:
        return
    given, taken = kinds.kinds(found[1]), kinds.kinds(action.params.model_fields[name].annotation)
    if not kinds.fits(given, taken):
        path: Path = (*node.path, "with", name)
        reference = ".".join(map(str, (found[0].root, *found[0].path)))
        yield Problem(
            "wrong-type",
            f'"{name}" takes {kinds.describe(taken)}, and {reference} is {kinds.describe(given)}',
            expanded.loaded.document.place(path),
            pointer(path),
        )


def _parameter_problems(
    expanded: Expanded,
    node: StepNode,
    action: Action,
    error: ValidationError,
    known: Any,
    waiting: dict[Path, Pending | Secret],
) -> Iterator[Problem]:
    document = expanded.loaded.document
    base: Path = (*node.path, "with")
    for fault in error.errors(include_url=False, include_context=False):
        location = _within(tuple(fault["loc"]), known)
        if any(path[: len(location)] == location or location[: len(path)] == path for path in waiting):
            continue
        path = (*base, *location)
        name = ".".join(map(str, location)) or node.step.uses
        if fault["type"] == "missing":
            name = ".".join(map(str, fault["loc"]))
            message = f'{node.step.uses} needs the parameter "{name}"'
            place = document.place(path if document.has(path) else node.path, key=True)
            yield Problem("missing-action-parameter", message, place, pointer(path))
        elif isinstance(fault["input"], Artifact):
            given = str(type(fault["input"]).model_fields["type"].default)
            text = document.value(path)
            message = f'"{name}" does not take a {given}' + (f" ({text})" if isinstance(text, str) else "")
            field = action.params.model_fields.get(name)
            if field is not None:
                message += f": it takes {kinds.describe(kinds.kinds(field.annotation))}"
            yield Problem("wrong-type", message, document.place(path), pointer(path))
        else:
            yield Problem("bad-action-parameter", wording(fault, (name,)), document.place(path), pointer(path))


def _within(location: Path, known: Any) -> Path:
    """The location without the steps that pydantic adds for unions."""
    data: Any = known
    kept: list[str | int] = []
    for key in location:
        in_list = isinstance(data, list) and isinstance(key, int) and key < len(data)
        if in_list or (isinstance(data, dict) and key in data):
            data = data[key]
            kept.append(key)
        elif isinstance(data, dict) and len(kept) == len(location) - 1:
            break
    return tuple(kept)


def _bad_expression(expanded: Expanded, node: StepNode, path: Path, written: Any, error: ExpressionError) -> Problem:
    """The problem of an expression somewhere in ``written``, which stands at ``path`` in the step."""
    place = (*node.path, *path, *_failing(expanded, node, written))
    return Problem("bad-expression", str(error), expanded.loaded.document.place(place), pointer(place), error.hint)


def _failing(expanded: Expanded, node: StepNode, written: Any) -> Path:
    """The path of the first expression in the value that cannot be evaluated."""
    for path, _ in expressions.walk(written):
        value: Any = written
        for key in path:
            value = value[key]
        try:
            expanded.resolve(value, node, {})
        except ExpressionError:
            return path
    return ()

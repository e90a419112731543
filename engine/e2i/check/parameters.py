"""Checks the parameters of a step against its action.

In: a step, and its parameters as far as they are known. Out: unknown and missing parameters, and values that the action
does not accept.

A known value is checked by the action's own pydantic model. Of a reference, the type is known and is checked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from e2i.catalog.action import Action
from e2i.catalog.artifacts import ARTIFACTS, Artifact
from e2i.catalog.files import Files
from e2i.check import artifacts, exact, keys, types, waiting_values
from e2i.check.type_environment import TypeEnvironment
from e2i.check.types import Types
from e2i.documents import ParamValues
from e2i.spec import action_synonyms, expressions, fixes, suggest
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.expansion.nodes import Path, SpecInstance, StepNode
from e2i.spec.expressions import Expression
from e2i.spec.models import StepOptions
from e2i.spec.problems import MOST, Code, Fixes, Problem
from e2i.spec.references import Reference
from e2i.spec.scalars import show
from e2i.spec.validation import Detail, mistakes
from e2i.spec.wording import expected, wording

MOST_COLUMNS = 1_000_000
"""Limit on the columns of all tables that are tracked from step to step. Beyond it, columns are unknown."""
NOTHING = "sha256:" + "0" * 64


def check(
    expanded: Expanded,
    environment: TypeEnvironment,
    node: StepNode,
    action: Action,
    value: ParamValues,
    files: Files | None,
) -> Iterator[Problem]:
    """Yields problems of the parameters: their names, types and columns. Records the output types of the step.

    Without ``files``, columns are not followed.
    """
    environment.learn(node, types.of_model(action.outputs))
    fields = action.params.model_fields
    foreign = [name for name in value if name not in fields]
    takes = (types.of_model(action.params),)
    found, waiting = _typed(environment, node, action, value, takes)
    for name in foreign[: MOST + 1]:
        yield _unknown_parameter(node, name, action, value, waiting)
    found += _validated(environment, node, action, value, waiting, takes)
    yield from found
    if files is None:
        return
    if action.columns and not found and not foreign:  # the action does not see a value under a mistyped name
        if environment.columns > MOST_COLUMNS:
            return
        from e2i.check import flow  # imported here: a spec without tables does not need it

        outputs, columns = flow.follow(environment.registry, node, action, value, waiting, files)
        environment.learn(node, outputs)
        for problem in columns:
            about = expanded.nodes.get(problem.of, node)
            yield from flow.problems((problem,), (*about.path, "with"), about.document)


def formula_problems(
    node: StepNode | SpecInstance, path: Path, errors: list[tuple[Expression, str]]
) -> Iterator[Problem]:
    """Yields problems of operators and filters that do not accept the types of their operands."""
    for expression, message in errors:
        said = f"the expression is invalid: {message}"
        yield node.document.problem("wrong-type", path, said, offset=expression.offset)


def _typed(
    environment: TypeEnvironment, node: StepNode, action: Action, value: ParamValues, takes: Types
) -> tuple[list[Problem], dict[Path, Types]]:
    """Returns the problems of values that are only known in a run, and the types of these values."""
    waiting: dict[Path, Types] = {}
    found: list[Problem] = []
    for path, pending in () if node.is_plain else waiting_values.walk(value):
        given, errors = waiting_values.types_of(environment, node, pending)
        full_path = (*node.path, "with", *path)
        if errors:
            found += formula_problems(node, full_path, errors)
        taken = types.at(takes, path)
        if path[0] in action.params.model_fields and not types.accepts(given, taken):
            found.append(_wrong_type(node, full_path, path, given, taken))
            given = types.ANY
        waiting[path] = given
    return found, waiting


def _validated(
    environment: TypeEnvironment,
    node: StepNode,
    action: Action,
    value: ParamValues,
    waiting: dict[Path, Types],
    takes: Types,
) -> list[Problem]:
    """Returns the problems of the known values."""
    fields, base = action.params.model_fields, (*node.path, "with")
    known = {name: _stand_in(item, (name,), waiting) for name, item in value.items() if name in fields}
    unsure = [path for path, given in waiting.items() if _artifact(given) is None]
    found: list[Problem] = []
    try:
        environment.registry.validate(node.step.uses, known)
    except ValidationError as error:
        unknown = [name for name in value if name not in fields]
        mistyped: set[str | None] = {each for name in unknown for each in _around(value[name], fields, value)}
        mistyped |= {
            suggest.certain(name, fields)
            or action_synonyms.parameter(name, fields, value)
            or _only_missing(action, value, waiting.get((name,)))
            for name in unknown
        }
        found = [
            _problem(environment, node, action, detail)
            for detail in mistakes(error, known, lambda path, kind: _may_follow(path, kind, unsure))
            if not _is_of_name(detail, mistyped)
        ]
    found = list({(problem.path, problem.message): problem for problem in found}.values())
    reported = {problem.path for problem in found}
    for problem in exact.problems(node.document, base, known, takes):
        if problem.path not in reported:
            found.append(problem)
    return found


def _is_of_name(detail: Detail, mistyped: Collection[str | None]) -> bool:
    """Returns whether an error is that of a parameter under a wrong name: it is missing, or others contradict."""
    if detail["type"] == "missing":
        return detail["loc"][0] in mistyped
    return not detail["loc"] and any(mistyped)


def _may_follow(path: Path, kind: str, unsure: Collection[Path]) -> bool:
    """Returns True when an error may come from a value that is not known.

    A missing key of a mapping is certain even if other values in the mapping are unknown.
    """
    return any(path[: len(other)] == other or (kind != "missing" and other[: len(path)] == path) for other in unsure)


def _only_missing(action: Action, value: Collection[str], given: Types | None) -> str | None:
    """Returns the one required parameter that is missing, if it takes the artifact under an unknown name."""
    if given is None or _artifact(given) is None:
        return None
    takes = (types.of_model(action.params),)
    missing = [
        name
        for name, field in action.params.model_fields.items()
        if field.is_required() and name not in value and types.accepts(given, types.at(takes, (name,)))
    ]
    return missing[0] if len(missing) == 1 else None


def _around(value: Any, fields: Collection[str], given: Collection[str]) -> list[str]:
    """Returns the parameters in a mapping that was put around them; none: it is no such mapping."""
    held = list(value) if isinstance(value, dict) else []
    return held if all(name in fields and name not in given for name in held) else []


def _unknown_parameter(
    node: StepNode, name: str, action: Action, given: Collection[str], waiting: dict[Path, Types]
) -> Problem:
    """Returns the problem of an unknown parameter: a mistyped name, a name of another action, a key of the step that
    was put under ``with``, or a mapping around the parameters.
    """
    path: Path = (*node.path, "with", name)
    fields = action.params.model_fields
    hint = suggest.hint(name, fields, most=12) or f"`e2i catalog {node.step.uses}` lists them"
    fix = fixes.renamed(path, fields, given)
    if not fix and (held := _around(node.document.value(path), fields, given)):
        hint, fix = f'write what is in "{name}" under "with" itself', fixes.unwrapped(path, held)
    elif not fix and (meant := action_synonyms.parameter(name, fields, given)):
        hint, fix = f'e2i calls it "{meant}"', fixes.moved(path, (*path[:-1], meant))
    elif not fix and name in StepOptions.model_fields.keys() | {"needs", "when", "matrix", "tags", "agent"}:
        hint = f'"{name}" is a key of the step: move it out of "with"'
        fix = () if node.document.has((*node.path, name)) else fixes.moved(path, (*node.path, name))
    elif not fix and (meant := _only_missing(action, given, waiting.get((name,)))):
        hint, fix = f'{node.step.uses} takes it as "{meant}"', fixes.moved(path, (*path[:-1], meant))
    message = f'{node.step.uses} has no parameter "{name}"'
    return node.document.problem("unknown-action-parameter", path, message, hint, key=True, fixes=fix)


def _wrong_type(node: StepNode, full_path: Path, path: Path, given: Types, taken: Types) -> Problem:
    """Returns the problem of a value whose type the parameter does not accept."""
    document = node.document
    text = document.value(full_path)
    written = text if isinstance(text, str) else "this"
    plain = expressions.parse(written).whole if written != "this" else None
    if plain is not None and isinstance(plain.body, Reference):
        written = str(plain.body)
    name = ".".join(map(str, path))
    message = f'"{name}" accepts {types.describe(taken)}, but {written} is {types.describe(given)}'
    if types.describe(taken) == types.describe(given) and (missing := types.lacking(given, taken)):
        message = f'"{name}" accepts {types.describe(taken)} with {", ".join(missing)}, which {written} does not have'
    hint, fix = _instead(given, taken, written, full_path)
    return document.problem("wrong-type", full_path, message, hint, fixes=fix)


def _instead(given: Types, taken: Types, written: str, path: Path) -> tuple[str | None, Fixes]:
    """Returns what to write instead, if the value has a member of the type or can be converted to it."""
    if types.can_be(taken, "integer") and types.can_be(given, "number"):
        return "convert it with the filter int: ${{ … | int }}", ()
    inside = [name for name in types.members(given) if types.accepts(types.inside(given, name) or (), taken)]
    plain = all(type_.name == "mapping" for type_ in given)
    if not (plain and inside):
        return None, ()
    fix = fixes.replaced(path, f"${{{{ {written}.{inside[0]} }}}}") if len(inside) == 1 and written != "this" else ()
    return "refer to a member: " + ", ".join(f"{written}.{name}" for name in inside[:5]), fix


def _choices(action: Action, location: Path) -> str | None:
    """Returns the values that a parameter can have, if they are listed."""
    field = action.params.model_fields.get(str(location[0])) if len(location) == 1 else None
    if field is None or get_origin(field.annotation) is not Literal:
        return None
    return "choose from: " + suggest.few([str(value) for value in get_args(field.annotation)])


def _stand_in(value: Any, path: Path, waiting: dict[Path, Types]) -> Any:
    """Returns the value with an empty artifact for each future artifact, and None for other values not known yet."""
    if path in waiting:
        artifact = _artifact(waiting[path])
        return _empty(artifact) if artifact else None
    if isinstance(value, dict):
        return {key: _stand_in(item, (*path, key), waiting) for key, item in value.items()}
    if isinstance(value, list):
        return [_stand_in(item, (*path, index), waiting) for index, item in enumerate(value)]
    return value


def _artifact(given: Types) -> type[Artifact] | None:
    """Returns the type of the artifact, if the value is certainly one."""
    return ARTIFACTS.get(given[0].name) if len(given) == 1 else None


def _empty(artifact: type[Artifact]) -> Artifact:
    """Returns a placeholder artifact of that type, for checking types only."""
    empty: Any = {
        "columns": (),
        "rows": 0,
        "features": (),
        "views": {},
        "join_keys": {},
    }
    values = {name: empty.get(name, "") for name in artifact.model_fields if name not in ("type", "digest")}
    return artifact.model_construct(digest=NOTHING, **values)


def _problem(environment: TypeEnvironment, node: StepNode, action: Action, detail: Any) -> Problem:
    """Returns the problem of an error that the action's own model finds."""
    document, location = node.document, detail["loc"]
    path: Path = (*node.path, "with", *location)
    name = ".".join(map(str, location)) or node.step.uses
    takes = (types.of_model(action.params),)
    taken = types.at(takes, location)
    if written := artifacts.in_place(document, (*node.path, "with"), location, takes):
        place, wanted = written
        message = f'"{place[-1]}" accepts {types.describe(wanted)} of another step, not one that is written here'
        return document.problem("bad-action-parameter", place, message, artifacts.instead(environment, node, wanted))
    if detail["type"] == "missing":
        message = f'{node.step.uses} needs the parameter "{name}"'
        at = path[:-1] if document.has(path[:-1]) else node.path
        hint = artifacts.hint(environment, node, taken) or _choices(action, location)
        return document.problem("missing-action-parameter", path, message, hint, key=True, at=at)
    if detail["type"] == "extra_forbidden":
        names = types.members(types.at(takes, location[:-1]))
        parent = ".".join(map(str, location[:-1]))
        message, hint = f'"{parent}" has no key "{location[-1]}"', suggest.hint(str(location[-1]), names, most=12)
        fix = fixes.renamed(path, names, document.value(path[:-1]) or ())
        return document.problem("unknown-action-parameter", path, message, hint, key=True, fixes=fix)
    if location and location[-1] == "[key]":
        return keys.refused(node, path[:-1], ".".join(map(str, location[:-2])), detail)
    if artifacts.is_taken(taken) and not isinstance(detail["input"], dict | list):
        message = f'"{name}" accepts {types.describe(taken)}, not {show(detail["input"])}'
        hint, fix = artifacts.meant(environment, node, path, detail["input"], taken)
        return document.problem("bad-action-parameter", path, message, hint, fixes=fix)
    hint, fix = expected(detail, path)
    about = () if location else keys.named(detail, document.value(path))
    message = wording(detail, (name,))
    return document.problem("bad-action-parameter", (*path, *about), message, hint, key=bool(about), fixes=fix)


CODES = (
    Code(
        "unknown-action-parameter",
        "A parameter that the action does not have",
        "An unknown parameter would otherwise be ignored, and the action would not do what was meant.",
        "`e2i catalog ACTION` lists the action's parameters.",
        "steps:\n  a: {uses: debug.echo, with: {valeu: 1}}\n",
        "steps:\n  a: {uses: debug.echo, with: {value: 1}}\n",
    ),
    Code(
        "missing-action-parameter",
        "A missing parameter",
        "The action needs the parameter, and it has no default.",
        "Add it under `with:`; `e2i catalog ACTION` describes it.",
        "steps:\n  a: {uses: debug.sleep}\n",
        "steps:\n  a: {uses: debug.sleep, with: {seconds: 1}}\n",
    ),
    Code(
        "bad-action-parameter",
        "A value that the action's parameter does not accept",
        "The value has the wrong type, is out of range, or is not one of the allowed values.",
        "The message lists the accepted values. `e2i catalog ACTION` shows all of them.",
        "steps:\n  a: {uses: debug.sleep, with: {seconds: -1}}\n",
        "steps:\n  a: {uses: debug.sleep, with: {seconds: 1}}\n",
    ),
    Code(
        "wrong-type",
        "A reference to a value of another type",
        "Every output and every parameter has a type. The type of the output differs from the type of the parameter.",
        "Refer to the right output. `e2i catalog ACTION` shows the types.",
        "steps:\n  data: {uses: dataset.hcp}\n"
        '  a: {uses: debug.sleep, with: {seconds: "${{ steps.data.journeys }}"}}\n',
        'steps:\n  data: {uses: dataset.hcp}\n  a: {uses: debug.sleep, with: {seconds: "${{ steps.data.true_ate '
        '}}"}}\n',
    ),
)

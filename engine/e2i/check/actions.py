"""Checks each step against its action. In: an expanded spec. Out: unknown actions, and parameters that the action does
not accept.

A known value is checked by the action's own pydantic model. Of a reference, the type is known and is checked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from e2i.catalog import registry
from e2i.catalog.action import Action
from e2i.catalog.artifacts import ARTIFACTS, Artifact
from e2i.catalog.files import BoundedFiles, Files
from e2i.check import exact, order, types
from e2i.check.type_environment import TypeEnvironment
from e2i.check.types import Types
from e2i.spec import expressions, fixes, suggest, synonyms
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.expansion.nodes import Path, Pending, SpecInstance, StepNode
from e2i.spec.expressions import Expression, Template
from e2i.spec.included import is_included
from e2i.spec.load import LoadedSpec, expected, wording
from e2i.spec.models import StepOptions
from e2i.spec.problems import MOST, Problem
from e2i.spec.references import Reference
from e2i.spec.values import ExpressionError, Secret, size

if TYPE_CHECKING:
    from e2i.check.context import CheckContext

MOST_VALUES = 500_000
"""Limit on the parameter values of all steps together."""
MOST_BYTES = 256 * 2**20
"""Limit on the data files and suites that are read for their columns. Beyond it, columns are unknown."""
MOST_COLUMNS = 1_000_000
"""Limit on the columns of all tables that are tracked from step to step. Beyond it, columns are unknown."""
NOTHING = "sha256:" + "0" * 64


def check_names(loaded: LoadedSpec) -> Iterator[Problem]:
    """Yields problems of ``uses`` alone, in a spec and its included specs."""
    for instance in loaded.files():
        yield from _check_names(instance)


def _check_names(loaded: LoadedSpec) -> Iterator[Problem]:
    for section, group, step in loaded.spec.every_step():
        if is_included(step.uses):
            continue
        if registry.action(step.uses) is None:
            path: Path = (section, group, "uses")
            known = registry.names()
            yield loaded.document.problem(
                "unknown-action",
                path,
                f'unknown action "{step.uses}"',
                synonyms.action(step.uses, known),
                fixes=fixes.named(path, step.uses, known),
            )


def check(context: CheckContext) -> Iterator[Problem]:
    """Yields problems of ``uses``, ``when``, ``with`` and ``outputs``. Records the output types of each step."""
    expanded, environment = context.expanded, context.environment
    yield from check_names(expanded.loaded)
    files = BoundedFiles(context.files, MOST_BYTES)
    values = 0
    for unit in expanded.units():
        if unit.inner is not None:
            yield from _check_when(expanded, environment, unit)
    for node in order.along(expanded):
        yield from _check_when(expanded, environment, node)
        found = registry.action(node.step.uses)
        if found is not None:
            value, failing = _resolved(expanded, node)
            values += size(value, MOST_VALUES - values)
            if values > MOST_VALUES:
                yield _too_much(node)
                return
            yield from failing
            yield from _check_with(expanded, environment, node, found, value, files)
    for instance in expanded.instances:
        for path, template in expressions.walk(instance.loaded.spec.outputs):
            if isinstance(template, Template):
                yield from _check_formulas(instance, ("outputs", *path), environment.of_template(template, instance)[1])


def _check_when(expanded: Expanded, environment: TypeEnvironment, node: StepNode) -> Iterator[Problem]:
    """Checks that a condition is true or false."""
    if isinstance(node.step.when, bool):
        return
    try:
        value = expanded.resolve(node.step.when, node, {})
    except ExpressionError as error:
        yield _bad_expression(expanded, node, ("when",), node.step.when, error)
        return
    path: Path = (*node.path, "when")
    fix = fixes.instead(path, fixes.meant(node.step.when, "boolean"))
    message = None if isinstance(value, bool) else f'"when" must be true or false, not {value!r}'
    if isinstance(value, Pending):
        given, errors = environment.of_template(expressions.parse(value.text), node)
        yield from _check_formulas(node, path, errors)
        is_condition = types.accepts(given, types.BOOLEAN)
        message = None if is_condition else f'"when" must be true or false, not {types.describe(given)}'
    if message:
        hint = "compare it: ${{ params.rows > 0 }}"
        if isinstance(value, str) and not fix and (braced := _braced(node.step.when)):
            hint, fix = f'write an expression in "${{{{ }}}}": {braced}', fixes.replaced(path, braced)
        yield node.document.problem("bad-condition", path, message, hint, fixes=fix)


def _braced(written: Any) -> str | None:
    """Returns the text as an expression, if it only lacks its braces."""
    if not isinstance(written, str) or expressions.has_expression(written):
        return None
    braced = f"${{{{ {written.strip()} }}}}"
    try:
        return braced if expressions.parse(braced).references else None
    except ExpressionError:
        return None


def _check_formulas(
    node: StepNode | SpecInstance, path: Path, errors: list[tuple[Expression, str]]
) -> Iterator[Problem]:
    """Yields problems of operators and filters that do not accept the types of their operands."""
    for expression, message in errors:
        said = f"the expression is invalid: {message}"
        yield node.document.problem("wrong-type", path, said, offset=expression.offset)


def _check_with(
    expanded: Expanded,
    environment: TypeEnvironment,
    node: StepNode,
    action: Action,
    value: Mapping[str, Any],
    files: Files,
) -> Iterator[Problem]:
    """Yields problems of the parameters: their names, types and columns."""
    environment.learn(node, types.of_model(action.outputs))
    base: Path = (*node.path, "with")
    fields = action.params.model_fields
    foreign = list(
        islice((_unknown_parameter(node, name, fields, value) for name in value if name not in fields), MOST + 1)
    )
    yield from foreign
    waiting: dict[Path, Types] = {}
    takes = (types.of_model(action.params),)
    found: list[Problem] = []
    for path, pending in () if node.is_plain else _pending(value, ()):
        given, errors = _given(environment, node, pending)
        full_path = (*base, *path)
        found += _check_formulas(node, full_path, errors)
        taken = types.at(takes, path)
        if path[0] in fields and not types.accepts(given, taken):
            found.append(_wrong_type(node, full_path, path, given, taken))
            given = types.ANY
        waiting[path] = given
    known = {name: _stand_in(item, (name,), waiting) for name, item in value.items() if name in fields}
    unsure = [path for path, given in waiting.items() if _artifact(given) is None]
    try:
        action.params.model_validate(known)
    except ValidationError as error:
        unknown = [name for name in value if name not in fields]
        mistyped = {suggest.certain(name, fields) or synonyms.parameter(name, fields, value) for name in unknown}
        found = [*found, *_parameter_problems(expanded, node, action, error, known, unsure, mistyped)]
    reported = {problem.path for problem in found}
    found += [problem for problem in exact.problems(node.document, base, known, takes) if problem.path not in reported]
    yield from found
    if action.columns and not found and not foreign:  # the action does not see a value under a mistyped name
        if environment.columns > MOST_COLUMNS:
            return
        from e2i.check import flow  # imported here: a spec without tables does not need it

        outputs, columns = flow.follow(node, action, value, waiting, files)
        environment.learn(node, outputs)
        yield from flow.problems(columns, base, node.document)


def _resolved(expanded: Expanded, node: StepNode) -> tuple[Mapping[str, Any], list[Problem]]:
    """Returns the step's parameters, as far as they are known, and the problems of their expressions."""
    known = expanded.known(node)
    if not known.errors:
        return known.values, []
    written = node.step.with_
    problems = [
        _bad_expression(expanded, node, ("with", name), written[name], known.errors[name]) for name in known.errors
    ]
    return {name: known.values.get(name, Pending("", ())) for name in written}, problems


def _too_much(node: StepNode) -> Problem:
    message = f"the steps up to this one have more than {MOST_VALUES:,} parameter values together"
    hint = "move data to files that steps read, or pass a large parameter to fewer steps"
    return node.document.problem("too-large", (*node.path, "with"), message, hint, key=True)


def _unknown_parameter(node: StepNode, name: str, fields: Collection[str], given: Collection[str]) -> Problem:
    """Returns the problem of an unknown parameter: a mistyped name, or a key of the step that was put under
    ``with``.
    """
    path: Path = (*node.path, "with", name)
    hint = suggest.hint(name, fields, most=12) or f"`e2i catalog {node.step.uses}` lists them"
    fix = fixes.renamed(path, fields, given)
    if not fix and (meant := synonyms.parameter(name, fields, given)):
        hint, fix = f'e2i calls it "{meant}"', fixes.moved(path, (*path[:-1], meant))
    elif not fix and name in StepOptions.model_fields.keys() | {"needs", "when", "matrix", "tags", "agent"}:
        hint = f'"{name}" is a key of the step: move it out of "with"'
        fix = () if node.document.has((*node.path, name)) else fixes.moved(path, (*node.path, name))
    message = f'{node.step.uses} has no parameter "{name}"'
    return node.document.problem("unknown-action-parameter", path, message, hint, key=True, fixes=fix)


def _pending(value: Any, path: Path) -> Iterator[tuple[Path, Pending | Secret]]:
    """Yields each location in the parameters whose value is only known in a run."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _pending(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _pending(item, (*path, index))
    elif isinstance(value, (Pending, Secret)):
        yield path, value


def _given(
    environment: TypeEnvironment, node: StepNode, pending: Pending | Secret
) -> tuple[Types, list[tuple[Expression, str]]]:
    if isinstance(pending, Secret):
        return types.STRING, []
    if not pending.text:  # a failing expression is reported separately
        return types.ANY, []
    return environment.of_template(expressions.parse(pending.text), node)


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
    return document.problem("wrong-type", full_path, message, _fix(given, taken, written))


def _fix(given: Types, taken: Types, written: str) -> str | None:
    """Returns what to write instead, if the value has a member of the type or can be converted to it."""
    if types.can_be(taken, "integer") and types.can_be(given, "number"):
        return "convert it with the filter int: ${{ … | int }}"
    inside = [name for name in types.members(given) if types.accepts(types.inside(given, name) or (), taken)]
    plain = all(type_.name == "mapping" for type_ in given)
    return "refer to a member: " + ", ".join(f"{written}.{name}" for name in inside[:5]) if plain and inside else None


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
    empty: dict[str, Any] = {"columns": (), "rows": 0, "features": (), "views": {}, "join_keys": {}}
    values = {name: empty.get(name, "") for name in artifact.model_fields if name not in ("type", "digest")}
    return artifact.model_construct(digest=NOTHING, **values)


def _parameter_problems(
    expanded: Expanded,
    node: StepNode,
    action: Action,
    error: ValidationError,
    known: Any,
    unsure: list[Path],
    mistyped: Collection[str | None],
) -> Iterator[Problem]:
    """Yields the problems that the action's own model finds. ``mistyped`` parameters exist under a wrong name."""
    document = node.document
    base: Path = (*node.path, "with")
    for detail in error.errors(include_url=False):
        location = _within(tuple(detail["loc"]), known)
        # A missing key of a mapping is certain even if other values are unknown. Any other error may come from those.
        within = len(location) + (detail["type"] == "missing")
        if any(path[:within] == location or location[: len(path)] == path for path in unsure):
            continue
        path = (*base, *location)
        name = ".".join(map(str, location)) or node.step.uses
        if detail["type"] == "missing" and detail["loc"][0] in mistyped:
            continue
        if not location and any(mistyped):  # parameters that contradict each other: one may be missing for its name
            continue
        if detail["type"] == "missing":
            name = ".".join(map(str, detail["loc"]))
            message = f'{node.step.uses} needs the parameter "{name}"'
            at = path if document.has(path) else node.path
            yield document.problem("missing-action-parameter", path, message, key=True, at=at)
        elif detail["type"] == "extra_forbidden":
            names = types.members(types.at((types.of_model(action.params),), location[:-1]))
            parent = ".".join(map(str, location[:-1]))
            message, hint = f'"{parent}" has no key "{location[-1]}"', suggest.hint(str(location[-1]), names, most=12)
            fix = fixes.renamed(path, names, document.value(path[:-1]) or ())
            yield document.problem("unknown-action-parameter", path, message, hint, key=True, fixes=fix)
        else:
            hint, fix = expected(detail, path)
            message = wording(detail, (name,))
            yield document.problem("bad-action-parameter", path, message, hint, fixes=fix)


def _within(location: Path, known: Any) -> Path:
    """Returns the location without the elements that pydantic adds for unions."""
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
    """Returns the problem of an expression somewhere in ``written``, which is at ``path`` in the step."""
    full_path = (*node.path, *path, *_failing(expanded, node, written))
    return node.document.problem("bad-expression", full_path, str(error), error.hint)


def _failing(expanded: Expanded, node: StepNode, written: Any) -> Path:
    """Returns the path of the first expression in the value that cannot be evaluated."""
    for path, _ in expressions.walk(written):
        value: Any = written
        for key in path:
            value = value[key]
        try:
            expanded.resolve(value, node, {})
        except ExpressionError:
            return path
    return ()

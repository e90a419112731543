"""Checks each step against its action. In: an expanded spec. Out: unknown actions, conditions that are neither true nor
false, and what ``parameters`` finds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from e2i.catalog.files import BoundedFiles
from e2i.catalog.registry import Registry
from e2i.check import order, parameters, types
from e2i.check.type_environment import TypeEnvironment
from e2i.documents import ParamValues
from e2i.spec import action_synonyms, expressions, fixes
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.expansion.nodes import Path, Pending, StepNode
from e2i.spec.expressions import Template
from e2i.spec.included import is_included
from e2i.spec.load import LoadedSpec
from e2i.spec.problems import Code, Problem
from e2i.spec.values import ExpressionError, size

if TYPE_CHECKING:
    from e2i.check.context import CheckContext

MOST_VALUES = 500_000
"""Limit on the parameter values of all steps together."""
MOST_BYTES = 256 * 2**20
"""Limit on the data files and suites that are read for their columns. Beyond it, columns are unknown."""


def check_names(loaded: LoadedSpec, registry: Registry) -> Iterator[Problem]:
    """Yields problems of ``uses`` alone, in a spec and its included specs."""
    for instance in loaded.files():
        yield from _check_names(instance, registry)


def _check_names(loaded: LoadedSpec, registry: Registry) -> Iterator[Problem]:
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
                action_synonyms.action(step.uses, known),
                fixes=fixes.named(path, step.uses, known),
            )


def check(context: CheckContext) -> Iterator[Problem]:
    """Yields problems of ``uses``, ``when``, ``with`` and ``outputs``. Records the output types of each step."""
    expanded, environment, registry = context.expanded, context.environment, context.authority.registry
    yield from check_names(expanded.loaded, registry)
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
            # What code that the author must not run looks like is not told either.
            may_follow = found.privilege is None or getattr(context.authority.rules, found.privilege)
            yield from parameters.check(expanded, environment, node, found, value, files if may_follow else None)
    for instance in expanded.instances:
        for path, template in expressions.walk(instance.loaded.spec.outputs):
            if isinstance(template, Template):
                yield from parameters.formula_problems(
                    instance, ("outputs", *path), environment.of_template(template, instance)[1]
                )


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
        yield from parameters.formula_problems(node, path, errors)
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
    from e2i.spec import dialects  # only needed for a condition that is wrong

    found = next((found for found in dialects.unmarked(written) if found[0] == written.strip()), None)
    braced = f"${{{{ {dialects.translated(found['inside'] if found else written.strip())} }}}}"
    try:
        return braced if expressions.parse(braced).references else None
    except ExpressionError:
        return None


def _resolved(expanded: Expanded, node: StepNode) -> tuple[ParamValues, list[Problem]]:
    """Returns the step's parameters, as far as they are known, and the problems of their expressions."""
    known = expanded.known(node)
    if not known.errors:
        return known.values, []
    written = node.step.with_
    problems = [
        _bad_expression(expanded, node, ("with", name), written[name], known.errors[name]) for name in known.errors
    ]
    return ParamValues({name: known.values.get(name, Pending("", ())) for name in written}), problems


def _too_much(node: StepNode) -> Problem:
    message = f"the steps up to this one have more than {MOST_VALUES:,} parameter values together"
    hint = "move data to files that steps read, or pass a large parameter to fewer steps"
    return node.document.problem("too-large", (*node.path, "with"), message, hint, key=True)


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


CODES = (
    Code(
        "bad-condition",
        "A condition that is neither true nor false",
        "`when` decides whether a step runs. Text such as `no` would count as true.",
        "Write true or false, or compare: ${{ params.rows > 0 }}.",
        "steps:\n  a: {uses: debug.echo, when: no}\n",
        "steps:\n  a: {uses: debug.echo, when: false}\n",
    ),
    Code(
        "unknown-action",
        "An action that does not exist",
        "`uses` refers to an action in the catalog, as tool.action.",
        "Use an action listed by `e2i catalog`.",
        "steps:\n  a: {uses: debug.ecko}\n",
        "steps:\n  a: {uses: debug.echo}\n",
    ),
)

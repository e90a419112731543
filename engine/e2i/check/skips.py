"""Detects steps that read a step which may be skipped by its ``when``.

In: an expanded spec. Out: problems.

A step with a ``when`` may be skipped, whatever its condition is today. Another step may read it if

1. the reference is under ``default`` or ``is defined``, or
2. its own ``when`` contains, joined by ``and``, all conditions of the other's, in the same words, or
3. its own ``when`` reads that step: a condition on a step without a result is false.

The ``when`` of a step that includes a spec counts for every step in it. A step under ``finally`` also runs when others
failed, so it reads all others as in 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from e2i.spec import expressions
from e2i.spec.expansion import matrix
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.expansion.nodes import Path, StepNode
from e2i.spec.problems import Code, Problem
from e2i.spec.references import Reference

if TYPE_CHECKING:
    from jinja2 import nodes

    from e2i.check.context import CheckContext

Guard = tuple[str, str, tuple[str, ...]]
"""One condition of a ``when``: the spec instance that contains it, its words, and the matrix values in it."""


def check(context: CheckContext) -> Iterator[Problem]:
    """Yields problems of references that no condition guards."""
    expanded = context.expanded
    units = list(expanded.units())
    if all(unit.step.when is True and unit.section == "steps" for unit in units):
        return
    guards = {node.id: _guards(expanded, node) for node in expanded.nodes.values() if node.is_conditional}
    for unit in units:
        own: frozenset[Guard] | None = None
        asked: set[str] = set()
        for path, reference in unit.references:
            if reference.root != "steps" and not unit.final:
                continue  # parameters of an included spec are checked in the including step
            needed = expanded.behind(unit, reference).steps
            for name in sorted(name for name, required in needed.items() if required):
                source = expanded.nodes[name]
                if unit.final and not source.final:
                    yield _problem(
                        unit, path, f'"{unit.name}" runs also when step "{source.group}" has failed', reference
                    )
                    break
                if name in guards and path[2] != "when":
                    if own is None:
                        own, asked = _guards(expanded, unit), _asked(expanded, unit)
                    if not guards[name] <= own and name not in asked:
                        yield _problem(unit, path, f'step "{source.group}" may be skipped by its "when"', reference)
                        break


def falls_back_to_false(when: Any) -> set[tuple[str | int, ...]]:
    """Returns the conditions, joined by ``and``, that make the whole false when their reference is missing."""
    return {asks.parts for _, asks in _demands(when) if asks is not None}


def _problem(unit: StepNode, path: Path, why: str, reference: Reference) -> Problem:
    hint = f"define a fallback: ${{{{ {reference} | default(…) }}}}"
    if not unit.final:
        hint = f'use the same "when" for "{unit.name}", or {hint}'
    message = f"{reference} may be missing: {why}"
    return unit.document.problem("maybe-skipped", path, message, hint)


def _guards(expanded: Expanded, node: StepNode) -> frozenset[Guard]:
    """Returns all conditions of a step."""
    return frozenset(
        (unit.instance.prefix, words, _values(expanded, unit))
        for unit in node.chain
        if unit.step.when is not True
        for words, _ in _demands(unit.step.when)
    )


def _asked(expanded: Expanded, node: StepNode) -> set[str]:
    """Returns the nodes whose missing results make the conditions of a step false."""
    found: set[str] = set()
    for unit in node.chain:
        for path, reference in unit.references:
            if path[2] == "when" and not reference.optional:
                found.update(name for name, required in expanded.behind(unit, reference).steps.items() if required)
        for _, asks in _demands(unit.step.when):
            if asks is not None:
                found.update(name for name, required in expanded.behind(unit, asks).steps.items() if required)
    return found


def _values(expanded: Expanded, unit: StepNode) -> tuple[str, ...]:
    """Returns the matrix values that a condition reads: the same words differ in meaning between combinations."""
    named = sorted(
        {str(ref.path[0]) for path, ref in unit.references if path[2] == "when" and ref.root == "matrix" and ref.path}
    )
    return tuple(f"{name}={matrix.key(unit.matrix.get(name))}" for name in named)


def _demands(when: Any) -> list[tuple[str, Reference | None]]:
    """Returns the conditions joined by ``and``: the words of each, and the reference that must exist for it."""
    if not isinstance(when, str):
        return [] if when is True else [(str(when), None)]
    only = expressions.parse(when).whole
    if only is None:
        return [(when, None)]
    if isinstance(only.body, Reference):
        return [(str(only.body), only.body)]
    from jinja2 import nodes

    found: list[tuple[str, Reference | None]] = []
    waiting: list[nodes.Node] = [only.body.node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, nodes.And):
            waiting += [node.right, node.left]
        else:
            found.append(_demand(node))
    return found


def _demand(node: nodes.Node) -> tuple[str, Reference | None]:
    from jinja2 import nodes

    from e2i.spec.formula import reference_of

    if isinstance(node, nodes.Name | nodes.Getattr | nodes.Getitem) and (plain := reference_of(node)):
        return str(plain), plain
    is_asked = isinstance(node, nodes.Test) and node.name == "defined"
    falls_back = isinstance(node, nodes.Filter) and node.name == "default" and _is_false(node)
    if isinstance(node, nodes.Test | nodes.Filter) and (is_asked or falls_back) and node.node is not None:
        return repr(node), reference_of(node.node)
    return repr(node), None


def _is_false(node: nodes.Filter) -> bool:
    """Returns True when a ``default`` replaces a missing value by false."""
    from jinja2 import nodes

    return bool(node.args) and isinstance(node.args[0], nodes.Const) and not node.args[0].value


CODES = (
    Code(
        "maybe-skipped",
        "A step that reads a step that may be skipped",
        "A step with a `when` may have no result. A step that reads it must define the value for that case. This is "
        "checked before the run.",
        "Write `| default(…)` or `is defined`, or use the same `when` for this step.",
        "params:\n  all: {type: boolean, default: false}\n"
        'steps:\n  a: {uses: debug.echo, when: "${{ params.all }}", with: {value: 1}}\n'
        '  b: {uses: debug.echo, with: {value: "${{ steps.a.value }}"}}\n',
        "params:\n  all: {type: boolean, default: false}\n"
        'steps:\n  a: {uses: debug.echo, when: "${{ params.all }}", with: {value: 1}}\n'
        '  b: {uses: debug.echo, with: {value: "${{ steps.a.value | default(0) }}"}}\n',
    ),
)

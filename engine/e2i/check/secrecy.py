"""Checks that secrets go only where the catalog and the operator's policy allow them.

In: a step's parameters, or the outputs of a spec. Out: where a secret, or a value that may be one, is not allowed.

A secret is followed by name through the parameters of included specs, so that everything is known before a run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from e2i.catalog import marks
from e2i.catalog.action import Action
from e2i.spec import expressions
from e2i.spec.expansion.nodes import Pending, SpecInstance, StepNode
from e2i.spec.expressions import Template
from e2i.spec.problems import Code, Problem
from e2i.spec.references import Reference
from e2i.spec.values import Secret

if TYPE_CHECKING:
    from e2i.check.context import CheckContext

Path = tuple[str | int, ...]
CODE = "secret-not-allowed"
HINT = "only parameters marked for secrets accept one: the arguments of python.call"


def used(node: StepNode, params: Any) -> Iterator[tuple[Path, str]]:
    """Yields each location in the parameters of a value that is, or may become, a secret, with the secret's name."""
    for path, value in () if node.is_plain else _values(params, ()):
        names = _names(value) if isinstance(value, Secret) else _behind_all(node, value.references)
        yield from ((path, name) for name in sorted(names))


def is_taken(action: Action, path: Path) -> bool:
    """Returns True when a parameter on this path is marked for secrets."""
    return any(
        len(steps) <= len(path) and all(step in (None, key) for step, key in zip(steps, path, strict=False))
        for steps, mark in marks.of(action.params)
        if isinstance(mark, marks.MayBeSecret)
    )


def is_allowed(patterns: Collection[str], name: str) -> bool:
    """Returns True when the policy lets specs pass that secret to a step."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def check(context: CheckContext) -> Iterator[Problem]:
    """Yields the outputs, of the pipeline and of included specs, that are secrets."""
    for instance in context.expanded.instances:
        for path, template in expressions.walk(instance.loaded.spec.outputs):
            if isinstance(template, Template) and (names := _behind_all(instance, template.references)):
                where: Path = ("outputs", *path)
                message = f'an output cannot be a secret, but this is "{min(names)}"'
                hint = "outputs are recorded; refer to the secret where it is needed"
                yield instance.document.problem(CODE, where, message, hint)


def _values(value: Any, path: Path) -> Iterator[tuple[Path, Pending | Secret]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _values(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _values(item, (*path, index))
    elif isinstance(value, (Pending, Secret)):
        yield path, value


def _behind_all(at: StepNode | SpecInstance, references: Collection[Reference]) -> set[str]:
    """Returns the names of the secrets that the references may lead to."""
    found: set[str] = set()
    seen: set[tuple[SpecInstance, str]] = set()
    waiting = [(at, reference) for reference in references]
    while waiting:
        here, reference = waiting.pop()
        if reference.root == "secrets":
            found.add(str(reference.path[0]))
        elif reference.root == "params":
            for name in map(str, reference.path[:1] or here.instance.loaded.spec.params):
                if (here.instance, name) not in seen:
                    seen.add((here.instance, name))
                    found |= _names(here.instance.params.get(name))
                    waiting += _given(here.instance, name)
    return found


def _given(instance: SpecInstance, name: str) -> list[tuple[StepNode | SpecInstance, Reference]]:
    """Returns the references in what the including step passes for the parameter."""
    owner = instance.owner
    if owner is None or name not in owner.step.with_:
        return []
    written = (template for _, template in expressions.walk(owner.step.with_[name]))
    return [(owner, found) for template in written if isinstance(template, Template) for found in template.references]


def _names(value: Any) -> set[str]:
    """Returns the names of the secrets in a known value."""
    if isinstance(value, Secret):
        return {value.name}
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*map(_names, items))


CODES = (
    Code(
        "secret-not-allowed",
        "A secret that is not allowed here",
        "The inputs of a step can end up in tables, reports, traces and registries, and a value that is compared with "
        "data can be guessed from the result. A secret may therefore only be passed to parameters marked for secrets: "
        "the arguments of python.call. No output is marked.",
        "Refer to the secret where it is needed: in an argument of a python.call step. Credentials of tools belong in "
        "config/.",
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ secrets.TOKEN }}"}}\n',
        'steps:\n  a: {uses: debug.echo, with: {value: "the operator knows the token"}}\n',
    ),
)

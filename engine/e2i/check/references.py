"""Checks that every reference resolves. In: a spec. Out: problems of unknown names, steps and outputs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from e2i.check import types
from e2i.check.type_environment import TypeEnvironment
from e2i.spec import expressions, fixes, suggest
from e2i.spec.document import Document
from e2i.spec.expansion.dataflow import MAX_HOPS
from e2i.spec.expansion.expanded import RUN_FACTS, Expanded
from e2i.spec.expansion.nodes import Path, SpecInstance, StepNode
from e2i.spec.expressions import Template
from e2i.spec.load import LoadedSpec
from e2i.spec.problems import Fixes, Problem
from e2i.spec.references import Reference
from e2i.spec.values import ExpressionError, MissingError

if TYPE_CHECKING:
    from e2i.check.context import CheckContext


CODES = frozenset(
    {
        *("unknown-parameter", "unknown-matrix-name", "unknown-env", "unknown-secret", "unknown-run-name"),
        *("unknown-step", "unknown-output", "matrix-as-one", "one-as-list"),
    }
)
"""Codes of dangling references. Any other problem of the same expression follows from them."""


def check_syntax(loaded: LoadedSpec) -> list[Problem]:
    """Returns problems of expressions that cannot be parsed."""
    held: dict[str, Any] = {"outputs": loaded.spec.outputs}
    for section, name, step in loaded.spec.every_step():
        held.setdefault(section, {})[name] = {"with": step.with_, "when": step.when, "matrix": step.matrix}
    return [
        _unreadable(loaded.document, path, error)
        for path, error in expressions.walk(held)
        if isinstance(error, ExpressionError)
    ]


def _unreadable(document: Document, path: Path, error: ExpressionError) -> Problem:
    """Returns the problem of an expression that cannot be parsed, with a fix for a mistyped name or a missing brace."""
    fix: Fixes = ()
    text = document.value(path)
    if unclosed := _UNCLOSED.fullmatch(text):
        fix = fixes.replaced(path, f"{unclosed[1]} }}}}")
    elif isinstance(error, MissingError) and (meant := suggest.certain(error.key, error.known)):
        before, behind = text[: error.offset], text[error.offset :]
        if behind.startswith(error.key):
            fix = fixes.replaced(path, before + meant + behind.removeprefix(error.key))
    return document.problem("bad-expression", path, str(error), error.hint, offset=error.offset, fixes=fix)


def check(context: CheckContext) -> Iterator[Problem]:
    """Yields problems of references in steps and outputs."""
    expanded, environment = context.expanded, context.environment
    for unit in expanded.units():
        for path, reference in unit.references:
            yield from _check_one(expanded, environment, unit, path, reference)
            if len(expanded.instances) > 1 and expanded.behind(unit, reference).too_far:
                message = f"{reference} passes through more than {MAX_HOPS} included specs"
                hint = "pass the value directly to the step that needs it"
                yield unit.document.problem("bad-include", path, message, hint)
    for instance in expanded.instances:
        for path, template in expressions.walk(instance.loaded.spec.outputs):
            for reference in template.references if isinstance(template, Template) else ():
                yield from _check_one(expanded, environment, instance, ("outputs", *path), reference)


def _check_one(
    expanded: Expanded, environment: TypeEnvironment, node: StepNode | SpecInstance, path: Path, reference: Reference
) -> Iterator[Problem]:
    def problem(
        code: str, message: str, hint: str | None, wrong: str = "", meant: str | None = None, parent: str = ""
    ) -> Problem:
        """Returns the problem, with its fix if ``wrong`` after ``parent`` certainly means ``meant``."""
        document = node.document
        fix = fixes.reworded(path, document.value(path), f"{parent}." if parent else "", wrong, meant)
        return document.problem(code, path, message, hint, fixes=fix)

    name = str(reference.path[0]) if reference.path else ""
    spec = node.instance.loaded.spec
    match reference.root:
        case "params" if name and name not in spec.params:
            yield problem(
                "unknown-parameter",
                f'the spec has no parameter "{name}"',
                suggest.hint(name, spec.params) or "declare it under params:",
                name,
                suggest.certain(name, spec.params),
                "params",
            )
        case "matrix" if name and name not in (node.combination or {}):
            combinations = node.instance.units[node.name] if isinstance(node, StepNode) else ()
            known = {key: None for unit in combinations for key in unit.combination or {}}
            if name in known and reference.optional:
                return  # another combination has it
            where = "the step's matrix has" if known else "there is"
            meant = suggest.certain(name, known)
            hint = suggest.hint(name, known)
            if name in known:
                assert isinstance(node, StepNode)
                where, meant = f"the combination {node.id} has", None
                hint = f"only some combinations have it: {reference} | default(…)"
            yield problem("unknown-matrix-name", f'{where} no name "{name}"', hint, name, meant, "matrix")
        case "env" if name and name not in expanded.env:
            hint = suggest.hint(name, expanded.env) or "the operator lists what specs may read under env: in config/"
            meant = suggest.certain(name, expanded.env)
            yield problem("unknown-env", f'env has no name "{name}"', hint, name, meant, "env")
        case "secrets" if name and name not in expanded.secrets:
            hint = suggest.hint(name, expanded.secrets) or "the operator lists secrets under secrets: in config/"
            yield problem("unknown-secret", f'there is no secret "{name}"', hint)
        case "run" if name and name not in RUN_FACTS:
            meant = suggest.certain(name, RUN_FACTS)
            yield problem("unknown-run-name", f'run has no "{name}"', suggest.hint(name, RUN_FACTS), name, meant, "run")
        case "run" if name == "status" and not (isinstance(node, StepNode) and node.final):
            message = "run.status is only known when all steps have ended, so only steps under finally can read it"
            yield problem("waits-for-finally", message, "move the step under finally:")
        case "steps" if name:
            if name not in node.instance.units:
                meant = suggest.certain(name, node.instance.units)
                hint = suggest.hint(name, node.instance.units)
                yield problem("unknown-step", f'there is no step "{name}"', hint, name, meant, "steps")
            elif len(reference.path) > 1:
                yield from _check_output(expanded, environment, node, reference, problem)


def _check_output(
    expanded: Expanded, environment: TypeEnvironment, node: StepNode | SpecInstance, reference: Reference, problem: Any
) -> Iterator[Problem]:
    """Yields problems of the path after a step, as far as its outputs are known."""
    group, (first, *_) = str(reference.path[0]), reference.path[1:]
    step = node.instance.units[group][0].step if node.instance.units[group] else None
    if step is None:  # its invalid matrix is reported separately
        return
    one = expanded.is_one(node, group)
    if not one and isinstance(first, str):
        yield problem(
            "matrix-as-one",
            f'"{group}" has a matrix, so steps.{group} is a list with one entry for each combination, not one step',
            f"pass steps.{group} to an action that accepts the list (model.select),"
            f" or read one combination: steps.{group}[0].outputs.{first}",
        )
        return
    if one and isinstance(first, int):
        written = f"steps.{group}[{first}].outputs"
        message = f'"{group}" has no matrix, so steps.{group} is one step, not a list'
        yield problem("one-as-list", message, f"refer to the output: steps.{group}.NAME", written, f"steps.{group}")
        return
    given = environment.of_step(group, node)
    if one and first == "outputs" and len(reference.path) > 2 and types.inside(given, first) is None:
        written, name = f"steps.{group}.outputs", reference.path[2]
        hint = f"write steps.{group}.{name}"
        yield problem(
            "unknown-output", "a reference to an output has no .outputs here", hint, written, f"steps.{group}"
        )
        return
    for depth, key in enumerate(reference.path[1:], start=1):
        inner = types.inside(given, key)
        if inner is None:
            known, parent = types.members(given), Reference("steps", reference.path[:depth])
            name = str(key)
            if depth == 1 and one:
                message = f'{step.uses} (step "{group}") has no output "{name}"'
            elif known:
                message = f'{parent} has no "{name}"'
            else:
                message = f'{parent} is {types.describe(given)}, so it has no "{name}"'
            meant = suggest.certain(name, known)
            yield problem("unknown-output", message, suggest.hint(name, known, most=12), name, meant, str(parent))
            return
        given = inner


_UNCLOSED = re.compile(r"(\$\{\{\s*\w+(?:\.\w+)+)\s*\}?\s*")
"""A plain reference that lacks one brace or both."""

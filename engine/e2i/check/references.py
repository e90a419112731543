"""Whether every reference leads somewhere. In: a spec. Out: problems for unknown names, steps and outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from e2i.check import kinds
from e2i.check.knowledge import Knowledge, is_one
from e2i.spec import expressions, suggest
from e2i.spec.expand import RUN_FACTS, Expanded, Path, StepNode
from e2i.spec.expressions import ExpressionError, Reference, Template
from e2i.spec.load import LoadedSpec
from e2i.spec.problems import Problem, pointer


def check_syntax(loaded: LoadedSpec) -> list[Problem]:
    """Problems of expressions that cannot be read at all."""
    held: dict[str, Any] = {
        "steps": {
            group: {"with": step.with_, "when": step.when, "matrix": step.matrix}
            for group, step in loaded.spec.steps.items()
        },
        "outputs": loaded.spec.outputs,
    }
    return [
        Problem("bad-expression", str(fault), loaded.document.place_in(path, fault.offset), pointer(path), fault.hint)
        for path, fault in expressions.walk(held)
        if isinstance(fault, ExpressionError)
    ]


def check(expanded: Expanded, knowledge: Knowledge) -> Iterator[Problem]:
    """Problems of references in steps and in the pipeline's outputs. ``knowledge`` is what the steps were found to give."""
    for node in expanded.nodes.values():
        for path, reference in node.references:
            yield from _check_one(expanded, knowledge, node, path, reference)
    for path, template in expressions.walk(expanded.loaded.spec.outputs):
        for reference in template.references if isinstance(template, Template) else ():
            yield from _check_one(expanded, knowledge, None, ("outputs", *path), reference)


def _check_one(
    expanded: Expanded, knowledge: Knowledge, node: StepNode | None, path: Path, reference: Reference
) -> Iterator[Problem]:
    def problem(code: str, message: str, hint: str | None, wrong: str = "", meant: str | None = None) -> Problem:
        document = expanded.loaded.document
        text = document.value(path)
        fixes: tuple[dict[str, Any], ...] = ()
        if meant and isinstance(text, str) and text.count(wrong) == 1:
            fixes = ({"op": "replace", "path": pointer(path), "value": text.replace(wrong, meant)},)
        return Problem(code, message, document.place(path), pointer(path), hint, fixes=fixes)

    name = str(reference.path[0]) if reference.path else ""
    spec = expanded.loaded.spec
    match reference.root:
        case "params" if name and name not in spec.params:
            yield problem(
                "unknown-parameter",
                f'the spec has no parameter "{name}"',
                suggest.hint(name, spec.params) or "declare it under params:",
                name,
                suggest.certain(name, spec.params),
            )
        case "matrix" if name and name not in (cell := (node.cell if node else None) or {}):
            where = "the step's matrix has" if cell else "there is"
            yield problem("unknown-matrix-name", f'{where} no name "{name}"', suggest.hint(name, cell))
        case "env" if name and name not in expanded.env:
            hint = suggest.hint(name, expanded.env) or "the operator lists what specs may read under env: in config/"
            yield problem("unknown-env", f'env has no name "{name}"', hint)
        case "secrets" if name and name not in expanded.secrets:
            hint = suggest.hint(name, expanded.secrets) or "the operator lists secrets under secrets: in config/"
            yield problem("unknown-secret", f'there is no secret "{name}"', hint)
        case "run" if name and name not in RUN_FACTS:
            yield problem("unknown-run-name", f'run has no "{name}"', suggest.hint(name, RUN_FACTS))
        case "steps" if name:
            if name not in spec.steps:
                meant = suggest.certain(name, spec.steps)
                yield problem("unknown-step", f'there is no step "{name}"', suggest.hint(name, spec.steps), name, meant)
            elif len(reference.path) > 1:
                yield from _check_output(expanded, knowledge, node, reference, problem)


def _check_output(
    expanded: Expanded, knowledge: Knowledge, node: StepNode | None, reference: Reference, problem: Any
) -> Iterator[Problem]:
    """Problems of the path below a step, as far as it is known what can be there."""
    group, (first, *_) = str(reference.path[0]), reference.path[1:]
    step = expanded.loaded.spec.steps[group]
    one = is_one(expanded, group, node)
    if not one and isinstance(first, str):
        yield problem(
            "matrix-as-one",
            f'"{group}" has a matrix, so steps.{group} is a list with one entry for each cell, not one step',
            f"hand steps.{group} to an action that takes the list (model.select),"
            f" or read one cell: steps.{group}[0].outputs.{first}",
        )
        return
    if one and isinstance(first, int):
        written = f"steps.{group}[{first}].outputs"
        message = f'"{group}" has no matrix, so steps.{group} is one step, not a list'
        yield problem("one-as-list", message, f"name the output: steps.{group}.NAME", written, f"steps.{group}")
        return
    given = knowledge.of_step(group, node)
    for depth, key in enumerate(reference.path[1:], start=1):
        below = kinds.inside(given, key)
        if below is None:
            known, parent = kinds.members(given), Reference("steps", reference.path[:depth])
            name = str(key)
            if depth == 1 and one:
                message = f'{step.uses} (step "{group}") has no output "{name}"'
            elif known:
                message = f'{parent} has no "{name}"'
            else:
                message = f'{parent} is {kinds.describe(given)}, so it has no "{name}"'
            meant = suggest.certain(name, known)
            yield problem("unknown-output", message, suggest.hint(name, known, most=12), name, meant)
            return
        given = below

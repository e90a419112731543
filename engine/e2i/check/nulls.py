"""Detects steps that use a value which may be null. In: an expanded spec. Out: problems.

An output such as the model of ``mlflow.load`` with ``missing: null`` may be null. A step may use it where null is
accepted, or when its ``when``, or that of an including step, tests the output itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from e2i.check import types
from e2i.check.type_environment import TypeEnvironment
from e2i.check.types import Types
from e2i.spec.expansion.nodes import Path, StepNode
from e2i.spec.expressions import parse
from e2i.spec.problems import Code, Problem
from e2i.spec.references import Reference

if TYPE_CHECKING:
    from e2i.check.context import CheckContext


def check(context: CheckContext) -> Iterator[Problem]:
    """Yields problems of references that pass through null, or lead to it where it is not accepted."""
    expanded, environment = context.expanded, context.environment
    for unit in expanded.units():
        for path, reference in unit.references:
            null = _null(environment, unit, reference)
            if (
                null is None
                or (null == reference.parts and _takes_null(environment, unit, path))
                or _is_asked(unit, null)
            ):
                continue
            output = ".".join(map(str, null))
            hint = f"skip the step then: when: ${{{{ {output} is not none }}}}"
            message = f"{output} may be null, and {unit.name!r} needs a value"
            yield unit.document.problem("maybe-null", path, message, hint)


def _null(environment: TypeEnvironment, unit: StepNode, reference: Reference) -> tuple[str | int, ...] | None:
    """Returns the prefix of a reference that leads to a value which may be null, if there is one."""
    for depth in range(1, len(reference.path) + 1):
        if _may_be_null(environment.of_reference(Reference(reference.root, reference.path[:depth]), unit)):
            return (reference.root, *reference.path[:depth])
    return None


def _may_be_null(given: Types) -> bool:
    return types.EXPECTED_NULL in given


def _takes_null(environment: TypeEnvironment, unit: StepNode, path: Path) -> bool:
    """Returns True when a parameter accepts null. A condition and a text do."""
    found = environment.registry.action(unit.step.uses) if path[2] == "with" else None
    text = unit.document.value(path)
    if found is None or not isinstance(text, str) or parse(text).whole is None:
        return True
    return types.can_be(types.at((types.of_model(found.params),), path[3:]), "null")


def _is_asked(unit: StepNode, null: tuple[str | int, ...]) -> bool:
    """Returns True when a condition of the step, or of an including step, tests the output itself."""
    return any(
        path[2] == "when" and reference.parts == null for around in unit.chain for path, reference in around.references
    )


CODES = (
    Code(
        "maybe-null",
        "A step that needs a value that may be null",
        "With `missing: null`, `mlflow.load` returns null for a model that does not exist. A step that needs the model "
        "must not run then. This is checked before the run.",
        "Test the value in the step's `when`: ${{ steps.ID.model is not none }}.",
        "steps:\n  data: {uses: dataset.hcp}\n"
        "  old: {uses: mlflow.load, with: {name: m, stage: production, missing: null}}\n"
        "  judge:\n    uses: model.evaluate\n"
        '    with: {model: "${{ steps.old.model }}", table: "${{ steps.data.journeys }}"}\n',
        "steps:\n  data: {uses: dataset.hcp}\n"
        "  old: {uses: mlflow.load, with: {name: m, stage: production, missing: null}}\n"
        "  judge:\n    uses: model.evaluate\n"
        '    when: "${{ steps.old.model is not none }}"\n'
        '    with: {model: "${{ steps.old.model }}", table: "${{ steps.data.journeys }}"}\n',
    ),
)

"""Proposes references for parameters that take an artifact.

In: a step, and what its parameter takes. Out: the outputs of other steps that it could take, and the one that a text
means.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from e2i.catalog.artifacts import ARTIFACTS
from e2i.check import types
from e2i.check.type_environment import TypeEnvironment
from e2i.check.types import Types
from e2i.spec import expressions, fixes
from e2i.spec.document import Document
from e2i.spec.expansion.nodes import Path, StepNode
from e2i.spec.problems import Fixes
from e2i.spec.references import Reference
from e2i.spec.values import ExpressionError

MOST_NAMED = 5
"""Limit on the outputs that a hint names."""
MOST_SEARCHED = 200
"""Limit on the steps that are searched for them."""

_MARKS = " ${}()<>%@#[]"
"""Characters around expressions of other languages."""
MADE_BY = {"recipe": "make a step `uses: prepare.recipe` with the operations, and write ${{ steps.ID.recipe }}"}
"""Type of an artifact that is often written in place → how it is made."""


def is_taken(taken: Types) -> bool:
    """Returns True when a parameter takes artifacts only."""
    return any(type_.name in ARTIFACTS for type_ in taken) and all(
        type_.name in ARTIFACTS or type_.name == "null" for type_ in taken
    )


def hint(environment: TypeEnvironment, node: StepNode, taken: Types) -> str | None:
    """Returns the outputs of other steps that the parameter takes."""
    if not is_taken(taken):
        return None
    found = list(islice(_offered(environment, node, taken), MOST_NAMED + 1))
    if not found:
        return f"no other step of this spec returns {types.describe(taken)}"
    more = ", …" if len(found) > MOST_NAMED else ""
    return f"steps return {types.describe(taken)} as {', '.join(map(_braced, found[:MOST_NAMED]))}{more}"


def meant(
    environment: TypeEnvironment, node: StepNode, path: Path, given: Any, taken: Types
) -> tuple[str | None, Fixes]:
    """Returns the hint for a value that is no artifact. The fix is the reference that it means without its braces."""
    text = given.strip(_MARKS) if isinstance(given, str) else ""
    for written in (text, f"steps.{text}"):
        reference = _reference(written)
        if reference is not None and _fits(environment, node, reference, taken):
            return f"write {_braced(written)}", fixes.replaced(path, _braced(written))
    if text in node.instance.units and text != node.name:
        outputs = list(_outputs(environment, node, text, taken))
        if len(outputs) == 1:
            return f"write {_braced(outputs[0])}", fixes.replaced(path, _braced(outputs[0]))
    return hint(environment, node, taken), ()


def in_place(document: Document, base: Path, location: Path, taken: Types) -> tuple[Path, Types] | None:
    """Returns where an artifact is written in place, at a location of the parameters or above it, and its type."""
    for depth in range(1, len(location) + 1):
        found = types.at(taken, location[:depth])
        if is_taken(found):
            path = (*base, *location[:depth])
            given = document.value(path)
            is_written = isinstance(given, list) or (isinstance(given, dict) and "digest" not in given)
            return (path, found) if is_written else None
    return None


def instead(environment: TypeEnvironment, node: StepNode, taken: Types) -> str | None:
    """Returns the hint for an artifact that is written in place."""
    made = [MADE_BY[type_.name] for type_ in taken if type_.name in MADE_BY]
    offered = hint(environment, node, taken)
    if not made:
        return offered
    return f"{made[0]}; {offered}" if offered and not offered.startswith("no ") else made[0]


def _fits(environment: TypeEnvironment, node: StepNode, reference: Reference, taken: Types) -> bool:
    """Returns True when the reference is to an output of another step that the parameter takes."""
    if reference.root != "steps" or len(reference.path) < 2 or reference.path[0] == node.name:
        return False
    name, *keys = reference.path
    if str(name) not in node.instance.units:
        return False
    given: Types | None = environment.of_step(str(name), node)
    for key in keys:
        given = types.inside(given, key) if given else None
    return given is not None and types.accepts(given, taken)


def _reference(text: str) -> Reference | None:
    try:
        whole = expressions.parse(_braced(text)).whole
    except ExpressionError:
        return None
    return whole.body if whole and isinstance(whole.body, Reference) else None


def _offered(environment: TypeEnvironment, node: StepNode, taken: Types) -> Iterator[str]:
    for name in islice(node.instance.units, MOST_SEARCHED):
        if name != node.name:
            yield from _outputs(environment, node, name, taken)


def _outputs(environment: TypeEnvironment, node: StepNode, name: str, taken: Types) -> Iterator[str]:
    """Yields the outputs of a step that the parameter takes."""
    given = environment.of_step(name, node)
    for member in types.members(given):
        found = types.inside(given, member)
        if found is not None and is_taken(found) and types.accepts(found, taken):
            yield f"steps.{name}.{member}"


def _braced(text: str) -> str:
    return f"${{{{ {text} }}}}"

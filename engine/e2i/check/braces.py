"""Warns of expressions in the marks of other languages: ``{{ x }}``, ``${ x }`` and ``<% x %>`` are plain text here.

In: an expanded spec. Out: warnings, each with its fix.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from e2i.spec import expressions, fixes
from e2i.spec.expansion.nodes import Path
from e2i.spec.load import LoadedSpec
from e2i.spec.problems import Code, Problem
from e2i.spec.references import Reference
from e2i.spec.values import ExpressionError

if TYPE_CHECKING:
    from e2i.check.context import CheckContext


_MARKED = re.compile(r"[^\w{}]*(?P<inside>(?:steps|params|matrix)(?:\.\w+)+)[^\w{}]*")
"""A text that is nothing but a reference, between marks such as ``$(…)`` and ``<% … %>``, or none."""
_BARE = re.compile(r"(?<!\{)(?<!\{ )\b(?:steps|params|matrix)\.\w")
"""A reference that does not begin an expression."""
Names = Mapping[str, Collection[str]]
"""The names that expressions of a spec can use, by root."""


def check(context: CheckContext) -> Iterator[Problem]:
    """Yields a warning for each text with such an expression, in a spec and its included specs."""
    for loaded in context.expanded.loaded.files():
        if not _has_others(loaded.document.text):
            continue
        names: dict[str, Collection[str]] = {
            "params": loaded.spec.params,
            "steps": {**loaded.spec.steps, **loaded.spec.finally_},
        }
        for section, name, step in loaded.spec.every_step():
            for key, value in (("with", step.with_), ("matrix", step.matrix)):
                for path, text in _braced(value, (section, name, key)):
                    yield from _in_text(loaded, path, text, {**names, "matrix": step.matrix or {}})
        for path, text in _braced(loaded.spec.outputs, ("outputs",)):
            yield from _in_text(loaded, path, text, names)


def _has_others(text: str | None) -> bool:
    """Returns False when all braces of a file's text that could be others are those of expressions."""
    is_braced = text is None or not text.count("{{") == text.count("${{") == text.count("${")
    return is_braced or (text is not None and _BARE.search(text) is not None)


def _braced(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Yields each text in a value that has braces, unless these are those of one expression."""
    if isinstance(value, str):
        if ("{" in value and not (value.startswith("${{") and value.count("{") == 2)) or _MARKED.fullmatch(value):
            yield path, value
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(item, str | dict | list):
                yield from _braced(item, (*path, key))


def _in_text(loaded: LoadedSpec, path: Path, text: str, known: Names) -> Iterator[Problem]:
    """Yields the warning if an expression in other braces only names what there is."""
    from e2i.spec import dialects  # only needed for a text with other braces

    marked = _MARKED.fullmatch(text)
    others = [marked] if marked else dialects.unmarked(text)
    found = [match for match in others if _is_expression(match["inside"], known)]
    if not found:
        return
    meant = text
    for match in sorted(found, key=lambda match: match.start(), reverse=True):
        meant = f"{meant[: match.start()]}${{{{ {match['inside']} }}}}{meant[match.end() :]}"
    message = f'"{found[0][0].strip()}" is plain text: an expression is written "${{{{ {found[0]["inside"]} }}}}"'
    fix = fixes.replaced(path, meant)
    yield loaded.document.problem("plain-braces", path, message, severity="warning", fixes=fix)


def _is_expression(inside: str, known: Names) -> bool:
    try:
        references = expressions.parse(f"${{{{ {inside} }}}}").references
    except ExpressionError:
        return False
    return bool(references) and all(_is_known(reference, known) for reference in references)


def _is_known(reference: Reference, known: Names) -> bool:
    return bool(reference.path) and reference.path[0] in known.get(reference.root, ())


CODES = (
    Code(
        "plain-braces",
        "An expression in other braces",
        "Only `${{ … }}` is an expression. `{{ … }}` and `${ … }` are plain text, and so is a reference between other "
        "marks or none: the step would receive that text. This is a warning.",
        "Write `${{ … }}`.",
        "params:\n  n: {type: integer, default: 1}\nsteps:\n"
        '  a: {uses: debug.echo, with: {value: "n is {{ params.n }}"}}\n',
        "params:\n  n: {type: integer, default: 1}\nsteps:\n"
        '  a: {uses: debug.echo, with: {value: "n is ${{ params.n }}"}}\n',
    ),
)

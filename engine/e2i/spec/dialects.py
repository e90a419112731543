"""Recognises other languages in expressions: JavaScript, C, Python, SQL and GitHub Actions.

In: an expression that cannot be read. Out: the first foreign operator with what to write instead, and the whole
expression in our language, where the meaning stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from e2i.spec.references import ROOTS


class Foreign(NamedTuple):
    """An operator of another language, where it is, and what to write instead."""

    offset: int
    sign: str
    hint: str


_OPERATORS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"&&"), "&&", "write `and`"),
    (re.compile(r"\|\|"), "||", "write `or`"),
    (re.compile(r"\?\?"), "??", "write `a | default(b)`"),
    (re.compile(r"\?\."), "?.", "write `a.b | default(none)`"),
    (re.compile(r"===|(?<![=!<>])=(?!=)"), "", "write `==`"),
    (re.compile(r"!==|<>"), "", "write `!=`"),
    (re.compile(r"!(?!=)"), "!", "write `not x`"),
    (re.compile(r"\?"), "?", "write `a if condition else b`"),
)
FUNCTIONS = {
    **dict.fromkeys(("len", "size", "count", "length"), "length"),
    **dict.fromkeys(("str", "string"), "string"),
    **dict.fromkeys(("tojson", "toJSON", "toJson", "json", "dumps"), "tojson"),
    **dict.fromkeys(("sorted", "sort"), "sort"),
    **{name: name for name in ("int", "float", "abs", "round", "sum", "min", "max", "lower", "upper")},
}
"""Functions of other languages, with the filter that does the same."""
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_REFERENCE = rf"(?:{'|'.join(ROOTS)})(?:\.\w+|\[\d+\])+"
_EXPRESSION = re.compile(r"(?<!\$)\$\{\{(?P<inside>.*?)\}\}", re.DOTALL)
_BRACES = (
    re.compile(r"(?:(?<!\$)\$\s+)?(?<![${])\{\{\s*(?P<inside>[^{}]+?)\s*\}\}(?!\})"),
    re.compile(r"(?<!\$)\$\{\s*(?P<inside>[^{}]+?)\s*\}(?!\})"),
)
"""Other forms of ``${{ … }}``."""


def foreign(source: str) -> Foreign | None:
    """Returns the first operator of another language outside quotes."""
    bare = _QUOTED.sub(lambda quoted: "'" + "_" * (len(quoted[0]) - 2) + "'", source)
    found = [
        Foreign(match.start(), sign or match[0], hint)
        for pattern, sign, hint in _OPERATORS
        if (match := pattern.search(bare))
    ]
    return min(found, key=lambda one: one.offset, default=None)


def function(name: str) -> str | None:
    """Returns how to write a call of a function of another language."""
    return f"write `value | {FUNCTIONS[name]}`" if name in FUNCTIONS else None


_CHANGEABLE = re.compile(r"[&|!=<>?(]|null|nil|undefined")
"""What each change of ``translated`` needs."""


def translated(source: str) -> str:
    """Returns the expression with operators and functions of other languages replaced, as far as the meaning stays."""
    if not _CHANGEABLE.search(source):  # a text may have tens of thousands of expressions
        return source
    quoted: list[str] = []

    def hide(found: re.Match[str]) -> str:
        quoted.append(found[0])
        return f"\0{len(quoted) - 1}\0"

    text = _QUOTED.sub(hide, source)
    for change in _CHANGES:
        text = change(text)
    return re.sub(r"\0(\d+)\0", lambda index: quoted[int(index[1])], text)


def _operators(text: str) -> str:
    for pattern, ours in ((r"\s*&&\s*", " and "), (r"\s*\|\|\s*", " or "), (r"!==|<>", "!="), (r"===", "==")):
        text = re.sub(pattern, ours, text)
    text = re.sub(r"(?<![=!<>])=(?!=)", "==", text)
    return re.sub(r"(?<![\w.])(?:null|nil|undefined)\b", "none", text)


def _negations(text: str) -> str:
    """``!`` binds more tightly than ``not``, so it is only replaced where that makes no difference."""
    return re.sub(rf"!\s*({_REFERENCE})(?=\s*(?:$|\)|\band\b|\bor\b))", r"not \1", text)


def _conditional(text: str) -> str:
    """``condition ? a : b``, if it is the whole expression."""
    found = re.fullmatch(r"\s*([^?:]+?)\s*\?\s*([^?:]+?)\s*:\s*([^?:]+?)\s*", text)
    return f"{found[2]} if {found[1]} else {found[3]}" if found else text


def _calls(text: str) -> str:
    def filtered(call: re.Match[str]) -> str:
        if call["name"] not in FUNCTIONS:
            return call[0]
        rest = f"({call['rest']})" if call["rest"] else ""
        return f"{call['value']} | {FUNCTIONS[call['name']]}{rest}"

    text = re.sub(rf"\bcontains\(\s*({_REFERENCE})\s*,\s*([^(),]+?)\s*\)", r"(\2 in \1)", text)
    pattern = rf"(?<![\w.|])(?<!\| )(?P<name>\w+)\(\s*(?P<value>{_REFERENCE})\s*(?:,\s*(?P<rest>[^()]+?)\s*)?\)"
    return re.sub(pattern, filtered, text)


_CHANGES: tuple[Callable[[str], str], ...] = (_operators, _negations, _conditional, _calls)


def in_template(text: str) -> str:
    """Returns the text with the expressions in it translated."""
    return _EXPRESSION.sub(lambda found: f"${{{{{translated(found['inside'])}}}}}", text)


def unmarked(text: str) -> Iterator[re.Match[str]]:
    """Yields expressions in other braces: ``{{ x }}``, ``${ x }``. Their ``inside`` is to be checked."""
    for braces in _BRACES:
        yield from braces.finditer(text)

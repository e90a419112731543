"""Parses text with ``${{ … }}`` into a ``Template``: its references, and its value in a scope.

In: text, or nested data with texts in it. Out: templates, references and plain values. ``ExpressionError`` for a text
that is not an expression, is not allowed, or costs too much.

A value that is exactly one expression keeps its native type. An expression inside text becomes text. ``$${{`` is a
literal ``${{``. The language is Jinja2's for expressions without calls, see ``filters``. A plain reference such as
``steps.load.table`` is read without Jinja2. Results are never searched for expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.spec.references import Reference, Scope, root
from e2i.spec.values import Budget, ExpressionError, as_text

if TYPE_CHECKING:
    from e2i.spec.formula import Formula


Path = tuple[str | int, ...]
MAX_LENGTH = 2_000
"""Maximum number of characters of one expression."""
MAX_EXPRESSIONS = 100
"""Maximum number of expressions in one text."""


class Expression(Struct, frozen=True):
    """One ``${{ … }}`` of a text, which starts at ``offset``."""

    body: Reference | Formula
    offset: int

    @property
    def references(self) -> tuple[Reference, ...]:
        return (self.body,) if isinstance(self.body, Reference) else self.body.references

    def evaluate(self, scope: Scope) -> Any:
        try:
            return self.body.look_up(scope) if isinstance(self.body, Reference) else self.body.evaluate(scope)
        except ExpressionError as error:
            raise error.moved(self.offset) from error.__cause__


class Template(Struct, frozen=True, dict=True):
    """A parsed text: literal pieces and expressions, in order."""

    parts: tuple[str | Expression, ...]

    @property
    def whole(self) -> Expression | None:
        """The expression, when the text is exactly one and so keeps its type."""
        only = self.parts[0] if len(self.parts) == 1 else None
        return only if isinstance(only, Expression) else None

    @cached_property
    def output(self) -> tuple[str, str] | None:
        """Step and output, when the text is only ``steps.STEP.OUTPUT``, as most references are."""
        body = self.whole.body if self.whole else None
        match body:
            case Reference(root="steps", path=(str() as step, str() as output)):
                return step, output
        return None

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(part for part in self.parts if isinstance(part, Expression))

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """The references in the text, without repetitions, in text order."""
        return tuple(dict.fromkeys(reference for part in self.expressions for reference in part.references))


def has_expression(text: str) -> bool:
    """Returns True when a text must be parsed. Also True for ``{%``, which ``parse`` refuses."""
    return "${{" in text or "{%" in text


@lru_cache(maxsize=2**17)
def parse(text: str) -> Template:
    """Parses a text into a template. Raises ExpressionError with the offset of the error.

    Every stage parses the texts of a spec again, so templates are cached. Errors are not.
    """
    if len(text) <= MAX_LENGTH and (plain := _PLAIN.fullmatch(text)):
        return Template((Expression(_reference(plain, alone=True), plain.start("body")),))
    parts: list[str | Expression] = []
    for piece in _pieces(text):
        # Two adjacent pieces of literal text (before and after an escape) are merged.
        if isinstance(piece, str) and parts and isinstance(parts[-1], str):
            parts[-1] += piece
        else:
            parts.append(piece)
    if len(parts) == 2 and isinstance(parts[0], Expression) and isinstance(parts[1], str) and not parts[1].strip("\n"):
        del parts[1]  # The line end of a YAML block ("|", ">") is not text around the expression.
    return Template(tuple(parts))


def normal(text: str) -> str:
    """Returns the text with its expressions in a normal form: spaces around their words make no difference."""
    return "".join(
        part.replace("${{", "$${{") if isinstance(part, str) else f"${{{{ {_words(part)} }}}}"
        for part in parse(text).parts
    )


def evaluate(template: Template, scope: Scope) -> Any:
    """Returns the template's value: of any type when it is one expression, else text. Raises ExpressionError."""
    if template.whole:
        return template.whole.evaluate(scope)
    budget = Budget()
    texts = [part if isinstance(part, str) else _text(part, scope, budget) for part in template.parts]
    if template.expressions:
        budget.text(sum(map(len, texts)))
    return "".join(texts)


def walk(value: Any, path: Path = ()) -> Iterator[tuple[Path, Template | ExpressionError]]:
    """Yields each text in nested data that has an expression: its path, and its template or its error."""
    if isinstance(value, str):
        if has_expression(value):
            try:
                yield path, parse(value)
            except ExpressionError as error:
                yield path, error
    elif isinstance(value, dict | list | tuple | Mapping):
        for key, item in enumerate(value) if isinstance(value, list | tuple) else value.items():
            if not isinstance(item, _NEITHER) and (not isinstance(item, str) or has_expression(item)):
                yield from walk(item, (*path, key))


def render(value: Any, scope: Scope) -> Any:
    """Returns nested data with every text evaluated. Keys stay as they are. Raises ExpressionError."""
    if isinstance(value, str):
        return evaluate(parse(value), scope) if has_expression(value) else value
    if isinstance(value, Mapping):
        return {key: render(item, scope) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [render(item, scope) for item in value]
    return value


_NEITHER = (int, float, type(None))
"""Types that are neither text nor a collection, like most values of a spec."""


def _pieces(text: str) -> Iterator[str | Expression]:
    start = found = 0
    while opening := _OPENING.search(text, start):
        if opening.start() > start:
            yield text[start : opening.start()]
        if opening[0] == "{%":
            hint = "write a literal {% as ${{ '{%' }}"
            raise ExpressionError('statements ("{% … %}") are not supported', offset=opening.start(), hint=hint)
        start = opening.end()
        if opening[0] == "$${{":
            yield "${{"
            continue
        found += 1
        if found > MAX_EXPRESSIONS:
            raise ExpressionError(f"more than {MAX_EXPRESSIONS} expressions in one text", offset=opening.start())
        end = _closing(text, opening)
        yield _expression(text, opening.start(), end + 2)
        start = end + 2
    if start < len(text):
        yield text[start:]


def _closing(text: str, opening: re.Match[str]) -> int:
    """Returns the offset of the ``}}`` that ends an expression: not in quotes, and not the end of a mapping in it."""
    braces = 0
    for token in _TOKEN.finditer(text, opening.end(), opening.end() + MAX_LENGTH + 2):
        match token[0]:
            case "{":
                braces += 1
            case "}" if braces:
                braces -= 1
            case "}" if text.startswith("}}", token.start()):
                return token.start()
            case "}":
                hint = 'an expression ends with "}}"'
                raise ExpressionError('a "}" that closes nothing', offset=token.start(), hint=hint)
            case "'" | '"':
                if len(text) <= opening.end() + MAX_LENGTH:
                    raise ExpressionError("a quote in the expression is never closed", offset=token.start())
                break
    if len(text) > opening.end() + MAX_LENGTH:
        raise ExpressionError(f"the expression is longer than {MAX_LENGTH:,} characters", offset=opening.start())
    hint = 'close it with "}}"; write a literal ${{ as $${{'
    raise ExpressionError('this "${{" is never closed', offset=opening.start(), hint=hint)


def _expression(text: str, start: int, end: int) -> Expression:
    """Returns the expression between ``${{`` at ``start`` and the end of its ``}}``."""
    if plain := _PLAIN.fullmatch(text, start, end):
        return Expression(_reference(plain, alone=start == 0 and not text[end:].strip("\n")), plain.start("body"))
    from e2i.spec import formula

    inside = text[start + 3 : end - 2]
    source = inside.strip()
    offset = start + 3 + len(inside) - len(inside.lstrip())
    if not source:
        raise ExpressionError("the expression is empty", offset=start)
    try:
        return Expression(formula.parse(source), offset)
    except ExpressionError as error:
        raise error.moved(offset) from error.__cause__


def _reference(plain: re.Match[str], *, alone: bool) -> Reference:
    try:
        path = tuple(_step(step) for step in _STEP.finditer(plain["path"]))
        reference = Reference(root(plain["root"]), path)
        reference.check(alone=alone)
        return reference
    except ExpressionError as error:
        raise error.moved(plain.start("body")) from error.__cause__


def _step(step: re.Match[str]) -> str | int:
    if step["index"] is not None:
        return int(step["index"])
    return next(key for key in (step["name"], step["single"], step["double"]) if key is not None)


def _words(expression: Expression) -> str:
    if isinstance(expression.body, Reference):
        return str(expression.body)
    return _SPACES.sub(lambda found: found["quoted"] or " ", expression.body.source)


def _text(part: Expression, scope: Scope, budget: Budget) -> str:
    value = part.evaluate(scope)
    try:
        return as_text(value, budget)
    except ExpressionError as error:
        raise error.moved(part.offset) from error.__cause__


_SPACES = re.compile(r"""(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|\s+""", re.DOTALL)
"""Quoted text, in which spaces count, and spaces elsewhere."""
_KEY = r"""\.[A-Za-z_]\w* | \[ (?: [0-9]{1,9} | '[^'\\]*' | "[^"\\]*" ) \]"""
_ROOT = r"(?!(?:[Tt]rue|[Ff]alse|[Nn]one)\b) [A-Za-z_]\w*"
_PLAIN = re.compile(
    rf"\$\{{\{{ \s* (?P<body> (?P<root> {_ROOT} ) (?P<path> (?:{_KEY})* ) ) \s* \}}\}} \n*", re.VERBOSE | re.ASCII
)
"""A text that is exactly one plain reference."""
_STEP = re.compile(
    r"""\.(?P<name>\w+) | \[ (?: (?P<index>[0-9]+) | '(?P<single>[^']*)' | "(?P<double>[^"]*)" ) \]""", re.VERBOSE
)
_OPENING = re.compile(r"\$?\$\{\{|\{%")
_TOKEN = re.compile(r"""'(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" | [{}'"]""", re.VERBOSE | re.DOTALL)

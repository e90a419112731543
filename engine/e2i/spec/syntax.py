"""Explains PyYAML's syntax errors so that users can act on them.

In: a ``YAMLError`` and the text. Out: one ``Problem`` with line and column, and a hint for a known mistake.
"""

from __future__ import annotations

import yaml
from msgspec import Struct

from e2i.spec import error_source as source
from e2i.spec.problems import Code, Location, Problem
from e2i.spec.scalars import LONGEST_KEY

QUOTE_EXPRESSION = 'quote an expression that contains ": ", " #" or braces, or is inside { } or [ ]: "${{ … }}"'


def explain(error: yaml.YAMLError, text: str, file: str) -> Problem:
    """Returns the problem for an error of PyYAML's scanner or parser."""
    said = getattr(error, "problem", None) or " ".join(str(error).split())
    context = getattr(error, "context", None) or ""
    opened = getattr(error, "context_mark", None)
    mark = getattr(error, "problem_mark", None) or opened
    if mark is None:
        return Problem("yaml-syntax", f"this is not YAML: {said}", Location(file, 1, 1), "")
    line = next(iter(text.splitlines()[mark.line : mark.line + 1]), "")
    char = line[mark.column : mark.column + 1]
    if char == "\t" or "tab character" in said:
        location = Location(file, mark.line + 1, mark.column + 1)
        return Problem("tab", "a tab cannot indent a line", location, "", "use spaces")
    mistake = next((known for known in _MISTAKES if known.explains(said, context)), None)
    if (offset := source.long_key(text, mark.index)) is not None:
        return Problem("key-type", f"a key longer than {LONGEST_KEY:,} characters", _location(text, offset, file), "")
    if (found := _earlier(said, text, opened.index if opened else None, mark.index)) is not None:
        earlier, offset = found
        return Problem("yaml-syntax", earlier.message, _location(text, offset, file), "", earlier.hint)
    if mistake is None:
        mistake = _Mistake(said, f"this is not YAML: {context + ', ' if context else ''}{said}")
    if mistake.where_opened and opened is not None:
        mark = opened
    hint = QUOTE_EXPRESSION if "${{" in line else mistake.hint
    message = mistake.message.replace("CHAR", char).replace("LINE", str(opened.line + 1) if opened else "?")
    return Problem("yaml-syntax", message, Location(file, mark.line + 1, mark.column + 1), "", hint)


def _earlier(said: str, text: str, opened: int | None, gave_up: int) -> tuple[_Mistake, int] | None:
    """Returns a mistake before the location where the parser stopped, and its offset."""
    if (offset := source.stuck(text, gave_up)) is not None:
        return NO_SPACE, offset
    if (offset := source.quote(text, gave_up)) is not None:
        return _MISPLACED_QUOTE, offset
    if opened is not None and "end of stream" in said and (offset := source.quote_before(text, opened)) is not None:
        return _MISPLACED_QUOTE, offset
    if opened is not None and _BRACKETS.explains(said, "") and source.bracket(text, opened, gave_up) is not None:
        return _BRACKETS, opened
    if NO_SPACE.explains(said, "") and (offset := source.colon(text, gave_up)) is not None:
        return NO_SPACE, offset
    return None


def _location(text: str, offset: int, file: str) -> Location:
    return Location(file, text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


class _Mistake(Struct, frozen=True):
    """A mistake that PyYAML reports: part of its message (``|`` between libyaml's and the Python parser's), and
    ours.
    """

    said: str
    message: str
    hint: str | None = None
    context: str = ""
    where_opened: bool = False
    """The mistake is where the construct was opened, not where the parser stopped."""

    def explains(self, said: str, context: str) -> bool:
        return self.context in context and any(part in said for part in self.said.split("|"))


_MISPLACED_QUOTE = _Mistake(
    "",
    "the quoted text that opens here is closed by the next quote, which belongs to another text",
    "add the missing quote after the text",
)
_BRACKETS = _Mistake("',' or", "the bracket or brace that opens here is never closed", "close it")
NO_SPACE = _Mistake("mapping values are not allowed", 'a key without ": "', 'write "key: value"')
_MISTAKES = (
    _Mistake(
        "mapping values are not allowed",
        'a ":" is not allowed here',
        'quote text that contains ": ", or check the indentation of this line and the previous one',
    ),
    _Mistake(
        "sequence entries are not allowed",
        'a list item ("- ") cannot start here',
        "put it on a line of its own, below its key",
    ),
    _Mistake(
        "expected '-'|expected <block end>",
        'this line is not an item of the enclosing list: a "- " was expected',
        "indent all items of a list equally",
        context="collection",
    ),
    _Mistake(
        "expected key|expected <block end>",
        "this line is not an entry of the enclosing mapping",
        "indent a key like the other keys of the mapping; move text after a closing quote inside the quotes",
    ),
    _Mistake("could not find expected ':'", 'a key without ":"', 'write "key: value"', where_opened=True),
    _Mistake(
        "unexpected end of stream",
        "the quote that opens here is never closed",
        context="quoted scalar",
        where_opened=True,
    ),
    _Mistake(
        "',' or '}'",
        'expected "," or "}" here, for the "{" of line LINE',
        'inside { } quote text that contains { } [ ] , or ": "',
    ),
    _Mistake(
        "',' or ']'",
        'expected "," or "]" here, for the "[" of line LINE',
        'inside [ ] quote text that contains { } [ ] , or ": "',
    ),
    _Mistake("cannot start any token", 'a value cannot start with "CHAR"', "quote it"),
    _Mistake(
        "alphabetic or numeric character",
        '"*" starts an alias',
        'quote text that starts with "*"',
        context="alias",
        where_opened=True,
    ),
    _Mistake(
        "alphabetic or numeric character",
        '"&" starts an anchor',
        'quote text that starts with "&"',
        context="anchor",
        where_opened=True,
    ),
    _Mistake(
        "unknown escape character",
        "an unknown escape in double quotes",
        'write "\\\\" for a backslash, or use single quotes',
    ),
    _Mistake("invalid Unicode character escape", "an escape in double quotes that is not a character"),
    _Mistake("undefined tag handle", "tags are not supported", 'remove the tag, or quote text that starts with "!"'),
    _Mistake(
        "expected <document start>|expected '<document start>'",
        "this line is indented less than the first one, or follows a value that was complete",
        "start every top-level key in the first column",
    ),
    _Mistake("incompatible YAML document", "this version of YAML is not read here", "remove the %YAML line"),
    _Mistake(
        "expected comment or line break|expected chomping",
        'text cannot follow "|" or ">"',
        "put it on the next line, indented",
        context="block scalar",
    ),
    _Mistake("node content", "a value is missing here"),
)

CODES = (
    Code(
        "tab",
        "A tab that indents",
        "YAML indents with spaces only: how wide a tab is depends on who looks.",
        "Use spaces. `e2i fix` does this where only tabs indent.",
        "steps:\n\ta: {uses: debug.echo}\n",
        "steps:\n  a: {uses: debug.echo}\n",
    ),
    Code(
        "yaml-syntax",
        "Text that is not YAML",
        "The text cannot be parsed at this location. Most often a value contains `: `, ` #` or braces and needs "
        "quotes, or "
        "a line is not indented like those it belongs with.",
        'Quote the value, or align the line. Inside { } and [ ] an expression needs quotes: "${{ … }}"; `e2i fix` adds '
        "them.",
        "params:\n  n: {type: integer, default: 1}\nsteps:\n  a: {uses: debug.echo, with: {value: ${{ params.n }}}}\n",
        'params:\n  n: {type: integer, default: 1}\nsteps:\n  a: {uses: debug.echo, with: {value: "${{ params.n '
        '}}"}}\n',
    ),
)

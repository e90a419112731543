"""Proposes fixed texts for a text that cannot be read as a spec, for the few mistakes with one likely fix.

In: the text and the problems of reading it. Out: candidates, best first, and the first of them that fixes a problem.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import yaml
from msgspec import Struct, field
from msgspec.structs import replace
from yaml.events import AliasEvent, CollectionEndEvent, MappingStartEvent, NodeEvent, ScalarEvent, SequenceStartEvent

from e2i.spec import document
from e2i.spec.error_source import STUCK
from e2i.spec.positions import PARSER
from e2i.spec.problems import Problem, TextEdit
from e2i.spec.references import ROOTS
from e2i.spec.writing import quoted

MOST_EDITED = 20
"""Limit on the problems of one text for which a fix is searched: each candidate is read."""
LONGEST = 200_000
"""Limit on the characters of such a text."""


def first(text: str, file: str, problems: Sequence[Problem]) -> tuple[str, list[Problem]]:
    """Returns the text with the first possible fix, and its problem: it is gone, and no line up to its own has another.

    Without such a fix, returns the text and no problem.
    """
    for problem in problems:
        for changed in candidates(text, problem):
            _, left = document.read(changed, file)
            before = {(other.code, other.location.line) for other in problems} - {(problem.code, problem.location.line)}
            line = problem.location.line
            if all(other.location.line > line or (other.code, other.location.line) in before for other in left):
                return changed, [problem]
    return text, []


def all_at_once(text: str, file: str, problems: Sequence[Problem]) -> tuple[str | None, list[Problem]]:
    """Returns the text after every possible fix, if it can then be read, and the problems with their edits.

    In the fixed text, later problems are on the same lines. If a fix would change that, it is not returned.
    """
    if len(text) > LONGEST:
        return None, list(problems)
    found = list(problems)
    left, fixed = list(problems), text
    for _ in range(MOST_EDITED):
        changed, done = first(fixed, file, left)
        if not done:
            break
        (problem,) = done
        edited = replace(problem, edit=_edit(fixed, changed))
        found = [edited if other == problem else other for other in found]
        if problem not in problems:
            found.append(edited)
        fixed = changed
        data, left = document.read(fixed, file)
        if data is not None:
            return fixed if fixed.count("\n") == text.count("\n") else None, found
    return None, found


def _edit(before: str, after: str) -> TextEdit:
    """Returns the one replacement that turns a text into another."""
    start = 0
    most = min(len(before), len(after))
    while start < most and before[start] == after[start]:
        start += 1
    end = 0
    while end < most - start and before[-1 - end] == after[-1 - end]:
        end += 1
    stop = len(before) - end
    return TextEdit(*_position(before, start), *_position(before, stop), after[start : len(after) - end])


def _position(text: str, offset: int) -> tuple[int, int]:
    """Returns the line and column of an offset."""
    lines = _BREAK.split(text[:offset])
    return len(lines), len(lines[-1]) + 1


def candidates(text: str, problem: Problem) -> Iterator[str]:
    """Yields texts in which the problem may be fixed."""
    start, end = _line(text, problem.location.line)
    line = text[start:end]
    at = problem.location.column - 1
    fixed: Iterable[str]
    match problem.code:
        case "yaml-syntax" | "unclosed-expression":
            fixed = (*_with_space(line), *_with_quotes(line))
        case "key-type":
            fixed = _with_key(line, at)
        case "tab":
            yield from _without_tabs(text)
            return
        case "duplicate-key":
            yield from _without_repetition(text, start + at)
            return
        case _:
            return
    yield from (text[:start] + changed + text[end:] for changed in fixed if changed != line)


def _with_space(line: str) -> Iterator[str]:
    """Yields ``key:value`` as ``key: value``."""
    for stuck in (*STUCK.finditer(line), *_STUCK.finditer(line)):
        yield f"{line[: stuck.end()]} {line[stuck.end() :]}"


def _with_quotes(line: str) -> Iterator[str]:
    """Yields the line with quotes around each value with an expression: inside braces or brackets, or to its end."""
    if unclosed := _UNCLOSED.search(line):
        yield line[: unclosed.end("reference")] + " }}" + line[unclosed.end() :]
    if "${{" not in line or "}}" not in line:
        return
    yield _quoted_in_flow(line)
    if value := _BLOCK_VALUE.match(line):
        yield line[: value.start("value")] + quoted(value["value"]) + value["comment"]
        yield line[: value.start("value")] + quoted(line[value.start("value") :].rstrip())


def _quoted_in_flow(line: str) -> str:
    parts: list[str] = []
    done = 0
    for value in _FLOW_VALUE.finditer(line):
        if value["bare"] is not None and "${{" in value["bare"]:
            bare = value["bare"].strip()
            start = value.start("bare") + value["bare"].index(bare)
            parts += [line[done:start], quoted(bare)]
            done = start + len(bare)
    return "".join([*parts, line[done:]])


def _with_key(line: str, at: int) -> Iterator[str]:
    """Yields the line with its key in quotes, or with braces that were read as a key turned into an expression."""
    yield _BARE_BRACES.sub(r'"${{ \g<reference> }}"', line)
    if key := _KEY.match(line, at):
        yield line[:at] + quoted(key["key"]) + line[key.end("key") :]


def _without_tabs(text: str) -> Iterator[str]:
    """Yields the text with each tab as two spaces, if only tabs indent: their width then makes no difference."""
    if not re.search(r"^ ", text, re.MULTILINE):
        yield re.sub(r"^\t+", lambda tabs: "  " * len(tabs[0]), text, flags=re.MULTILINE)


def _without_repetition(text: str, at: int) -> Iterator[str]:
    """Yields the text without the entry whose key is at ``at``, if an earlier entry is exactly the same."""
    entry = _repeated(text, at)
    if entry is None:
        return
    start, end = entry
    line = text.rfind("\n", 0, start) + 1
    if not text[line:start].strip(" "):
        below = text.find("\n", end)
        yield text[:line] + (text[below + 1 :] if below >= 0 else "")
    comma = text.rfind(",", 0, start)
    if comma >= 0:
        yield text[:comma] + text[end:]


class _Open(Struct):
    """A collection being read. For a mapping: its current key, and the earlier entries."""

    is_mapping: bool
    key: Any = None
    said: list[Any] = field(default_factory=list)
    entries: dict[str, list[Any]] = field(default_factory=dict)


def _repeated(text: str, at: int) -> tuple[int, int] | None:
    """Returns the start and end of the entry whose key is at ``at``, if it repeats an earlier one."""
    around: list[_Open] = [_Open(is_mapping=False)]
    try:
        for event in yaml.parse(text, Loader=PARSER):
            if not isinstance(event, (NodeEvent, CollectionEndEvent)):
                continue
            inside = around[-1]
            if inside.is_mapping and inside.key is None and isinstance(event, ScalarEvent):
                inside.key, inside.said = event, []
                continue
            for collection in around:
                collection.said.append(_said(event))
            if isinstance(event, (MappingStartEvent, SequenceStartEvent)):
                around.append(_Open(isinstance(event, MappingStartEvent)))
                continue
            if isinstance(event, CollectionEndEvent):
                around.pop()
            inside = around[-1]
            if inside.is_mapping and inside.key is not None:
                if inside.key.start_mark.index == at:
                    same = inside.entries.get(inside.key.value) == inside.said
                    return (at, _end(text, event)) if same else None
                inside.entries.setdefault(inside.key.value, inside.said)
                inside.key = None
    except yaml.YAMLError:
        return None
    return None


def _said(event: Any) -> Any:
    """Returns the content of an event without its location. An anchor makes it differ from any other event."""
    if isinstance(event, AliasEvent):
        return "*", event.anchor
    if getattr(event, "anchor", None) is not None:
        return object()
    return (type(event), event.value, event.implicit[0]) if isinstance(event, ScalarEvent) else type(event)


def _end(text: str, event: Any) -> int:
    return len(text[: event.end_mark.index].rstrip())


def _line(text: str, number: int) -> tuple[int, int]:
    """Returns the offsets of a line's start and of its end, before the line break."""
    start = 0
    for _ in range(number - 1):
        start = _BREAK.search(text, start).end()  # type: ignore[union-attr]  # a problem is on an existing line
    found = _BREAK.search(text, start)
    return start, found.start() if found else len(text)


_EXPRESSION = r"""\$\{\{ (?: '[^']*' | "[^"]*" | \{ [^{}]* \} | [^{}'"] )*? \}\}"""
_FLOW_VALUE = re.compile(
    rf"""(?<=[\[{{,:\s]) (?: "(?:[^"\\]|\\.)*" | '(?:[^']|'')*' )   # quoted: passed over
       | (?: (?<=[\[{{,]) | (?<=:\ ) ) (?P<bare> (?: {_EXPRESSION} | (?!:\ |\s\#)[^\[\]{{}},"'] )+ )""",
    re.VERBOSE,
)
_BLOCK_VALUE = re.compile(r"^\s*(?:- +)*(?:[\w-]+: +)?(?P<value>[^\s#'\"\[{|>&*].*?)(?P<comment>\s+#[^'\"}]*|\s*)$")
_STUCK = re.compile(r"^\s*(?:- +)*[A-Za-z_]\w*:(?=[^\s/:])(?!.*: )")
_UNCLOSED = re.compile(r"\$\{\{\s*(?P<reference>[A-Za-z_]\w*(?:\.\w+)+)\s*\}?(?=\s*$|\s+#|[\"'])")
_BARE_BRACES = re.compile(rf"(?<![$\"'\w])\{{\{{\s*(?P<reference>(?:{'|'.join(ROOTS)})(?:\.\w+)+)\s*\}}\}}")
_KEY = re.compile(r"(?P<key>[^\s:#,{}\[\]\"']+)\s*:(?=\s|$)")
_BREAK = re.compile(r"\r\n|\n|\r")

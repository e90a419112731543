"""Find out what is being written at a position of a spec, also when the text cannot be read at the moment.

In: a text and an offset. Out: ``Cursor``: the path of the key or value at the offset, and the step around it.

A placeholder takes the place of the word at the offset. Then as little of the text around it as possible is read: the
step, or if that cannot be read, only the lines that the cursor's line belongs to by its indentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from e2i.lsp import unclosed
from e2i.spec import document
from e2i.spec.positions import Path

PLACEHOLDER = "e2i__cursor__e2i"
"""A word that no spec contains."""
LONGEST = 20_000
"""Most characters of a step, or of another section, that are read."""
LONGEST_LINE = 4_000
"""Most characters of a line in which something is proposed: patterns that look for its end take the square of it."""
SECTIONS = ("steps", "finally")


class Cursor(Struct, frozen=True):
    """A position in a spec. ``path`` leads to the value, or to the key, whose last element is the placeholder then."""

    path: Path
    is_key: bool
    word: str
    """The text before the offset that a completion replaces."""
    around: Any
    """The data around it, from the top of the spec: the step with the placeholder, without the other steps."""
    expression: str | None = None
    """The text between ``${{`` and the offset, if the offset is in an expression."""
    in_text: str | None = None
    """The text of a value before the offset, if it has several words."""
    indent: int = 0
    """The indentation of the line."""
    is_flow: bool = False
    """True in brackets or braces, where an expression needs quotes; False in quotes."""

    @property
    def step(self) -> tuple[str, str] | None:
        """Section and id of the step that contains it."""
        is_inside = len(self.path) > 2 or (len(self.path) == 2 and not self.is_key)
        return (str(self.path[0]), str(self.path[1])) if self.path[:1] in _SECTION_PATHS and is_inside else None

    def value(self, path: Path) -> Any:
        """Returns the data at a path around the cursor; None when there is none."""
        return _at(self.around, path)


_SECTION_PATHS = tuple((name,) for name in SECTIONS)


def find(text: str, offset: int) -> Cursor | None:
    """Returns what is written at the offset; None in a comment, in a very long line, and where the text around it has
    no clear form.
    """
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    before, behind = text[start:offset], text[offset : end if end >= 0 else len(text)]
    if len(before) + len(behind) > LONGEST_LINE:
        return None
    opened = before.rfind("${{")
    is_expression = opened >= 0 and "}}" not in before[opened:]
    if not is_expression and _COMMENT.search(before):
        return None
    if is_expression:
        kept, expression, word = before[:opened], before[opened + 3 :], _NAME.search(before)
        behind = behind.partition("}}")[2] if "}}" in behind else _AFTER_WORD.sub("", behind)
    else:
        word, expression = _WORD.search(before), None
        kept, behind = before[: word.start()] if word else before, _AFTER_WORD.sub("", behind)
    found = _placed(text, start, kept, behind, end)
    if found is None:
        return None
    data, path, is_key = found
    typed = word[0] if word else ""
    before_word = "" if is_key or expression is not None else str(_at(data, path)).partition(PLACEHOLDER)[0]
    in_text = before_word if before_word.strip() else None
    open_now = unclosed.closers(unclosed.masked(_owners(text[:start], kept) + kept)[0])
    return Cursor(path, is_key, typed, data, expression, in_text, _indent(kept), open_now[:1] in ("]", "}"))


def _placed(text: str, start: int, kept: str, behind: str, end: int) -> tuple[Any, Path, bool] | None:
    """Returns the data around the placeholder, its path, and whether it is a key, from the first reading possible."""
    above, below = _block(text, start, kept, end)
    for before, line, after in _readings(above, kept, behind, below, text[:start]):
        if len(before) + len(after) > LONGEST:
            continue
        shown, words = unclosed.masked(f"{before}{line}{after}")
        data, problems = document.read_value(shown, "")
        if problems or not isinstance(data, dict):
            continue
        path = _path(data, ())
        if path is not None and (path[-1] == PLACEHOLDER or _is_here(_at(data, path), kept)):
            return unclosed.unmasked(data, words), path, path[-1] == PLACEHOLDER
    return None


def _readings(above: str, kept: str, behind: str, below: str, head: str) -> Iterator[tuple[str, str, str]]:
    """Yields texts before, of and after the cursor's line, the one that says most of the step first."""
    line = kept + PLACEHOLDER
    rest = behind.lstrip()
    if _ONLY_WORD.fullmatch(kept) and not rest.startswith(":"):
        if "-" in kept:  # rather an item of a list than a key in it
            yield above, line, below
        yield above, f"{line}:", below
        yield above, f"{line}: {rest}", below
    yield above, line + behind, below
    for closing in _ends(above, line, kept):
        yield above, line + closing, below
        yield above, line + closing, ""
    owners = _owners(head, kept)
    for closing in _ends(owners, line, kept):
        yield owners, line + closing, ""


def _ends(before: str, line: str, kept: str) -> tuple[str, ...]:
    """Returns what may complete the line: the characters that close what is open, after a key also its colon."""
    closers = unclosed.closers(unclosed.masked(before + line)[0])
    return (f":{closers}", closers) if _ONLY_WORD.fullmatch(kept) else (closers,)


def _block(text: str, start: int, kept: str, end: int) -> tuple[str, str]:
    """Returns the text of the step around the line, before and after it, below the key of its section. Of another
    section, the whole section.
    """
    lines_above, lines_below = text[:start].splitlines(), text[end + 1 :].splitlines() if end >= 0 else []
    section = next((n for n in range(len(lines_above) - 1, -1, -1) if _TOP.match(lines_above[n])), None)
    if section is None or (kept and not kept[0].isspace()) or (not kept and not _has_content(lines_below)):
        return "", ""
    if not kept:  # an empty line, at the start of which a key of the top level would be
        return "", ""
    first, inner = section + 1, 0
    if lines_above[section].partition(":")[0] in SECTIONS:
        inside = [n for n in range(first, len(lines_above)) if _has_content([lines_above[n]])]
        inner = _indent(lines_above[inside[0]]) if inside else _indent(kept)
        if _indent(kept) > inner:
            heads = [n for n in inside if _indent(lines_above[n]) <= inner]
            first = heads[-1] if heads else first
        else:
            first = len(lines_above)
    above = [lines_above[section], *lines_above[first:]]
    below = []
    for line in lines_below:
        if _has_content([line]) and _indent(line) <= inner:
            break
        below.append(line)
    if first == len(lines_above):
        below = []  # the line is a step's own key
    return "\n".join(above) + "\n", "".join(f"\n{line}" for line in below)


def _owners(head: str, kept: str) -> str:
    """Returns only the lines that the cursor's line belongs to by its indentation, and those of a mapping or list in
    brackets that is still open.
    """
    need, is_item = _indent(kept), kept.lstrip().startswith("-")
    lines = head.splitlines()
    found: list[str] = []
    for number in range(len(lines) - 1, -1, -1):
        line = lines[number]
        if not _has_content([line]):
            continue
        indent, item = _indent(line), line.lstrip().startswith("-")
        if indent >= need and not (is_item and indent == need and not item):
            continue
        if unclosed.closers(unclosed.masked(line)[0]):
            found = lines[number + 1 :][::-1]
        found.append(line)
        need, is_item = indent, item
        if indent == 0 and not item:
            break
    return "".join(f"{line}\n" for line in reversed(found))


def _path(value: Any, path: Path) -> Path | None:
    """Returns the path of the placeholder in the data."""
    if isinstance(value, str):
        return path if PLACEHOLDER in value else None
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if isinstance(key, str) and PLACEHOLDER in key:
            return (*path, PLACEHOLDER)
        if (found := _path(item, (*path, key))) is not None:
            return found
    return None


def _at(value: Any, path: Path) -> Any:
    """Returns the data at a path; None when there is none."""
    for key in path:
        holder: Any = value
        is_there = key in holder if isinstance(holder, dict) else isinstance(holder, list) and isinstance(key, int)
        if not is_there:
            return None
        value = holder[key]
    return value


def _is_here(value: str, kept: str) -> bool:
    """Returns whether the text before the placeholder is that of the cursor's line: an open bracket or quote above
    would otherwise swallow the line.
    """
    return value.partition(PLACEHOLDER)[0].split("\n")[-1].strip() in kept


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _has_content(lines: list[str]) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in lines)


_COMMENT = re.compile(r"(^|\s)#")
_WORD = re.compile(r"[^\s,\[\]{}:\"'#]*$")
_NAME = re.compile(r"\w*$")
_AFTER_WORD = re.compile(r"^[\w.-]*")
_ONLY_WORD = re.compile(r"\s*(?:- +)*")
_TOP = re.compile(r"[A-Za-z_]\w*\s*:")

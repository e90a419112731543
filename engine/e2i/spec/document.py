"""Reads YAML text into a ``Document``: plain data with the location of every node.

In: text, bytes, or a mapping from Python. Out: ``(Document, [])``, or ``(None, problems)``.

YAML is read as 1.2 core: UTF-8, no tags, no merge keys, no duplicate keys; depth, aliases and bytes are limited before
anything is built.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

from e2i.documents import JsonObject, Values
from e2i.spec import inside, scalars
from e2i.spec.composer import MAX_PROBLEMS, GiveUpError, Limits, compose
from e2i.spec.positions import Path, Spot, locate
from e2i.spec.problems import Code, Fixes, Location, Problem, Severity, pointer


class Document:
    """A spec as plain data with the location of each value. Treat ``data`` as read-only: aliases share objects."""

    def __init__(self, data: JsonObject, file: str, text: str | None) -> None:
        self.data = data
        self.file = file
        self.text = text
        """The text as read, without a byte order mark. None for data from Python."""

    @cached_property
    def size(self) -> int:
        """Number of values. Values shared by aliases are counted each time."""
        waiting: list[Any] = [self.data]
        for value in waiting:
            if isinstance(value, dict | list):
                waiting.extend(value.values() if isinstance(value, dict) else value)
        return len(waiting)

    def value(self, path: Path) -> Any:
        """Returns the value at ``path``, or None when there is none. ``has`` distinguishes that from a null."""
        return self._find(path)[1]

    def has(self, path: Path) -> bool:
        """Returns True when there is a value at ``path``."""
        return self._find(path)[0]

    def problem(
        self,
        code: str,
        path: Path,
        message: str,
        hint: str | None = None,
        *,
        key: bool = False,
        at: Path | None = None,
        offset: int | None = None,
        severity: Severity = "error",
        fixes: Fixes = (),
    ) -> Problem:
        """Returns a problem of the value at ``path``.

        Its location is that of the value, of its ``key``, of another path ``at``, or of the character at ``offset`` in
        the text of the value.
        """
        where = path if at is None else at
        location = self.location(where, key=key) if offset is None else self.location_in(where, offset)
        return Problem(code, message, location, pointer(path), hint, severity, fixes)

    def location(self, path: Path, *, key: bool = False) -> Location:
        """Returns the location of the value at ``path``, or of its key.

        A value that does not exist has the location of its nearest ancestor's key. Data from Python is at 1:1.
        """
        if self._spots is None:
            return Location(self.file, 1, 1)
        spot, depth = self._spots.find(path)
        if key or depth < len(path):
            return Location(self.file, spot.key_line, spot.key_column)
        return Location(self.file, spot.line, spot.column)

    def location_in(self, path: Path, offset: int) -> Location:
        """Returns the location of the character at ``offset`` in the text at ``path``, in any style of YAML.

        It is that of the value where the text is not written there, as for data from Python.
        """
        span, value = self.span(path), self.value(path)
        if span is None or self.text is None or not isinstance(value, str):
            return self.location(path)
        found = inside.offset(self.text[slice(*span)], value, offset)
        if found is None:
            return self.location(path)
        before = self.text[: span[0] + found]
        return _end(before, self.file)

    def span(self, path: Path, *, key: bool = False) -> tuple[int, int] | None:
        """Returns the offsets in ``text`` of the value (or key) at ``path``, or None when it is not in the text.

        A block mapping or list may include the blank lines and comments after it.
        """
        spot, depth = self._spots.find(path) if self._spots else (None, 0)
        if spot is None or depth < len(path) or (key and spot.key_end == spot.key_start):
            return None
        return (spot.key_start, spot.key_end) if key else (spot.start, spot.end)

    def line(self, number: int) -> str:
        """Returns the text of a line, counted from 1. Empty when there is no such line."""
        return self._lines[number - 1] if 0 < number <= len(self._lines) else ""

    def _find(self, path: Path) -> tuple[bool, Any]:
        value: Any = self.data
        for step in path:
            in_list = isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value)
            if not (in_list or (isinstance(value, dict) and step in value)):
                return False, None
            value = value[step]
        return True, value

    @cached_property
    def _spots(self) -> Spot | None:
        return None if self.text is None else locate(self.text)

    @cached_property
    def _lines(self) -> list[str]:
        return [] if self.text is None else self.text.splitlines()


def read(text: str | bytes, file: str, limits: Limits | None = None) -> tuple[Document | None, list[Problem]]:
    """Reads the document from a file's text. ``file`` is only a name, for locations."""
    found, problems = _read(text, file, limits or Limits())
    return found, list(problems)


@lru_cache(maxsize=2)  # a fix reads, checks and edits the same text
def _read(text: str | bytes, file: str, limits: Limits) -> tuple[Document | None, Sequence[Problem]]:
    clean, problems = _characters(text, file, limits)
    if problems:
        return None, problems
    data, problems = compose(clean, file, limits)
    if not problems and not isinstance(data, dict):
        top = locate(clean)
        location = Location(file, top.line, top.column) if top else Location(file, 1, 1)
        kind = "a list" if isinstance(data, list) else "empty" if data is None else "one value"
        problems = [
            Problem(
                "not-a-mapping",
                f"the top level must be a mapping, but is {kind}",
                location,
                "",
                "a spec starts with version: 1",
            )
        ]
    if problems:
        return None, sorted(problems, key=lambda problem: problem.sort_key)
    return Document(data, file, clean), []


def read_value(text: str, file: str, limits: Limits | None = None) -> tuple[Any, list[Problem]]:
    """Reads the value of a short YAML text, such as the one in ``-p NAME=VALUE``. An empty text is null."""
    clean, problems = _characters(text, file, limits or Limits())
    if problems or not clean.strip():
        return None, problems
    data, problems = compose(clean, file, limits or Limits())
    return (None, problems) if problems else (data, [])


def from_mapping(
    data: Values, file: str = "<mapping>", limits: Limits | None = None
) -> tuple[Document | None, list[Problem]]:
    """Returns the document for a mapping from Python: a copy of it, checked by the same rules as text.

    Tuples become lists. A value that YAML cannot express, such as an object, is a problem.
    """
    copier = _Copier(file, limits or Limits())
    try:
        copy = copier.copy(data, ())
    except GiveUpError:
        return None, copier.problems
    return (None, copier.problems) if copier.problems else (Document(copy, file, None), [])


def _characters(text: str | bytes, file: str, limits: Limits) -> tuple[str, list[Problem]]:
    """Returns the decoded text without a leading byte order mark, if all its characters are allowed."""
    if len(text) > limits.bytes:
        message = f"the file is larger than {limits.bytes:,} bytes"
        return "", [Problem("too-large", message, Location(file, 1, 1), "")]
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode("utf-8").removeprefix("\ufeff")
            hint = "save the file as UTF-8" + (", not UTF-16" if error.object[:2] in (b"\xff\xfe", b"\xfe\xff") else "")
            return "", [Problem("not-utf8", "the file is not UTF-8 here", _end(before, file), "", hint)]
    text = text.removeprefix("\ufeff")
    # Carriage returns are line ends in the text itself; only an escape could put one into a value.
    offset = scalars.forbidden(text.replace("\r", " ") if "\r" in text else text)
    if offset is None:
        return text, []
    message = f"{scalars.character(text[offset])} is not allowed in a spec"
    return "", [Problem("bad-character", message, _end(text[:offset], file), "", "remove it")]


def _end(before: str, file: str) -> Location:
    """Returns the location right after ``before``."""
    lines = before.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return Location(file, len(lines), len(lines[-1]) + 1)


class _Copier:
    """Copies data from Python and checks it."""

    def __init__(self, file: str, limits: Limits) -> None:
        self.file = file
        self.limits = limits
        self.problems: list[Problem] = []
        self.size = 0
        self.values = 0

    def copy(self, value: Any, path: Path) -> Any:
        self.size += 8 + (len(value) if isinstance(value, str) else 0)
        if self.size > self.limits.bytes:
            self.report(path, "too-large", f"the data is larger than {self.limits.bytes:,} bytes")
            raise GiveUpError
        self.values += 1
        if self.values > self.limits.values:
            self.report(path, "too-large", f"there are more than {self.limits.values:,} values")
            raise GiveUpError
        match value:
            case Mapping() | list() | tuple() if len(path) >= self.limits.depth:
                self.report(path, "too-deep", f"nested more than {self.limits.depth} levels deep")
                raise GiveUpError
            case Mapping():
                return {self.key(key, path): self.copy(item, (*path, key)) for key, item in value.items()}
            case list() | tuple():
                return [self.copy(item, (*path, index)) for index, item in enumerate(value)]
            case str():
                return self.text(value, path)
            case None | bool():
                return value
            case float() if math.isfinite(value):
                return float(value)
            case float():
                return self.report(path, "number", f"{value} is not a finite number")
            case int() if scalars.INT_MIN <= value <= scalars.INT_MAX:
                return int(value)
            case int():
                return self.report(path, "number", "the integer does not fit in 64 bits")
        named = type(value).__name__
        return self.report(path, "not-plain", f"{named} is not plain data: use text, a number, a list or a mapping")

    def key(self, key: Any, path: Path) -> str:
        if isinstance(key, str):
            return self.text(key, path)
        self.report(path, "key-type", f"the key {scalars.shorten(repr(key))} is not text")
        return ""

    def text(self, value: str, path: Path) -> str:
        if (offset := scalars.forbidden(value)) is not None:
            self.report(path, "bad-character", f"{scalars.character(value[offset])} is not allowed in text")
        return str.__str__(value)  # exactly a str, also for a member of an enum

    def report(self, path: Path, code: str, message: str) -> None:
        self.problems.append(Problem(code, message, Location(self.file, 1, 1), pointer(path)))
        if len(self.problems) >= MAX_PROBLEMS:
            raise GiveUpError


CODES = (
    Code(
        "bad-character",
        "A character that is not allowed in text",
        "Control characters, byte order marks inside the text and characters that reorder text on a screen can make a "
        "spec look different from what it is.",
        "Remove the character named in the message.",
        'description: "one\\u202etwo"\nsteps:\n  a: {uses: debug.echo}\n',
        'description: "one two"\nsteps:\n  a: {uses: debug.echo}\n',
    ),
    Code(
        "empty",
        "An empty file",
        "The text contains no document: it is empty, or has only comments.",
        "Start with `version: 1`. `e2i schema` shows the format.",
        "# to be written\n",
        "version: 1\nname: example\nsteps:\n  a: {uses: debug.echo}\n",
    ),
    Code(
        "not-a-mapping",
        "A spec that is a list or a single value",
        "The top level of a spec maps `version`, `name`, `steps` and so on to their values.",
        "Start with `version: 1`.",
        "- version: 1\n- name: example\n",
        "version: 1\nname: example\nsteps:\n  a: {uses: debug.echo}\n",
    ),
    Code(
        "not-plain",
        "A value from Python that is not plain data",
        "A spec passed as a mapping may contain text, numbers, true, false, null, lists and mappings, like YAML.",
        "Use text, a number, a list or a mapping instead of the object.",
        example='e2i.validate({"version": 1, "name": datetime.now()})',
    ),
    Code(
        "not-utf8",
        "A file that is not UTF-8",
        "Specs are read as UTF-8 and nothing else, so that they read the same everywhere.",
        "Save the file as UTF-8.",
        example="A file that an old editor saved in Latin-1: the é of café is one byte.",
    ),
    Code(
        "too-deep",
        "Nesting that is too deep",
        "Mappings and lists may be nested 64 levels deep, aliases followed.",
        "Flatten the data, or read it from a file.",
        f"steps:\n  a: {{uses: debug.echo, with: {{value: {'[' * 64}1{']' * 64}}}}}\n",
        "steps:\n  a: {uses: debug.echo, with: {value: [[1]]}}\n",
    ),
    Code(
        "too-large",
        "A spec that is too large",
        "A text of more than 8 MiB or 250,000 values, or what policy allows, is not read.",
        "Move the data to a file, and refer to it in the spec.",
        example="A table was pasted into a spec.",
    ),
)

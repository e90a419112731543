"""Report a caller's mistake as a ``ValueError``. In: errors of the tools. Out: ``BadCall``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from e2i.errors import BadCall as BadCall  # where programs find it
from e2i.errors import BadInput, Refused, StepError

LONGEST = 1_000
"""Most bytes of a name."""
LONGEST_PART = 200
"""Most bytes of a name that becomes one file's or folder's: file systems take 255, and endings are added."""
NAME_MAX, PATH_MAX = 255, 4_000
"""Most bytes of the name and of the path of a file that exists."""


def text(name: object, what: str, *, longest: int = LONGEST) -> str:
    """Return a name. Raises BadCall, which calls it ``what``, for one that a file or a server could not have.

    That is anything but a text, an empty one, one of more than ``longest`` bytes in UTF-8, and control characters.
    """
    if not isinstance(name, str):
        raise BadCall(f"{what} must be a text, not {name!r:.80}", code="bad-name", hint="pass a str")
    if not name.strip():
        raise BadCall(f"{what} must be a text that is not empty, not {name[:20]!r}", code="bad-name", hint="name it")
    content(name, what)
    if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in name):
        raise BadCall(
            f"{what} {name[:80]!r} contains a control character",
            code="bad-name",
            hint="leave out line breaks, tabs, NUL and escapes",
        )
    if len(name.encode()) > longest:
        raise BadCall(
            f"{what} {name[:40]!r}… has {len(name.encode())} bytes, more than {longest}",
            code="bad-name",
            hint="use a shorter name, and log long text as a value or a file",
        )
    return name


def content(value: str, what: str) -> str:
    """Return a text of any length. Raises BadCall when UTF-8 cannot have it: it contains half of a character."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadCall(
            f"{what} contains a lone surrogate, {value[error.start]!r}, which no file or server can store",
            code="bad-text",
            hint='decode the bytes that it came from with errors="replace"',
        ) from None
    return value


def file_path(path: str, what: str, *, part: int = LONGEST_PART, longest: int = LONGEST) -> str:
    """Return a path. Raises BadCall for one with a control character, or longer than ``part`` and ``longest`` bytes."""
    for name in text(path, what, longest=longest).split("/"):
        if len(name.encode()) > part:
            raise BadCall(
                f"{what} has a part of {len(name.encode())} bytes, {name[:40]!r}…, more than {part}",
                code="bad-name",
                hint=f"use shorter names, of at most {part} bytes each and {longest:,} together",
            )
    return path


@contextmanager
def encodable(what: str) -> Iterator[None]:
    """Convert the error of a library that meets a text which UTF-8 cannot have; for calls without the user's code."""
    try:
        yield
    except UnicodeEncodeError as error:
        near = str(error.object)[max(0, error.start - 20) : error.end + 20]
        raise BadCall(
            f"{what} contains a lone surrogate, in {near!r}, which no file or server can store",
            code="bad-text",
            hint='decode the bytes that it came from with errors="replace"',
        ) from error


@contextmanager
def mistakes() -> Iterator[None]:
    """Convert what a tool refuses to ``BadCall``; also a decorator. An outage passes unchanged."""
    try:
        yield
    except BadCall:
        raise
    except (StepError, BadInput, Refused) as error:
        raise BadCall.of(error) from error

"""Secrets, and text that may hold them, go in; the same text with ``***`` for every form of a secret comes out.

A secret shows in many forms: as it is, in base64 (also inside a longer text), in hexadecimal, quoted for a URL or in
JSON, a line of it alone. Run as a program this is the filter of a step's log: on standard input a line with the secrets
as JSON, then what the step prints; on standard output the log. It is a process of its own, as a thread could not read
while native code that prints holds the interpreter. Standard library only.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO
from urllib.parse import quote, quote_plus

MASK = "***"
SHORTEST = 8
"""Characters that a form must have to be looked for anywhere: digests must not be hit by chance."""
SHORTEST_WORD = 4
"""Characters that a secret must have to be looked for as a word of its own; shorter ones are masked where they stand
alone.
"""


class Masker:
    """Knows all forms of some secrets."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self.secrets = tuple(sorted({secret for secret in secrets if secret}))
        forms = {form for secret in self.secrets for form in forms_of(secret)}
        anywhere = [re.escape(form) for form in sorted(forms, key=lambda form: (-len(form), form))]
        words = [rf"(?<!\w){re.escape(s)}(?!\w)" for s in self.secrets if SHORTEST_WORD <= len(s) < SHORTEST]
        self._source = "|".join(anywhere + words)
        self._pattern = re.compile(self._source)
        self._wide = sorted(
            {wide_of(secret) for secret in self.secrets if len(secret) >= SHORTEST}, key=len, reverse=True
        )
        narrow = (form.encode("utf-8", "surrogatepass") for form in (*forms, *self.secrets))
        self.longest = max(map(len, (*narrow, *self._wide)), default=0)

    def __bool__(self) -> bool:
        return bool(self.secrets)

    def text(self, text: str) -> str:
        if text in self.secrets:
            return MASK
        return self._pattern.sub(MASK, text) if self._source else text

    def data(self, value: Any) -> Any:
        """Plain data, or a record of plain data, without secrets in its texts; keys of mappings are texts too."""
        if not self.secrets:
            return value
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.data(key): self.data(item) for key, item in value.items()}
            case list() | tuple():
                return type(value)(map(self.data, value))
        if hasattr(value, "__struct_fields__"):
            from msgspec.structs import asdict, replace  # not for the program

            return replace(value, **{name: self.data(item) for name, item in asdict(value).items()})
        return value

    def stream(self, source: BinaryIO, target: BinaryIO) -> None:
        """Copies bytes as they come. What could be the beginning of a secret waits for what follows."""
        sources = [re.escape(form) for form in self._wide]
        sources += [self._source.encode("utf-8", "surrogatepass")] if self._source else []
        pattern = re.compile(b"|".join(sources)) if sources else None
        held = b""
        while data := source.read1(1 << 16):  # type: ignore[attr-defined]  # buffered readers have it
            held += data
            held = pattern.sub(MASK.encode(), held) if pattern else held
            ready = len(held) - self.longest
            if ready > 0:
                target.write(held[:ready])
                target.flush()
                held = held[ready:]
        target.write(held)
        target.flush()


def forms_of(secret: str) -> Iterator[str]:
    """Yields the texts, long enough to be told from chance, in which the secret or one of its lines can show."""
    for part in {secret, *(line.strip() for line in secret.splitlines())}:
        raw = part.encode("utf-8", "surrogatepass")
        written = {*_hexadecimal(raw), *_base64(raw)} if len(part) >= SHORTEST_WORD else set()
        yield from (form for form in {part, *written, *_quoted(part), *_escaped(part)} if len(form) >= SHORTEST)


def wide_of(secret: str) -> bytes:
    """The secret in UTF-16: without the zero at the end it fits both orders of bytes."""
    return secret.encode("utf-16-le", "surrogatepass").rstrip(b"\0")


def _hexadecimal(raw: bytes) -> Iterator[str]:
    """The bytes as digits in a row, apart, and each with the sign of a URL or of a string literal before it."""
    for text in (raw.hex(), raw.hex(":"), raw.hex(" "), raw.hex("%"), raw.hex("_").replace("_", "\\x")):
        yield from (text, text.upper().replace("\\X", "\\x"))


def _quoted(part: str) -> Iterator[str]:
    """The text as a URL has it."""
    for text in (
        quote(part, safe="", errors="replace"),
        quote(part, errors="replace"),
        quote_plus(part, errors="replace"),
    ):
        yield from (text, re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), text))


def _escaped(part: str) -> Iterator[str]:
    """The text as JSON, Python, HTML and XML have it."""
    for text in (json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1]):
        yield from (text, text.replace("/", "\\/"))
        yield text.translate({ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&'"})
    yield repr(part)[1:-1]
    marked = part.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    yield marked
    for double, single in (("&quot;", "'"), ("&quot;", "&#x27;"), ("&#34;", "&#39;"), ("&quot;", "&apos;")):
        yield marked.replace('"', double).replace("'", single)


def _base64(raw: bytes) -> Iterator[str]:
    """The secret in base64 wherever it starts in a longer text: the characters that it alone decides; also in lines of
    76.
    """
    for offset, first in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(b"\0" * offset + raw).decode()
        core = encoded[first : (offset + len(raw)) * 8 // 6]
        yield from (core, core.translate(_URL_SAFE))
    yield base64.b64encode(raw).decode()
    yield base64.urlsafe_b64encode(raw).decode()
    yield from base64.encodebytes(raw).decode().splitlines()


_URL_SAFE = str.maketrans("+/", "-_")


def main() -> None:
    """The filter of one step's log."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    Masker(json.loads(source.readline())).stream(source, target)


if __name__ == "__main__":
    main()

"""Mask secrets in text. In: secrets and text. Out: the text with ``***`` for every form of a secret.

A secret appears in many forms: plain, in base64 (also inside a longer text), in hexadecimal, quoted for a URL or in
JSON, each of these reversed before it was written, or a single line of it. Run as a program, this is the filter of a
step's log. Standard input is a line with the secrets as JSON, then the step's output; standard output is the log. It
is a separate process, because a thread could not read while native code that prints holds the interpreter lock.
Standard library only.
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
"""Minimum length of a form that is searched anywhere, in characters: digests must not match by chance."""
SHORTEST_WORD = 4
"""Minimum length of a secret that is searched as a separate word; shorter ones are masked only as a whole value."""

SHORTEST_BEGINNING = 6
"""Minimum length of the beginning of a form that is masked at the end of a text."""
CUT = "…. '\"\n"
"""Characters that may follow where a text was cut."""


class Masker:
    """Knows all forms of some secrets."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self.secrets = tuple(sorted({secret for secret in secrets if secret}))
        forms = {form for secret in self.secrets for form in forms_of(secret)}
        anywhere = [re.escape(form) for form in sorted(forms, key=lambda form: (-len(form), form))]
        words = [rf"(?<!\w){re.escape(s)}(?!\w)" for s in self.secrets if SHORTEST_WORD <= len(s) < SHORTEST]
        self._forms = tuple(sorted(forms))
        self._has_words = bool(words)
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
        if self._has_words or any(form in text for form in self._forms):  # a fraction of what the pattern takes
            return self._pattern.sub(MASK, text)
        return text

    def cut(self, text: str) -> str:
        """Return a masked text that may have been cut before: also without a form's beginning at its end."""
        text = self.text(text)
        end = text.rstrip(CUT)
        for form in self._forms:
            longest = min(len(form) - 1, len(end))
            for size in range(longest, SHORTEST_BEGINNING - 1, -1):
                if end.endswith(form[:size]):
                    return end[:-size] + MASK + text[len(end) :]
        return text

    def data(self, value: Any) -> Any:
        """Return plain data, or a record of plain data, without secrets in its texts, including keys of mappings."""
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
        """Copy bytes as they arrive. A possible beginning of a secret waits for the bytes after it."""
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
    """Yield the texts in which the secret or one of its lines can appear, long enough to exclude chance matches."""
    parts = {secret, *(line.strip() for line in secret.splitlines())}
    for part in parts | {part[::-1] for part in parts}:
        raw = part.encode("utf-8", "surrogatepass")
        written = {*_hexadecimal(raw), *_base64(raw)} if len(part) >= SHORTEST_WORD else set()
        yield from (form for form in {part, *written, *_quoted(part), *_escaped(part)} if len(form) >= SHORTEST)


def wide_of(secret: str) -> bytes:
    """Return the secret in UTF-16, without the zero at the end, so that both byte orders match."""
    return secret.encode("utf-16-le", "surrogatepass").rstrip(b"\0")


def _hexadecimal(raw: bytes) -> Iterator[str]:
    """Return the bytes as digits in a row, separated, and each with the prefix of a URL or a string literal."""
    for text in (raw.hex(), raw.hex(":"), raw.hex(" "), raw.hex("%"), raw.hex("_").replace("_", "\\x")):
        yield from (text, text.upper().replace("\\X", "\\x"))


def _quoted(part: str) -> Iterator[str]:
    """Return the text as quoted in a URL."""
    for text in (
        quote(part, safe="", errors="replace"),
        quote(part, errors="replace"),
        quote_plus(part, errors="replace"),
    ):
        yield from (text, re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), text))


def _escaped(part: str) -> Iterator[str]:
    """Return the text as escaped in JSON, Python, HTML and XML."""
    for text in (json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1]):
        yield from (text, text.replace("/", "\\/"))
        yield text.translate({ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&'"})
    yield repr(part)[1:-1]
    marked = part.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    yield marked
    for double, single in (("&quot;", "'"), ("&quot;", "&#x27;"), ("&#34;", "&#39;"), ("&quot;", "&apos;")):
        yield marked.replace('"', double).replace("'", single)


def _base64(raw: bytes) -> Iterator[str]:
    """Yield the secret in base64 at any offset of a longer text, as determined by it alone; also in lines of 76."""
    for offset, first in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(b"\0" * offset + raw).decode()
        core = encoded[first : (offset + len(raw)) * 8 // 6]
        yield from (core, core.translate(_URL_SAFE))
    yield base64.b64encode(raw).decode()
    yield base64.urlsafe_b64encode(raw).decode()
    yield from base64.encodebytes(raw).decode().splitlines()


_URL_SAFE = str.maketrans("+/", "-_")


def main() -> None:
    """Run the filter of one step's log."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    Masker(json.loads(source.readline())).stream(source, target)


if __name__ == "__main__":
    main()

"""Decode the first bytes of a text file. In: bytes, the stated encoding. Out: the encoding, the text, notes."""

from __future__ import annotations

import codecs

from e2i.tools.data.unclear import UnclearError

BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
UTF8 = ("utf-8", "utf-8-sig")


def is_known(encoding: str) -> bool:
    """Return True for an encoding of text."""
    try:
        return isinstance("".encode(encoding), bytes)
    except (LookupError, UnicodeError, TypeError):
        return False


def decoded(head: bytes, encoding: str, shown: str, *, whole: bool) -> tuple[str, str, list[str]]:
    """Return the encoding, the text and notes. ``whole``: the head is the entire file. Raises UnclearError.

    Another encoding than the stated one is recognised only by its byte order mark.
    """
    notes = []
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise UnclearError(f"{shown} is UTF-32", "convert it to UTF-8")
    encoding = codecs.lookup(encoding).name
    if encoding in UTF8:
        for bom, name in BOMS.items():
            if head.startswith(bom):
                encoding = name
        if encoding == "utf-16":
            notes.append("the encoding is UTF-16, by its byte order mark")
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head, final=whole)
    except UnicodeDecodeError as error:
        raise invalid(shown, encoding, head, error.start) from error
    if encoding in UTF8 and head.count(0) * 3 > len(head):
        raise UnclearError(f"{shown} seems to be UTF-16 without a byte order mark", "state `encoding: utf-16-le`")
    return encoding, text, notes


def invalid(shown: str, encoding: str, content: bytes, position: int, line: int = 1) -> Exception:
    """Return the error of a byte that the encoding does not have. ``line`` is that of the content's first byte."""
    line += content.count(b"\n", 0, position)
    return UnclearError(
        f"line {line} of {shown} has the byte 0x{content[position]:02x}, which is not {encoding} there",
        "state `encoding`, such as latin-1, cp1252 or utf-16",
    )

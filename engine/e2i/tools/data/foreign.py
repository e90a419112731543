"""Recognize content that is no text table although a file's suffix says so. In: its first bytes. Out: what it is."""

from __future__ import annotations

import codecs

SIGNATURES = {
    b"PK\x03\x04": "a ZIP archive, or a workbook",
    b"\xd0\xcf\x11\xe0": "a workbook or another document of Microsoft Office",
    b"\x1f\x8b": "compressed with gzip",
    b"BZh": "compressed with bzip2",
    b"\x28\xb5\x2f\xfd": "compressed with Zstandard",
    b"\xfd7zXZ\x00": "compressed with xz",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"SQLite format 3\x00": "an SQLite database",
    b"%PDF-": "a PDF document",
    b"version https://git-lfs": "a pointer of Git LFS to the file",
}
PAGES = (b"<!doctype html", b"<html", b"<?xml")
HINTS = {
    "a pointer of Git LFS to the file": "fetch its content with `git lfs pull`",
    "compressed with gzip": "name it with the suffix .gz",
}


def what(head: bytes) -> str | None:
    """Return what a file is that is no table of text; None for one that may be."""
    for start, name in SIGNATURES.items():
        if head.startswith(start):
            return name
    text = head[:200].removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if text.startswith(PAGES):
        return "an HTML or XML document"
    return "JSON" if text.startswith((b'{"', b'[{"')) else None


def hint(name: str) -> str:
    """Return what to do with such a file."""
    return HINTS.get(name, "set `format`, or put the file there that is meant")

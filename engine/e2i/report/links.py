"""Addresses and paths go in; targets of links come out that can run no script, or "" where there shall be no link."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

OPENED = (".html", ".htm", ".png", ".svg", ".pdf", ".txt", ".log")
"""What a browser opens for what it is; a local file without a known suffix is shown as plain text."""


def safe(target: str) -> str:
    """The target when its scheme is http or https, or when it is a relative path."""
    text = target.strip()
    if web(text):
        return text
    if text.startswith(("/", "\\")) or re.match(r"[^/?#]*:", text) or not text.isprintable():
        return ""
    return text


def web(target: str) -> str:
    """The target when its scheme is http or https."""
    text = target.strip()
    return text if re.match(r"https?://[^\s/]", text, re.IGNORECASE) and text.isprintable() else ""


def to_file(file: Path, folder: Path) -> str:
    """The way from a page in ``folder`` to a file that is there and that a browser can open."""
    if file.suffix.lower() not in OPENED or not file.is_file():
        return ""
    return quote(Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix())

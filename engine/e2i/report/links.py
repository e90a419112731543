"""Make link targets that cannot run scripts.

In: addresses and paths. Out: targets of links, or "" for no link.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

OPENED = (".html", ".htm", ".png", ".svg", ".pdf", ".txt", ".log")
"""Suffixes that a browser opens by their type. It shows other local files as plain text."""


def safe(target: str) -> str:
    """Returns the target when its scheme is http or https, or when it is a relative path, else ""."""
    text = target.strip()
    if web(text):
        return text
    if text.startswith(("/", "\\")) or re.match(r"[^/?#]*:", text) or not text.isprintable():
        return ""
    return text


def web(target: str) -> str:
    """Returns the target when its scheme is http or https, else ""."""
    text = target.strip()
    return text if re.match(r"https?://[^\s/]", text, re.IGNORECASE) and text.isprintable() else ""


def to_file(file: Path, folder: Path) -> str:
    """Returns the relative path from a page in ``folder`` to an existing file that a browser can open, else ""."""
    if file.suffix.lower() not in OPENED or not file.is_file():
        return ""
    return quote(Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix())

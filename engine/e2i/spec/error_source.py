"""Finds the source of a syntax error before the location where the parser stopped.

In: the text of a document, and the offset or line of a syntax error. Out: an offset, or None when nothing is found.
"""

from __future__ import annotations

import re

import yaml
from yaml.tokens import ScalarToken

from e2i.spec.positions import PARSER
from e2i.spec.scalars import LONGEST_KEY


def quote(text: str, gave_up: int) -> int | None:
    """Returns the offset of the quoted text that ends right before ``gave_up``, closed by a quote that is not its
    own.
    """
    opened = None
    try:
        for token in yaml.scan(text, Loader=PARSER):
            if token.start_mark.index >= gave_up:
                break
            opened = token if isinstance(token, ScalarToken) and token.style in ("'", '"') else None
    except yaml.YAMLError:
        pass  # the error that is being explained
    return opened.start_mark.index if opened and opened.end_mark.index == gave_up else None


def quote_before(text: str, opened: int) -> int | None:
    """Returns the offset of a quoted text, on the line of an unclosed quote, that is closed by a quote not its own."""
    line = text.rfind("\n", 0, opened) + 1
    found = next((run for run in _QUOTED.finditer(text, line, opened) if run["quote"] is not None), None)
    return found.start() if found else None


def bracket(text: str, opened: int, gave_up: int) -> int | None:
    """Returns ``opened`` if the lines after a bracket are indented no further than its line, as if it were closed."""
    if "\n" not in text[opened:gave_up] or _indent(text, gave_up) > _indent(text, opened):
        return None
    return opened


def colon(text: str, gave_up: int) -> int | None:
    """Returns the offset of the line whose ``:`` is missing, or lacks a space, so that the next line seems to continue
    it.
    """
    before = text[: text.rfind("\n", 0, gave_up) + 1].rstrip()
    start = before.rfind("\n") + 1
    found = _NO_ENTRY.fullmatch(before, start)
    return found.start("key") if found else None


def stuck(text: str, gave_up: int) -> int | None:
    """Returns the offset of a key whose ``:`` lacks a space before a brace or bracket, on the line or the one it
    continues.
    """
    line = text.rfind("\n", 0, gave_up) + 1
    above = text.rfind("\n", 0, max(0, line - 1)) + 1
    found = STUCK.search(text, line, gave_up + 2)
    if found is None and line and _indent(text, above) < _indent(text, gave_up):
        found = STUCK.search(text, above, line)
    return found.start("key") if found else None


def long_key(text: str, gave_up: int) -> int | None:
    """Returns the offset of a key on the line that is longer than PyYAML allows."""
    found = _LONG_KEY.search(text, text.rfind("\n", 0, gave_up) + 1, gave_up + 2)
    return found.start() if found else None


def _indent(text: str, offset: int) -> int:
    start = text.rfind("\n", 0, offset) + 1
    return len(text[start:]) - len(text[start:].lstrip(" "))


STUCK = re.compile(r"(?:(?:^|(?<=\n)) *(?:- +)*|(?<=[\[{,]) *)(?P<key>[A-Za-z_]\w*):(?=[\[{])")
"""A key before a collection, without the space after its colon. YAML reads both as one text."""
_LONG_KEY = re.compile(
    rf"""(?<=[\s{{\[,])(?:"(?:[^"\\]|\\.){{{LONGEST_KEY},}}"|'[^']{{{LONGEST_KEY},}}'|[^\s:,{{}}\[\]"']{{{LONGEST_KEY},}})(?=\s*:(?:\s|$))"""
)
_QUOTED = re.compile(r"""(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*')(?P<quote>(?=[^\s,:}\]'"]))?""")
"""Quoted texts. ``quote`` matches when more text follows directly."""
_NO_ENTRY = re.compile(r" *(?:- +)*(?P<key>\w[\w-]*)(?::\S(?!.*: )[^#]*| (?!.*:(?: |$))[^#]*)?")

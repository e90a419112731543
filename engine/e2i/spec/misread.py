"""Find text that libyaml reads in another way than YAML 1.2 says. In: text that it reads. Out: problems.

Known from the public YAML test suite: ``{ ?a: b }`` is the key ``a`` to libyaml and ``?a`` in YAML; ``&a:b c`` is the
text ``:b c`` with the anchor ``a``, and the text ``c`` with the anchor ``a:b``.
"""

from __future__ import annotations

import re

import yaml
from yaml.events import NodeEvent

from e2i.spec.positions import PARSER
from e2i.spec.problems import Location, Problem

SUSPECT = re.compile(r"[\[{,]\s*\?\S|&[0-9A-Za-z_-]+[?:%@`]")
"""What such a text has. Most texts with it are read as they should be: only these are looked at in detail."""
AFTER_ANCHOR = "?:%@`"
"""What ends the name of an anchor for libyaml, and not in YAML."""


def find(text: str, file: str) -> list[Problem]:
    """Returns a problem for each value that is read in another way than YAML says."""
    return _found(text, file) if SUSPECT.search(text) else []


def _found(text: str, file: str) -> list[Problem]:
    problems = []
    for event in yaml.parse(text, Loader=PARSER):
        mark = event.start_mark
        if not isinstance(event, NodeEvent) or mark is None:
            continue
        begin = text[mark.index : mark.index + 1 + len(event.anchor or "") + 1]
        if event.anchor and begin.startswith("&") and begin[-1] in AFTER_ANCHOR:
            message = f'the name of an anchor, "{event.anchor}", is followed by "{begin[-1]}"'
            hint = "write a space after the name"
        elif mark.index and text[mark.index - 1] == "?":
            message, hint = 'a "?" begins this text inside brackets', "quote the text"
        else:
            continue
        location = Location(file, mark.line + 1, mark.column + 1)
        problems.append(Problem("yaml-syntax", message, location, "", hint))
    return problems

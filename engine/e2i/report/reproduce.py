"""The document of a run goes in; the commands that do it again, and its spec cut into coloured pieces, come out."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from e2i.spec import document

PIECES = re.compile(
    r"(?P<expression>\$\{\{[^\n}]{0,2000}\}\})"
    r"|(?P<comment>(?:(?<=^)|(?<=[ \t]))#[^\n]*)"
    r"|(?P<key>^[ \t]*(?:-[ \t]+)?[\w.\-]+(?=:(?:[ \t]|$)))",
    re.MULTILINE,
)
LONGEST = 400_000
"""Characters of a spec that are shown."""


def commands(run: Mapping[str, Any], *, finished: bool) -> tuple[tuple[str, str], ...]:
    """What to type, each with what it is for."""
    file = run["file"] if not run["file"].startswith("<") else f"{run['pipeline']}.yaml"
    words = ["e2i-run", file]
    for name, value in sorted((run["params"] or {}).items()):
        words += ["-p", f"{name}={_argument(value)}"]
    if run["profile"] != "default":
        words += ["--profile", run["profile"]]
    again = shlex.join(words)
    kept = "" if file == run["file"] else f" (the spec below, saved as {file})"
    found = [(f"the same again; what is finished is reused{kept}", again)]
    if finished:
        found.append(("all of it anew", f"{again} --fresh"))
    else:
        found.append(("go on with this very run", shlex.join(["e2i-run", file, "--resume", run["run"]])))
    found.append(("this run in the terminal", shlex.join(["e2i", "show", run["run"]])))
    return tuple(found)


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """The text in pieces, in order: (expression, comment, key or "", text)."""
    end = 0
    for match in PIECES.finditer(text[:LONGEST]):
        if match.start() > end:
            yield "", text[end : match.start()]
        yield match.lastgroup or "", match.group()
        end = match.end()
    yield "", text[end:LONGEST]
    if len(text) > LONGEST:
        yield "comment", f"\n# … {len(text) - LONGEST:,} more characters"


def _argument(value: Any) -> str:
    """The value as ``-p`` reads it: text that YAML would take for something else is quoted."""
    if isinstance(value, str) and document.read_value(value, "-p") == (value, []):
        return value
    return json.dumps(value, ensure_ascii=False)

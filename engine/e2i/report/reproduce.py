"""Prepare the commands that repeat a run, and its spec in coloured pieces.

In: a recorded run. Out: commands and pieces.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

from e2i.spec import document
from e2i.store.past import RecordedRun

PIECES = re.compile(
    r"(?P<expression>\$\{\{[^\n}]{0,2000}\}\})"
    r"|(?P<comment>(?:(?<=^)|(?<=[ \t]))#[^\n]*)"
    r"|(?P<key>^[ \t]*(?:-[ \t]+)?[\w.\-]+(?=:(?:[ \t]|$)))",
    re.MULTILINE,
)
LONGEST = 400_000
"""Maximum number of shown characters of a spec."""


def commands(run: RecordedRun, *, finished: bool) -> tuple[tuple[str, str], ...]:
    """Returns the commands, each with its purpose."""
    file = run.file if not run.file.startswith("<") else f"{run.pipeline}.yaml"
    words = ["e2i-run", file]
    for name, value in sorted(run.params.items()):
        words += ["-p", f"{name}={_argument(value)}"]
    if run.profile != "default":
        words += ["--profile", run.profile]
    again = shlex.join(words)
    kept = "" if file == run.file else f" (the spec below, saved as {file})"
    found = [(f"run it again; finished steps are reused{kept}", again)]
    if finished:
        found.append(("run every step again", f"{again} --fresh"))
    else:
        found.append(("resume this run", shlex.join(["e2i-run", file, "--resume", run.id])))
    found.append(("show this run in the terminal", shlex.join(["e2i", "show", run.id])))
    return tuple(found)


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """Yields the text in pieces, in order: (expression, comment, key or "", text)."""
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
    """Returns the value as ``-p`` reads it: text that YAML would read as another type is quoted."""
    if isinstance(value, str) and document.read_value(value, "-p") == (value, []):
        return value
    return json.dumps(value, ensure_ascii=False)

"""Locate errors of an action's own model at keys. In: an error of pydantic. Out: a problem, or the parameter."""

from __future__ import annotations

import re
from typing import Any

from e2i.spec import fixes, suggest
from e2i.spec.expansion.nodes import Path, StepNode
from e2i.spec.problems import Problem
from e2i.spec.wording import wording


def refused(node: StepNode, path: Path, parent: str, detail: Any) -> Problem:
    """Returns the problem of a key of the mapping ``parent`` that the action's own model does not accept."""
    if detail["type"] != "literal_error":
        return node.document.problem("bad-action-parameter", path, f"a key of {wording(detail, (parent,))}", key=True)
    names = fixes.choices(detail["ctx"]["expected"])
    message, hint = f'"{parent}" has no key "{path[-1]}"', suggest.hint(str(path[-1]), names, most=12)
    fix = fixes.renamed(path, names, node.document.value(path[:-1]) or ())
    return node.document.problem("unknown-action-parameter", path, message, hint, key=True, fixes=fix)


def named(detail: Any, given: Any) -> Path:
    """Returns the parameter that a message about several names first: its first word, or one between backquotes."""
    said = detail["msg"].removeprefix("Value error, ")
    names = [said.partition(" ")[0], *re.findall(r"`(\w+)`", said)]
    return next(((name,) for name in names if isinstance(given, dict) and name in given), ())

"""Find results that would be reused although the code that made them has changed since.

In: a plan, the time of each result. Out: hints for people who develop a tool. The version of an action says what its
results mean, and only that decides about reuse; in a source checkout, code often changes before its version does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from e2i.catalog.registry import BUILT_IN, Registry, tool_name
from e2i.planning.model import Plan, Verdict
from e2i.spec.suggest import few

INSTALLED = ("site-packages", "dist-packages")
"""Folders of installed packages. There a file's time is that of the installation."""


def hints(plan: Plan, made_ms: Callable[[str], int | None], registry: Registry = BUILT_IN) -> Iterator[str]:
    """Yields a hint for each tool whose source is newer than a result that the plan reuses.

    ``made_ms`` returns when the result of a fingerprint was made.
    """
    reused: dict[str, dict[str, str]] = {}
    for step in plan.steps:
        if step.verdict is Verdict.REUSE and step.fingerprint is not None:
            reused.setdefault(tool_name(step.uses), {})[step.id] = step.fingerprint
    for tool, results in reused.items():
        changed = _changed_ms(registry.module(tool))
        older = [step for step, result in results.items() if changed and (made_ms(result) or changed) < changed]
        if older:
            yield (
                f"the source of {tool} changed after the results of {few(older)} were made, but the versions of its "
                "actions did not: --fresh runs the steps again"
            )


def _changed_ms(package: str) -> int:
    """Returns the time of the latest change of a tool's modules; 0 for an installed package."""
    module = sys.modules.get(package)
    if module is None or module.__file__ is None:
        return 0
    folder = Path(module.__file__).parent
    if set(INSTALLED) & set(folder.parts):
        return 0
    with os.scandir(folder) as entries:
        return max(entry.stat().st_mtime_ns for entry in entries if entry.name.endswith(".py")) // 1_000_000

"""Loads the specs that the steps of a spec include, and reports their problems.

In: a loaded spec and a reader of files. Out: the same spec with its included specs, and problems. An included spec is a
spec of its own, named by ``uses: ./prepare.yaml``: a path relative to the file that names it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from e2i.spec import fixes, suggest
from e2i.spec.composer import Limits
from e2i.spec.load import LoadedSpec, load
from e2i.spec.models import PART
from e2i.spec.problems import Code, Problem
from e2i.spec.scalars import shorten

if TYPE_CHECKING:
    from e2i.spec.shape import Parameters

MAX_DEPTH = 16
"""Limit on the nesting of included specs."""

ReadIncluded = Callable[[str], str | bytes]
"""Returns the content of the file of a normalised name, such as ``specs/prepare.yaml``. Raises NoIncludedSpecError."""


class NoIncludedSpecError(Exception):
    """An included spec cannot be read."""

    def __init__(self, message: str, hint: str | None = None, *, name: str = "", known: Sequence[str] = ()) -> None:
        """``known`` are the files in the folder of the missing file ``name``."""
        super().__init__(message)
        self.hint = hint
        self.name = name
        self.known = known


def is_included(uses: str) -> bool:
    """Returns True when ``uses`` names a file instead of an action. The file may be invalid."""
    return uses.startswith((".", "/", "~")) or uses.endswith((".yaml", ".yml")) or "\\" in uses


def gather(
    loaded: LoadedSpec,
    file: str,
    read: ReadIncluded,
    limits: Limits | None = None,
    parameters: Parameters = lambda uses: (),
) -> tuple[LoadedSpec, list[Problem]]:
    """Returns the spec at ``file`` with its included specs, recursively. Each file is read once."""
    limits = limits or Limits()
    gathering = _Gathering(read, replace(limits, values=limits.values - loaded.document.size), parameters)
    return gathering.visit(loaded, (posixpath.normpath(file),)), gathering.problems


class _Gathering:
    def __init__(self, read: ReadIncluded, limits: Limits, parameters: Parameters) -> None:
        self.read = read
        self.parameters = parameters
        self.limits = limits
        """Values left of the limit, which counts all files together."""
        self.problems: list[Problem] = []
        self.known: dict[str, LoadedSpec | None] = {}

    def visit(self, loaded: LoadedSpec, trail: tuple[str, ...]) -> LoadedSpec:
        """Loads the included specs. ``trail`` are the files that led here, including this one."""
        included: dict[str, LoadedSpec | None] = {}
        for section, name, step in loaded.spec.every_step():
            if is_included(step.uses) and step.uses not in included:
                included[step.uses] = self.included_spec(loaded, (section, name, "uses"), step.uses, trail)
        return replace(loaded, included=included) if included else loaded

    def included_spec(
        self, loaded: LoadedSpec, path: tuple[str, ...], uses: str, trail: tuple[str, ...]
    ) -> LoadedSpec | None:
        file = posixpath.normpath(posixpath.join(posixpath.dirname(trail[-1]), uses))
        if report := self.report(uses, file, trail):
            code, message, hint, meant = report
            fix = fixes.replaced(path, meant) if meant else ()
            self.problems.append(loaded.document.problem(code, path, message, hint, fixes=fix))
            return None
        return self.known[file]

    def report(self, uses: str, file: str, trail: tuple[str, ...]) -> tuple[str, str, str | None, str | None] | None:
        """Returns why the file cannot be included: code, message, hint, the path meant. A valid one is in ``known``."""
        if not re.match(PART, uses):
            hint = "use the path of a .yaml file relative to this one, such as ./prepare.yaml"
            meant = f"./{uses}" if _lacks_start(uses) else None
            if meant:
                hint = f'write "./{shorten(uses)}"'
            return "bad-include", f'"{shorten(uses)}" is not the path of a spec', hint, meant
        if file in trail:
            circle = [*trail[trail.index(file) :], file]
            return "include-cycle", f"specs include each other: {' → '.join(circle)}", "remove one of these steps", None
        if len(trail) > MAX_DEPTH:
            return "bad-include", f"included specs are nested more than {MAX_DEPTH} levels deep", None, None
        if file not in self.known:
            self.known[file] = None
            try:
                content = self.read(file)
            except NoIncludedSpecError as error:
                near = suggest.certain(error.name, error.known)
                meant = uses.removesuffix(error.name) + near if near else None
                return "no-such-include", f"the spec cannot be included: {error}", error.hint, meant
            found, problems = load(content, file, self.limits, self.parameters)
            self.problems += problems
            size = found.document.size if found else 0
            self.limits = replace(self.limits, values=max(0, self.limits.values - size))
            self.known[file] = self.visit(found, (*trail, file)) if found else None
        return None


def _lacks_start(uses: str) -> bool:
    """Returns True when the path only lacks the ``./`` at its start."""
    return not uses.startswith(("/", ".", "~")) and bool(re.match(PART, f"./{uses}"))


CODES = (
    Code(
        "bad-include",
        "A spec that cannot be included",
        "`uses: ./part.yaml` includes a pipeline from the workspace, by its path relative to this file.",
        "Use the path of a .yaml file inside the workspace.",
        "steps:\n  a: {uses: ./part.txt}\n",
        "steps:\n  a: {uses: debug.echo}\n",
    ),
    Code(
        "no-such-include",
        "An included spec that does not exist",
        "There is no file at this path relative to the including file.",
        "Correct the path.",
        "steps:\n  a: {uses: ./nowhere.yaml}\n",
        "steps:\n  a: {uses: debug.echo}\n",
    ),
    Code(
        "include-cycle",
        "A pipeline that includes itself",
        "Included specs are inserted into the pipeline that includes them. In a cycle this would never end.",
        "Remove one of the includes.",
        example="a.yaml has a step with uses: ./b.yaml, and b.yaml one with uses: ./a.yaml",
    ),
)

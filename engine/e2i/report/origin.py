"""Prepare the origin of a run: commit, versions, machine, reused runs.

In: the document of a run. Out: its origin. Pure, except that it checks whether other runs have a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from e2i.report import links
from e2i.report.steps import Step
from e2i.report.values import short

PAGE = "report.html"
"""Name of a run's page in its folder."""


class Maker(Struct, frozen=True):
    """Another run whose results these steps reused. ``href``: its page, if there is one."""

    run: str
    href: str
    steps: tuple[Step, ...]


class Origin(Struct, frozen=True):
    """``facts``: name and text. ``changed``: tracked files that differ from the commit, and ``more`` without names."""

    facts: tuple[tuple[str, str], ...]
    changed: tuple[str, ...]
    more: int
    repository: str
    libraries: tuple[tuple[str, str], ...]
    makers: tuple[Maker, ...]


def of(run: Mapping[str, Any], steps: Sequence[Step], folder: Path | None) -> Origin:
    """Returns the origin for the page. ``folder``: where the page will be, ``runs/RUN`` or elsewhere."""
    provenance = run["provenance"] or {}
    git = provenance.get("git") or {}
    changed = tuple(git.get("changed") or ())
    return Origin(
        facts=tuple((name, text) for name, text in _facts(provenance, git) if text),
        changed=changed,
        more=max(git.get("changed_files", 0) - len(changed), 0),
        repository=git.get("remote") or "",
        libraries=tuple((provenance.get("libraries") or {}).items()),
        makers=tuple(_makers(run["run"], steps, folder)),
    )


def _facts(provenance: Mapping[str, Any], git: Mapping[str, Any]) -> list[tuple[str, str]]:
    commit = git.get("commit") or ""
    branch = f" of {git['branch']}" if git.get("branch") else ""
    seed, cores = provenance.get("seed"), provenance.get("cores")
    return [
        ("commit", f"{commit[:12]}{branch}" if commit else git.get("problem", "")),
        ("path of the spec", git.get("path") or ""),
        ("digest of the spec", short(provenance.get("spec") or "")),
        ("e2i", provenance.get("e2i", "")),
        ("Python", provenance.get("python", "")),
        ("seed", "" if seed is None else str(seed)),
        ("machine", provenance.get("host", "")),
        ("system", f"{provenance.get('system', '')}, {cores} cores" if cores else ""),
    ]


def _makers(run: str, steps: Sequence[Step], folder: Path | None) -> list[Maker]:
    made: dict[str, list[Step]] = {}
    for step in steps:
        if step.made_in not in (None, run) and step.status == "reused":
            made.setdefault(str(step.made_in), []).append(step)
    return [
        Maker(name, links.to_file(folder.parent / name / PAGE, folder) if folder else "", tuple(reused))
        for name, reused in sorted(made.items(), reverse=True)
    ]

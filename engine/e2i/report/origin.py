"""Prepare the origin of a run: commit, versions, machine, reused runs.

In: a past run. Out: its origin. Pure, except that it checks whether other runs have a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import UNSET, Struct

from e2i.report import links
from e2i.report.steps import Step
from e2i.report.values import short
from e2i.store.past import RecordedRun, RunOrigin

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


def of(run: RecordedRun, steps: Sequence[Step], folder: Path | None) -> Origin:
    """Returns the origin for the page. ``folder``: where the page will be, ``runs/RUN`` or elsewhere."""
    git = run.provenance.repository
    changed = git.changed or ()
    return Origin(
        facts=tuple((name, text) for name, text in _facts(run.provenance) if text),
        changed=changed,
        more=max((git.changed_files or 0) - len(changed), 0),
        repository=git.remote or "",
        libraries=tuple((run.provenance.libraries or {}).items()),
        makers=tuple(_makers(run.id, steps, folder)),
    )


def _facts(origin: RunOrigin) -> list[tuple[str, str]]:
    git = origin.repository
    branch = f" of {git.branch}" if git.branch else ""
    return [
        ("commit", f"{git.commit[:12]}{branch}" if git.commit else git.problem or ""),
        ("path of the spec", git.path or ""),
        ("digest of the spec", short(origin.spec or "")),
        ("e2i", origin.e2i or ""),
        ("Python", origin.python or ""),
        ("seed", "" if origin.seed is UNSET else str(origin.seed)),
        ("machine", origin.host or ""),
        ("system", f"{origin.system or ''}, {origin.cores} cores" if origin.cores else ""),
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

"""Write the HTML report of a run, as a whole or not at all.

In: a run of the run store. Out: the path of the page.
"""

from __future__ import annotations

from pathlib import Path

from e2i import regular
from e2i.errors import BadInput
from e2i.records import lookup
from e2i.report.page import build
from e2i.store import disk
from e2i.store.artifacts import ArtifactStore

PAGE = "report.html"


def write(store: Path, run: str, output: Path | None) -> Path:
    """Writes the page to ``output``, or else into the run's folder. Raises BadInput."""
    found = lookup.run(store, run)
    target = (output or store / "runs" / found.run.id / PAGE).absolute()
    artifacts = ArtifactStore(store)
    page = build(found, lambda artifact: artifacts.path(artifact.digest), target.parent)
    try:
        if output is None:
            disk.folder(store, "runs", found.run.id)
        regular.write(target, page.encode())
    except OSError as error:
        raise BadInput(
            f"cannot write the report to {target}: {error.strerror or error}",
            code="not-writable",
            hint="choose another file with -o FILE",
        ) from error
    return target

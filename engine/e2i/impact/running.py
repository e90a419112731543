"""Find what a change between two revisions breaks. In: ``BASE..HEAD`` and a workspace. Out: ``ImpactDocument``."""

from __future__ import annotations

from contextlib import ExitStack

from e2i.impact import revisions
from e2i.impact.comparing import compare
from e2i.impact.results import ImpactDocument
from e2i.impact.state import examine
from e2i.workspace.workspace import Workspace


def impact(text: str, workspace: Workspace, *, profile: str | None = None, origin: str | None = None) -> ImpactDocument:
    """Examines all specs and test files at both revisions, and compares. Runs no step, and writes nothing.

    Raises BadInput for a revision that does not exist.
    """
    base, head = revisions.parsed(text)
    with ExitStack() as stack:
        folders = [stack.enter_context(revisions.written(workspace, name)) for name in (base, head)]
        before = examine(folders[0], profile=profile, origin=origin)
        after = examine(folders[1], profile=profile, origin=origin, known=before.specs.keys())
        found = compare(before, after)
    effects = [one.effect for spec in found for one in spec.steps]
    effects += [one.effect for spec in found for one in spec.cases]
    return ImpactDocument(
        base=base,
        head=head,
        compared=len(before.specs.keys() & after.specs.keys()),
        breaks=effects.count("breaks"),
        specs=found,
    )

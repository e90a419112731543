"""The commands that say what a change does."""

from __future__ import annotations

from pathlib import Path

import click

from e2i.cli import documents
from e2i.cli.commands import flags
from e2i.cli.exits import guarded
from e2i.errors import Exit


@click.command(cls=flags.Inert)
@click.argument("revisions", metavar="BASE..HEAD")
@flags.profile
@flags.origin
@flags.store
@flags.json
@guarded
def impact(revisions: str, profile: str | None, origin: str | None, store: Path | None, as_json: bool) -> Exit:
    """Show what a change of columns breaks.

    Names the steps and test cases that a change of columns or types between two git revisions affects. All specs and
    test files are examined at both revisions. Nothing runs. The exit code is 1 when something breaks.
    """
    from e2i import api
    from e2i.cli import impact_view
    from e2i.impact import running

    workspace = api.Workspace.open(store=store, profile=profile, origin=origin)
    found = running.impact(revisions, workspace, profile=profile, origin=origin)
    documents.show(found) if as_json else impact_view.show(found)
    return Exit.STEP_FAILED if found.breaks else Exit.DONE

"""Add a step to the file of a spec.

In: a spec, the id of a step, an action. Out: a diff, or the changed file, and what is left to fill in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import click
from msgspec import Meta
from msgspec.structs import asdict

from e2i import api
from e2i.cli import fix_command, problems_view
from e2i.errors import BadInput
from e2i.scaffold import adding
from e2i.scaffold.adding import Added, AddedDocument

TESTS = (".test.yaml", ".test.yml")


class AddDocument(AddedDocument, frozen=True, kw_only=True):
    """Output of `e2i add STEP --json`."""

    written: Annotated[bool, Meta(description="Whether the file was changed.")]
    diff: Annotated[str, Meta(description="The change, as a unified diff.")]


def add(spec: str, step: str, uses: str, workspace: api.Workspace, *, write: bool, as_json: bool) -> AddDocument:
    """Adds the step, writes the file if asked to, and prints what was done. Returns the ``--json`` document."""
    path = Path(spec)
    added = adding.add(spec, step, uses, workspace)
    diff = fix_command.diff(spec, path, added.text)
    if write:
        fix_command.replace(path, added.text.removeprefix("\ufeff"))
    if not as_json:
        _show(spec, added, diff, written=write)
    return AddDocument(**asdict(added.document), written=write, diff=diff)


def only_spec(given: str | None) -> str:
    """Returns the spec that was named, or else the only one in ``specs`` or here. Raises BadInput."""
    if given is not None:
        return given
    for folder in (Path("specs"), Path()):
        found = [path for path in sorted(folder.glob("*.yaml")) if not path.name.endswith(TESTS)]
        if len(found) == 1:
            return str(found[0])
        if found:
            listed = ", ".join(map(str, found[:8]))
            raise BadInput("name the spec that the step is for", code="bad-option", hint=f"specs here: {listed}")
    raise BadInput("there is no spec here", code="no-such-spec", hint="name its file; `e2i init` makes one")


def _show(spec: str, added: Added, diff: str, *, written: bool) -> None:
    if written:
        click.echo(f'{problems_view.safe(spec)}: step "{added.step}" added')
    else:
        click.echo(problems_view.safe(diff), nl=False)
    width = max((len(field.name) for field in added.left), default=0)
    if added.left:
        click.echo("left to fill in", err=True)
    for field in added.left:
        click.echo(f"  {field.name.ljust(width)}  {field.type}: {field.description}", err=True)
    missing = {f"/steps/{added.step}/with/{field.name}" for field in added.left}
    problems_view.show([one for one in added.problems if one.path not in missing], {spec: added.text})
    if not written:
        click.echo("nothing written: --dry-run", err=True)

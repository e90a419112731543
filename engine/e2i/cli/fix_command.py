"""Apply all safe fixes to a spec and its included specs.

In: a spec with problems. Out: a diff, or the changed files.
"""

from __future__ import annotations

import difflib
import os
import tempfile
from pathlib import Path
from typing import Annotated

import click
from msgspec import Meta
from msgspec.structs import asdict

from e2i import api, regular
from e2i.check.fixing import Fixed, FixedDocument
from e2i.cli import problems_view
from e2i.errors import BadInput, Exit

BOM = b"\xef\xbb\xbf"


class FixDocument(FixedDocument, frozen=True, kw_only=True):
    """Output of `e2i fix SPEC --json`."""

    written: Annotated[bool, Meta(description="Whether files were changed.")]
    diff: Annotated[str, Meta(description="The changes of all files, as a unified diff.")]


def fix(spec: str, workspace: api.Workspace, *, write: bool, as_json: bool) -> tuple[Exit, FixDocument]:
    """Fixes the spec, writes the files if asked to, and prints what was done. Also returns the ``--json`` document."""
    fixed = api.fix(spec, workspace=workspace)
    changed = [(spec, Path(spec), fixed.text)] if fixed.applied else []
    changed += [(name, _own(workspace, name), text) for name, text in sorted(fixed.included.items())]
    diffs = [diff(*file) for file in changed]
    if write:
        for (_, path, text), changes in zip(changed, diffs, strict=True):
            if changes:
                replace(path, text)
    every = "".join(diffs)
    if not as_json:
        _show(spec, fixed, every, written=write)
    document = FixDocument(**asdict(fixed.document), written=write and bool(fixed.applied), diff=every)
    return api.Validation(fixed.remaining).exit_code, document


def _show(spec: str, fixed: Fixed, diff: str, *, written: bool) -> None:
    if not written:
        click.echo(problems_view.safe(diff), nl=False)
    for problem in fixed.applied[: problems_view.MOST]:
        click.echo(f"{click.style('fixed', fg='green')} {problems_view.safe(str(problem))}", err=True)
    if len(fixed.applied) > problems_view.MOST:
        click.echo(f"… and {len(fixed.applied) - problems_view.MOST} more fixed (--json lists them)", err=True)
    problems_view.show(fixed.remaining, {spec: fixed.text, **fixed.included})
    if not fixed.applied:
        note = "nothing to fix" if fixed.valid else "no automatic fix available"
        click.echo(note, err=True)
    elif not written:
        click.echo("nothing written; use --write to apply the fixes", err=True)


def _own(workspace: api.Workspace, included_spec: str) -> Path:
    """Returns the path of an included spec. Raises BadInput when the file has moved since it was fixed."""
    path = workspace.files.own(included_spec)
    if path is None:
        raise BadInput(f"the included spec {included_spec} is no longer a file in the workspace", code="cannot-write")
    return path


def diff(name: str, path: Path, text: str) -> str:
    """Returns a unified diff, as ``patch`` reads it, from the file to the fixed text."""
    before = regular.read(path, regular.SPEC).removeprefix(BOM).decode("utf-8", "replace")
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), text.splitlines(keepends=True), f"a/{name}", f"b/{name}"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def replace(path: Path, text: str) -> None:
    """Writes a temporary file and moves it over the spec, so that there is never half a spec. Raises BadInput."""
    path = path.resolve()
    try:
        mark = BOM if regular.read(path, regular.SPEC).startswith(BOM) else b""
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
            file.write(mark + text.encode())
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).chmod(path.stat().st_mode & 0o7777)
        os.replace(file.name, path)  # noqa: PTH105 - the name is explicit: an atomic replacement
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror}", code="cannot-write") from error

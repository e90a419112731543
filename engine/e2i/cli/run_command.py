"""Run a spec with progress and a summary, for people on a terminal or as JSON lines for programs.

In: a spec and options. Out: printed text and an exit code.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from functools import partial
from pathlib import Path

import click

from e2i import api, route
from e2i.cli.attempts import Attempts, Shown
from e2i.cli.problems_view import safe
from e2i.documents import ParamValues
from e2i.errors import BadInput, Exit
from e2i.execution.record import RunRecord
from e2i.planning.model import PlanDocument
from e2i.store.past import RecordedRun
from e2i.workspace import project


def run(
    spec: str,
    workspace: api.Workspace,
    params: ParamValues,
    *,
    select: Collection[str],
    fresh: bool,
    bound_to: PlanDocument | None,
    wait: bool,
    shown: Shown,
) -> Exit:
    """Runs the spec and prints its progress. ``e2i.cli.signals`` describes the effect of signals."""
    _show_workspace(workspace)
    with Attempts(workspace, shown) as attempts:
        begin = partial(api.run, spec, params, select=select, fresh=fresh, bound_to=bound_to, wait=wait)
        record = attempts.execute(begin)
    return _show(record, workspace, attempts.exit_code(record), as_json=shown.as_json)


def resume(run: str, spec: str | None, workspace: api.Workspace, shown: Shown, *, wait: bool) -> Exit:
    """Resumes a recorded run as it was started. A changed ``spec`` is reported and not used."""
    from e2i.records import lookup

    _show_workspace(workspace)
    run = lookup.id_of(workspace.store, run)
    past = api.recorded(run, workspace)
    if spec is not None and (changed := _changed(spec, past, workspace)):
        click.echo(f"resuming run {run} with its recorded spec; changed since: {', '.join(changed)}", err=True)
    if past.profile != workspace.settings.profile:
        click.echo(f"resuming with profile {past.profile}", err=True)
        workspace = api.workspace_of(past, workspace)
    with Attempts(workspace, shown) as attempts:
        record = attempts.execute(partial(api.resume, run, wait=wait))
    return _show(record, workspace, attempts.exit_code(record), as_json=shown.as_json)


def _show_workspace(workspace: api.Workspace) -> None:
    """Prints the workspace when it is not the current directory: it decides settings, policy and store."""
    if workspace.root != Path.cwd():
        click.echo(f"workspace {safe(str(workspace.root))}", err=True)


def _show(record: RunRecord, workspace: api.Workspace, code: Exit, *, as_json: bool) -> Exit:
    """Prints the summary for people. Returns the exit code."""
    if not as_json:
        from e2i.cli import summary_view

        summary_view.show(record, *_options(workspace))
    return code


def _options(workspace: api.Workspace) -> tuple[str, str]:
    """Returns the options with which other commands find this store, and these settings; empty for the defaults."""
    here = project.root_of(None, Path.cwd(), workspace.origin)
    default = os.environ.get("E2I_STORE") or here / ".e2i"
    import shlex

    store = "" if workspace.store == Path(default).resolve() else f" --store {shlex.quote(str(workspace.store))}"
    profile = workspace.settings.profile
    return store, "" if profile == "default" else f" --profile {profile}"


def _changed(spec: str, past: RecordedRun, workspace: api.Workspace) -> list[str]:
    """Returns the files of the spec and its included specs that differ from what the run recorded."""
    source = api.Source.recorded(past)
    found = []
    try:
        if route.read(spec, workspace).text != source.text:
            found.append(spec)
    except BadInput:
        found.append(spec)
    for name, text in (source.included or {}).items():
        try:
            opened = workspace.files.open(name)
        except OSError:
            opened = None
        if opened is None:
            found.append(name)
            continue
        with opened:
            if opened.read().decode("utf-8", "replace").removeprefix("\ufeff") != text:
                found.append(name)
    return found

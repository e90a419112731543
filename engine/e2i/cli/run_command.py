"""Run a spec with progress and a summary, for people on a terminal or as JSON lines for programs.

In: a spec and options. Out: printed text and an exit code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from functools import partial
from pathlib import Path

import click

from e2i import api, route, startup
from e2i.cli import destinations
from e2i.cli.problems_view import safe
from e2i.cli.progress import JsonLines, Lines, Reporter
from e2i.cli.signals import Signals
from e2i.documents import Values
from e2i.errors import BadInput, Exit
from e2i.execution.engine import Engine
from e2i.execution.record import RunRecord
from e2i.planning.model import PlanDocument
from e2i.store.past import RecordedRun
from e2i.workspace import project


def run(
    spec: str,
    workspace: api.Workspace,
    params: Values,
    *,
    select: Collection[str],
    fresh: bool,
    bound_to: PlanDocument | None,
    strict: bool,
    as_json: bool,
) -> Exit:
    """Runs the spec and prints its progress. ``e2i.cli.signals`` describes the effect of signals."""
    _show_destinations(workspace)
    with _reporter(as_json) as reporter:
        signals = Signals(reporter)
        record = api.run(
            spec,
            params,
            select=select,
            fresh=fresh,
            bound_to=bound_to,
            listen=reporter.emit,
            on_engine=partial(_begin, signals),
            workspace=workspace,
        )
    return _show(record, workspace, signals, as_json, strict)


def resume(run: str, spec: str | None, workspace: api.Workspace, *, strict: bool, as_json: bool) -> Exit:
    """Resumes a recorded run as it was started. A changed ``spec`` is reported and not used."""
    from e2i.records import lookup

    _show_destinations(workspace)
    run = lookup.id_of(workspace.store, run)
    past = api.recorded(run, workspace)
    if spec is not None and (changed := _changed(spec, past, workspace)):
        click.echo(f"resuming run {run} with its recorded spec; changed since: {', '.join(changed)}", err=True)
    if past.profile != workspace.settings.profile:
        click.echo(f"resuming with profile {past.profile}", err=True)
    with _reporter(as_json) as reporter:
        signals = Signals(reporter)
        record = api.resume(run, listen=reporter.emit, on_engine=partial(_begin, signals), workspace=workspace)
    return _show(record, workspace, signals, as_json, strict)


def _show_destinations(workspace: api.Workspace) -> None:
    """Prints where the tools are; and the workspace, which decides settings, policy and store, if it is not here."""
    if workspace.root != Path.cwd():
        click.echo(f"workspace {safe(str(workspace.root))}", err=True)
    click.echo(click.style(safe(destinations.line(workspace)), dim=True), err=True)


def _begin(signals: Signals, engine: Engine) -> None:
    """Prepares for execution: the spec is checked and planned."""
    signals.attach(engine)
    startup.settle()


def _show(record: RunRecord, workspace: api.Workspace, signals: Signals, as_json: bool, strict: bool) -> Exit:
    """Prints the summary for people. Returns the exit code; with ``strict``, deferred work counts as an outage."""
    if not as_json:
        from e2i.cli import summary_view

        summary_view.show(record, _options(workspace))
    match record.status:
        case "succeeded":
            return Exit.UNAVAILABLE if strict and record.degraded else Exit.DONE
        case "failed":
            return Exit.REFUSED if record.refused else Exit.STEP_FAILED
        case _:
            return signals.exit_code


def _options(workspace: api.Workspace) -> str:
    """Returns the options with which other commands find this store and these settings; none for the defaults."""
    here = project.root_of(None, Path.cwd(), workspace.origin)
    default = os.environ.get("E2I_STORE") or here / ".e2i"
    import shlex

    store = "" if workspace.store == Path(default).resolve() else f" --store {shlex.quote(str(workspace.store))}"
    profile = workspace.settings.profile
    return store + ("" if profile == "default" else f" --profile {profile}")


def _reporter(as_json: bool) -> Reporter:
    if as_json:
        return JsonLines()
    if not sys.stderr.isatty():
        return Lines()
    from e2i.cli.screen import Screen  # importing Rich takes as long as a run of a thousand finished steps

    return Screen()


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

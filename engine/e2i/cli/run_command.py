"""A spec and options go in; the run's progress and its summary come out: for people on a terminal, for programs as
JSON lines.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from e2i import api, settings
from e2i.cli import streams, summary_view
from e2i.cli.progress import JsonLines, Lines, Reporter, Screen
from e2i.errors import BadInput, Exit
from e2i.execution.engine import Engine
from e2i.execution.journal import FILE, Reader


def run(
    spec: str,
    workspace: api.Workspace,
    params: Mapping[str, Any],
    *,
    select: Collection[str],
    fresh: bool,
    bound_to: Mapping[str, Any] | None,
    resume: str | None,
    as_json: bool,
) -> Exit:
    """Runs the spec and says what is going on. Ctrl-C once lets what runs finish, twice ends it at once."""
    content: api.Spec = spec
    if resume is not None:
        past = _past_run(workspace, resume)
        if params:
            raise BadInput("--resume takes the parameters of that run: give no -p", code="bad-option")
        content, params = past["spec"] if "\n" in past["spec"] else spec, past["params"]
        workspace = replace(workspace, settings=_settings_of(past, workspace))
    reporter = _reporter(as_json)
    with reporter:
        record = api.run(
            content,
            params,
            select=select,
            fresh=fresh,
            bound_to=bound_to,
            run_id=resume,
            listen=reporter.tell,
            on_engine=_handle_signals,
            workspace=workspace,
        )
    if not as_json:
        try:
            summary_view.show(record, _options(workspace))
        except BrokenPipeError:
            streams.mute(sys.stdout)
    match record.status:
        case "succeeded":
            return Exit.DONE
        case "failed":
            return Exit.REFUSED if record.refused else Exit.STEP_FAILED
        case _:
            return Exit.INTERRUPTED


def _options(workspace: api.Workspace) -> str:
    """The options by which other commands find this store and these settings; none where the defaults do."""
    default = os.environ.get("E2I_STORE") or workspace.root / ".e2i"
    store = "" if workspace.store == Path(default).resolve() else f" --store {shlex.quote(str(workspace.store))}"
    profile = workspace.settings.profile
    return store + ("" if profile == "default" else f" --profile {profile}")


def _reporter(as_json: bool) -> Reporter:
    if as_json:
        return JsonLines()
    return Screen() if sys.stderr.isatty() else Lines()


def _handle_signals(engine: Engine) -> None:
    def stop(number: int, frame: object) -> None:
        engine.stop()
        if number != signal.SIGINT:
            engine.stop()  # SIGTERM and SIGHUP leave no time to let steps finish

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def _past_run(workspace: api.Workspace, run: str) -> dict[str, Any]:
    if not (workspace.store / FILE).exists():
        raise BadInput(f"there are no runs in the store {workspace.store}", code="unknown-run")
    with Reader(workspace.store, lambda digest: True) as reader:
        found = reader.run(run)
    if found is None:
        raise BadInput(f"there is no run {run!r} in the store", code="unknown-run", hint="`e2i runs` lists them")
    return found


def _settings_of(past: Mapping[str, Any], workspace: api.Workspace) -> settings.Settings:
    """The settings of the profile that the run was started with."""
    if past["profile"] == workspace.settings.profile:
        return workspace.settings
    click.echo(f"resuming with profile {past['profile']}", err=True)
    return settings.load(workspace.root / "config", past["profile"], os.environ)

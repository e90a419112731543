"""Write the metrics file of a store outside of a run, for people and timers. In: a workspace. Out: the file."""

from __future__ import annotations

import sys

import click

from e2i.api import Workspace
from e2i.cli.problems_view import safe
from e2i.errors import BadInput
from e2i.operations import metrics

MEASURING = 600.0
"""Seconds in which the size of the store is measured: the user has asked for it."""


def write(workspace: Workspace) -> None:
    """Writes the metrics file. Raises BadInput when the settings name none, or it cannot be written."""
    path = metrics.path_of(workspace)
    if path is None:
        raise BadInput(
            f"the settings name no metrics file (profile {workspace.settings.profile})",
            code="bad-option",
            hint="set `metrics_file: PATH` in config/",
        )
    try:
        metrics.write(workspace, path, seconds=MEASURING)
    except OSError as error:
        raise BadInput(
            f"cannot write {path}: {error.strerror or error}", code="not-writable", hint="choose another metrics_file"
        ) from error


def refresh(workspace: Workspace) -> None:
    """Writes the metrics file after a command that changes what it says. A failure is reported and changes nothing."""
    path = metrics.path_of(workspace)
    if path is None:
        return
    try:
        metrics.write(workspace, path)
    except OSError as error:
        click.echo(safe(f"metrics_file: cannot write {path}: {error.strerror or error}"), file=sys.stderr)

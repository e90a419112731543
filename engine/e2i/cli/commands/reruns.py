"""The commands that run recorded runs again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from e2i.cli import documents
from e2i.cli.commands import flags
from e2i.cli.exits import guarded
from e2i.errors import Exit

if TYPE_CHECKING:
    from e2i.reruns.explaining import Budget


@click.command(cls=flags.Inert)
@click.argument("run")
@click.option("--times", type=click.IntRange(1, 20), default=1, show_default=True, help="Number of repetitions.")
@flags.profile
@flags.store
@flags.json
@guarded
def verify(run: str, times: int, profile: str | None, store: Path | None, as_json: bool) -> Exit:
    """Find steps that are not deterministic.

    Runs each step of RUN again on the inputs that it had, with another hash seed, number of threads, order and
    environment, in a throw-away store, and names the first step whose result differs. Steps with effects outside are
    not executed. The exit code is 1 when a step differs or fails, and 4 when no step could be compared.
    """
    os.umask(0o077)  # as for a run
    from e2i import api
    from e2i.cli import verification_view
    from e2i.reruns import verifying

    workspace = api.Workspace.open(store=store, profile=profile)
    found = verifying.verify(run, workspace, times=times, listen=verification_view.progress(as_json=as_json))
    documents.show(found) if as_json else verification_view.show(found)
    if found.first is not None:
        return Exit.STEP_FAILED
    return Exit.DONE if found.verified else Exit.UNAVAILABLE


@click.command(cls=flags.Inert)
@click.argument("before", metavar="RUN_A")
@click.argument("after", metavar="RUN_B")
@click.option("--metric", metavar="STEP.METRIC", help="The number to explain. Default: the first output that changed.")
@click.option("--dry-run", is_flag=True, help="Only say what has changed, and how many re-runs it would take.")
@flags.profile
@flags.store
@flags.json
@guarded
def why(
    before: str, after: str, metric: str | None, dry_run: bool, profile: str | None, store: Path | None, as_json: bool
) -> Exit:
    """Divide the change of a metric among its causes.

    Names the share of data, code, parameters and seed, which sum to the change from RUN_A to RUN_B. Mixes of both runs
    are evaluated in a throw-away store; steps with a result are not executed, and those with effects outside never.
    """
    os.umask(0o077)  # as for a run
    from e2i import api
    from e2i.cli import explanation_view
    from e2i.reruns import explaining

    def say(budget: Budget) -> bool:
        explanation_view.say(budget)
        return not dry_run

    workspace = api.Workspace.open(store=store, profile=profile)
    found = explaining.explain(before, after, workspace, metric=metric, say=say)
    documents.show(found) if as_json else explanation_view.show(found)
    return Exit.DONE

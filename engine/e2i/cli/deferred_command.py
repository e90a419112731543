"""Execute the deferred steps of earlier runs whose tool is back, for ``e2i sync``.

In: a workspace. Out: what became of each such run. Runs of other profiles are named, not executed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import click
from msgspec import Meta

from e2i import api
from e2i.api import Workspace
from e2i.cli.problems_view import safe
from e2i.cli.progress import Lines
from e2i.cli.signals import Signals
from e2i.cli.wording import counted
from e2i.documents import Element
from e2i.errors import E2IError, Exit, InvalidSpec
from e2i.execution import reaching
from e2i.execution.record import FinalStatus, RunRecord, RunStatus
from e2i.execution.state import Status
from e2i.store.database import FILE
from e2i.store.deferred import Deferred
from e2i.store.history import Reader

ENDED = {"failed": "failed in another step; correct the cause, then", "interrupted": "was interrupted"}


class CompletedRun(Element, frozen=True, kw_only=True):
    """A run with deferred steps, and what became of them."""

    run: str
    name: Annotated[str, Meta(description="Name of the pipeline.")]
    profile: str
    status: Annotated[RunStatus | None, Meta(description="None: it was not resumed; `problem` is the reason.")]
    steps: Annotated[dict[str, FinalStatus], Meta(description="The steps that were executed, or deferred again.")]
    problem: str | None

    @property
    def exit_code(self) -> Exit:
        if self.status == "failed":
            return Exit.STEP_FAILED
        waits = self.status is None or Status.DEFERRED in self.steps.values()
        return Exit.UNAVAILABLE if waits else Exit.DONE


def complete(workspace: Workspace, *, quiet: bool) -> tuple[list[CompletedRun], list[RunRecord]]:
    """Resumes the runs with deferred steps, oldest first. A tool that is down is asked once for all of them.

    Progress is printed on standard error, unless ``quiet``.
    """
    if not (workspace.store / FILE).exists():
        return [], []
    with Reader(workspace.store, lambda digest: True) as reader:
        found = reader.deferred()
    down: dict[str, str] = {}
    completed, records = [], []
    for deferred in found:
        record, problem = _complete(deferred, workspace, down, quiet)
        completed.append(_completed(deferred, record, problem))
        if record is not None:
            records.append(record)
    return completed, records


def show(completed: list[CompletedRun]) -> None:
    """Prints what became of each run."""
    for run in completed:
        ended = ", ".join(f"{step} {status}" for step, status in run.steps.items())
        text = f"not resumed: {safe(run.problem)}" if run.problem else f"resumed, {run.status}: {safe(ended)}"
        click.echo(f"run {safe(run.run)} of {safe(run.name)}: {text}")


def _complete(
    deferred: Deferred, workspace: Workspace, down: dict[str, str], quiet: bool
) -> tuple[RunRecord | None, str | None]:
    """Returns the record of the resumed run, or why it was not resumed."""
    if deferred.profile != workspace.settings.profile:
        return None, f"it belongs to another profile: e2i sync --profile {deferred.profile}"
    if deferred.status != "succeeded":
        return None, (
            f"{counted(deferred.steps, 'step')} deferred in a run that {ENDED[deferred.status]}:"
            f" e2i run --resume {deferred.run}"
        )
    try:
        for tool in _tools(deferred, workspace):
            if tool not in down:
                down[tool] = _problem(tool, workspace)
            if down[tool]:
                return None, down[tool]
        lines = Lines()
        with lines:
            signals = Signals(lines)
            listen = None if quiet else lines.emit
            return api.complete(deferred.run, listen=listen, on_engine=signals.attach, workspace=workspace), None
    except InvalidSpec as error:
        return None, f"its spec is not valid any more: {error.problems[0].message}"
    except E2IError as error:
        return None, f"{error.message}; {error.hint}" if error.hint else error.message


def _tools(deferred: Deferred, workspace: Workspace) -> Iterator[str]:
    past = api.recorded(deferred.run, workspace)
    yield from dict.fromkeys(step.uses.partition(".")[0] for step in past.steps if step.status == "deferred")


def _problem(tool: str, workspace: Workspace) -> str:
    """Returns why the tool cannot be used; empty when it can."""
    try:
        reaching.try_at_once(tool, workspace.settings, workspace.store)
    except E2IError as error:
        return error.message
    return ""


def _completed(deferred: Deferred, record: RunRecord | None, problem: str | None) -> CompletedRun:
    steps = record.steps.values() if record else ()
    return CompletedRun(
        run=deferred.run,
        name=deferred.pipeline,
        profile=deferred.profile,
        status=record.status if record else None,
        steps={step.id: step.status for step in steps if step.attempts or step.status is Status.DEFERRED},
        problem=problem,
    )

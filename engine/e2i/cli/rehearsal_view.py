"""Rehearse a spec with progress and a summary, for people on a terminal or as one JSON document.

In: a spec and the wanted sample. Out: printed text and an exit code.
"""

from __future__ import annotations

from collections import Counter

import click

from e2i import api
from e2i.cli import documents, problems_view
from e2i.cli.attempts import reporter
from e2i.cli.problems_view import safe
from e2i.cli.progress import Reporter
from e2i.cli.signals import Signals
from e2i.documents import ParamValues
from e2i.errors import Exit
from e2i.execution.engine import Engine
from e2i.execution.events import Event, RunStarted
from e2i.execution.outcome import exit_code
from e2i.rehearsal import running
from e2i.rehearsal.results import NotExercised, RehearsalDocument, SampledTable
from e2i.rehearsal.running import Rehearsed
from e2i.rehearsal.sampling import Wanted

HEADINGS = {
    "skipped": "skipped",
    "not-executed": "not executed",
    "cut": "cut",
    "held-back": "held back",
    "stand-in": "stand-in",
    "branch": "branch",
}
COLOURS = {"succeeded": "green", "failed": "red", "interrupted": "yellow"}


def rehearse(
    spec: str, params: ParamValues, wanted: Wanted, workspace: api.Workspace, *, empty: bool, as_json: bool
) -> Exit:
    """Rehearses a spec and prints what it came to. Signals act as on a run."""
    shown = None if as_json else reporter(as_json=False)
    if shown is None:
        signals = Signals(_Silent())
        found = _run(spec, params, wanted, workspace, signals, None, empty=empty)
        documents.show(found.document)
    else:
        with shown:
            signals = Signals(shown)
            found = _run(spec, params, wanted, workspace, signals, shown, empty=empty)
        show(found)
    code = exit_code(found.record.status, found.record.ends, degraded=False, interrupted=signals.exit_code)
    if not found.failures:
        return code if found.record.status == "interrupted" else Exit.DONE
    return code if found.record.status == "failed" else Exit.STEP_FAILED


def _run(
    spec: str,
    params: ParamValues,
    wanted: Wanted,
    workspace: api.Workspace,
    signals: Signals,
    shown: Reporter | None,
    *,
    empty: bool,
) -> Rehearsed:
    def begin(engine: Engine) -> None:
        if shown is not None:
            how = "without rows" if empty else f"on up to {wanted.rows:,} rows of each source"
            click.echo(click.style(f"rehearsal {how}, in a throw-away store", dim=True), err=True)
        signals.attach(engine)

    def listen(event: Event) -> None:
        if shown is not None and not isinstance(event, RunStarted):
            shown.emit(event)

    return running.rehearse(spec, params, wanted, workspace, empty=empty, listen=listen, on_engine=begin)


def show(found: Rehearsed) -> None:
    """Prints the summary on standard output."""
    document = found.document
    counts = Counter(step.status.value for step in document.steps.values())
    listed = ", ".join(f"{count} {status}" for status, count in counts.items())
    status = click.style(document.status, fg=COLOURS[document.status], bold=True)
    click.echo(f"\nrehearsal of {document.name}: {status} in {document.seconds:.1f} s ({listed})")
    if document.sample:
        click.echo("\nsample")
        for one in document.sample:
            click.echo(f"  {_sampled(one)}")
    if found.failures:
        click.echo(click.style("\nfailures", fg="red"))
        for problem in found.failures:
            click.echo(problems_view.render(problem))
    _show_not_exercised(document)


def _sampled(one: SampledTable) -> str:
    rows = f"{one.rows:,} rows" if one.of is None else f"{one.rows:,} of {one.of:,} rows"
    return f"{click.style(f'{one.step}.{one.output}', bold=True)}: {rows} ({safe(one.how)})"


def _show_not_exercised(document: RehearsalDocument) -> None:
    if not document.not_exercised:
        return
    click.echo(click.style("\nnot exercised", fg="yellow"))
    width = max(len(HEADINGS[one.kind]) for one in document.not_exercised)
    for kind in HEADINGS:
        for one in document.not_exercised:
            if one.kind == kind:
                click.echo(f"  {HEADINGS[kind].ljust(width)}  {_described(one)}")


def _described(one: NotExercised) -> str:
    step = f"{click.style(one.step, bold=True)}: " if one.step else ""
    return f"{step}{safe(one.detail)}"


class _Silent:
    """Shows nothing."""

    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *error: object) -> None: ...

    def emit(self, event: Event) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

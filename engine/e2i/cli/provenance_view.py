"""Show where a result came from, as a tree: back to files, commits and machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click

from e2i.cli.problems_view import safe
from e2i.cli.run_view import origin_of
from e2i.cli.runs_view import moment
from e2i.cli.summary_view import brief
from e2i.records import lineage
from e2i.records.lineage import Output, Step
from e2i.records.provenance import Provenance
from e2i.store.past import RecordedRun


def show(found: Provenance) -> None:
    """Prints the tree with every step once, then the runs that executed these steps."""
    for output in found.outputs:
        click.echo(f"{click.style(safe(output.address), bold=True)}: {safe(brief(output.value, 140))}")
    steps = {step.id: step for step in found.steps}
    for line in _tree(found.step, steps, set(), "  "):
        click.echo(line)
    for name, run in found.makers.items():
        click.echo()
        for line in _run(name, run):
            click.echo(line)


def _tree(step: Step, steps: Mapping[str, Step], seen: set[str], indent: str) -> Iterator[str]:
    version = f" v{step.version}" if step.components else ""
    head = f"{indent}{click.style('by', dim=True)} {click.style(safe(step.id), bold=True)} ({step.uses}{version})"
    if step.id in seen:
        yield f"{head}, see above"
        return
    seen.add(step.id)
    yield f"{head}, run {step.made_in}"
    nested = indent + "   "
    if not step.components:
        yield f"{nested}its result was removed: its inputs are not known"
    names = {output.digest: output.address for output in step.reads if output.digest}
    for name, value in lineage.addressed(step.parameters, names).items():
        yield f"{nested}{click.style('with', dim=True)} {safe(name)}: {safe(brief(value, 100))}"
    if step.libraries:
        text = ", ".join(f"{name} {version}" for name, version in step.libraries.items())
        yield f"{nested}{click.style('using', dim=True)} {safe(text)}, seed {step.seed}"
    for file in step.files:
        yield f"{nested}{click.style('from', dim=True)} file {safe(file.path)}  {file.digest or 'missing'}"
    read: dict[str, list[Output]] = {}
    for output in step.reads:
        read.setdefault(output.step, []).append(output)
    for name in step.row.needs:
        for output in read.get(name, ()):
            text = f"{output.type} {(output.digest or '')[7:19]}" if output.digest else brief(output.value, 60)
            yield f"{nested}{click.style('from', dim=True)} {safe(output.address)}: {safe(text)}"
        if name not in steps:  # the walk did not reach this step
            continue
        if name not in read:
            yield f"{nested}{click.style('after', dim=True)} {safe(name)}"
        yield from _tree(steps[name], steps, seen, nested + "   ")


def _run(name: str, run: RecordedRun | None) -> Iterator[str]:
    if run is None:
        yield f"run {name}: no longer in the store"
        return
    called = click.style(name, bold=True)
    yield f"run {called} of {safe(run.pipeline)} ({safe(run.file)}), {moment(run.started_ms)}"
    if run.params:
        yield "   params: " + safe(", ".join(f"{name}={value}" for name, value in run.params.items()))
    if origin := origin_of(run.provenance):
        yield f"   {safe(origin)}"
    if changed := run.provenance.repository.changed:
        yield f"   changed since the commit: {safe(', '.join(changed))}"
    if digest := run.provenance.spec:
        yield f"   spec {digest}"

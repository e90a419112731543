"""Show the summary of a run for people: status, results, and the paths of everything."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator
from typing import Any

import click

from e2i.catalog.artifacts import ARTIFACTS
from e2i.cli.problems_view import safe
from e2i.cli.wording import counted
from e2i.documents import OutputValues
from e2i.execution.record import RunRecord
from e2i.execution.state import Status
from e2i.records import one_row
from e2i.store.artifacts import ArtifactStore

COLOURS = {"succeeded": "green", "failed": "red", "interrupted": "yellow"}


def show(record: RunRecord, store: str = "", profile: str = "") -> None:
    """Prints the summary on standard output. ``store`` and ``profile`` are options that are added to its commands, so
    that they find this store; ``profile`` only to those that have it.
    """
    counts = Counter(step.status.value for step in record.steps.values())
    shown = ", ".join(f"{count} {status}" for status, count in counts.items())
    status = click.style(record.status, fg=COLOURS[record.status], bold=True)
    degraded = click.style(", degraded", fg="yellow") if record.degraded else ""
    click.echo(f"\n{record.pipeline}: {status}{degraded} in {record.seconds:.1f} s ({shown})")
    if record.outputs:
        click.echo("\noutputs")
        files = ArtifactStore(record.store)
        for name, output in record.outputs.items():
            value = one_row.of(output, lambda table: files.path(table.digest)) or output
            if lines := list(_lines(value)):
                click.echo(f"  {click.style(name, bold=True)}")
                for line in lines:
                    click.echo(f"    {line}")
            else:
                click.echo(f"  {click.style(name, bold=True)}: {safe(brief(value))}")
    click.echo("\nwhere things are")
    for name, text in _links(record, store):
        click.echo(f"  {name:<10} {safe(text)}")
    if missing := list(_missing(record, store, profile)):
        click.echo(click.style("\nwhat is missing", fg="yellow"))
        for text in missing:
            click.echo(f"  {safe(text)}")
    if record.status != "succeeded":
        cause = "correct the cause, then " if record.status == "failed" else "to resume, "
        click.echo(f"\n{cause}run the same command again (or --resume {record.run}); finished steps are reused")


def brief(value: Any, width: int = 200) -> str:
    """Returns a value on one line; an artifact with its main facts."""
    if isinstance(value, dict) and value.get("type") in ARTIFACTS:
        facts = {
            k: v for k, v in value.items() if k not in ("type", "digest", "columns", "features") and v not in ("", None)
        }
        listed = ", ".join(f"{name}={item}" for name, item in facts.items())
        return f"{value['type']} {value['digest'][7:19]} ({listed})"[:width]
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else json.dumps(_rounded(value), ensure_ascii=False)
    return text if len(text) <= width else text[: width - 1] + "…"


def _lines(value: Any) -> Iterator[str]:
    """Yields a mapping of numbers, or of intervals, one a line; nothing for another value."""
    if isinstance(value, dict) and value:
        if all(isinstance(item, (int, float)) for item in value.values()):
            yield from _figures(value)
        elif all(isinstance(item, dict) and item.keys() == {"low", "high"} for item in value.values()):
            width = max(map(len, value))
            yield from (f"{safe(n).ljust(width)}  {item['low']:.3g} to {item['high']:.3g}" for n, item in value.items())


def _figures(value: dict[str, float], most: int = 10) -> Iterator[str]:
    """Yields a mapping of numbers, one a line; shares of a whole with a bar each."""
    shares = abs(sum(value.values()) - 1) < 1e-6 and all(item >= 0 for item in value.values())
    shown = dict(list(value.items())[:most])
    width = max(map(len, shown))
    for name, item in shown.items():
        bar = click.style("█" * max(1, round(40 * item / max(shown.values()))), fg="cyan") if shares else ""
        shown_item = str(item).lower() if isinstance(item, bool) else f"{item:.5g}"
        yield f"{safe(name).ljust(width)}  {shown_item:<10}{bar}".rstrip()
    if len(value) > most:
        yield f"… and {len(value) - most} more"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get("type") in ARTIFACTS:
            return brief(value)
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _missing(record: RunRecord, store: str, profile: str) -> Iterator[str]:
    """Yields what the run could not do because a tool was unavailable, what waits, and what to do about it."""
    deferred = [step for step in record.steps.values() if step.status is Status.DEFERRED]
    for step in record.steps.values():
        if step.error is not None and step.status in (Status.DEFERRED, Status.SKIPPED):
            yield f"{step.id} was {step.status}: {step.error.message}"
    if deferred:
        yield f"→ e2i sync{store}{profile} executes what was deferred, and the steps below, when the tool is back"
    for name, tally in sorted(record.telemetry.items()):
        if tally.left:
            problem = f": {tally.problem}" if tally.problem else ""
            yield f"{counted(tally.left, 'entry')} for {name} waiting in the outbox{problem}"
        if tally.dead_lettered:
            yield f"{counted(tally.dead_lettered, 'entry')} refused by {name} and kept"
        if tally.elsewhere:
            yield f"{counted(tally.elsewhere, 'entry')} of other runs waiting for another {name} than this one"
    tallies = record.telemetry.values()
    if any(tally.left for tally in tallies):
        yield f"→ e2i sync{store}{profile} delivers what waits; e2i outbox list{store} shows it"
    if any(tally.dead_lettered for tally in tallies):
        yield f"→ e2i outbox list{store} shows why; e2i outbox retry{store} queues it again"
    if any(tally.elsewhere for tally in tallies):
        yield f"→ e2i outbox list{store} shows for which address, and of which profile"
    if record.thinned:
        yield f"{counted(record.thinned, 'value')} of metrics not recorded: the outbox was full (outbox_limit)"


def _links(record: RunRecord, store: str) -> list[tuple[str, str]]:
    root = record.store
    links = [
        ("run", f"e2i show {record.run}{store}"),
        ("report", f"e2i report {record.run}{store}"),
        ("store", str(root)),
    ]
    if (database := root / "mlflow" / "mlflow.db").exists():
        links.append(("mlflow", f"mlflow ui --backend-store-uri {shlex.quote(f'sqlite:///{database}')}"))
    for step in record.steps.values():
        for output, value in (step.outputs or {}).items():
            if isinstance(value, dict) and value.get("type") == "service" and value.get("kept"):
                links.append(("service", f"{value['url']} ({step.id}.{output}); stop it with kill {value['pid']}"))
            if isinstance(value, dict) and value.get("type") == "report":
                digest = value["digest"][7:]
                path = root / "objects" / digest[:2] / digest[2:]
                links.append(("report", f"{step.id}: {path / value['entry'] if value.get('entry') else path}"))
    return links + [("endpoint", f"{name}: {where}") for name, where in _endpoints(record).items()]


def _endpoints(record: RunRecord) -> dict[str, str]:
    """Returns the address of each endpoint, with the step that changed it last, without those that have been ended."""
    found: dict[str, str] = {}
    for step in record.steps.values():
        outputs = step.outputs or OutputValues()
        if step.uses == "bentoml.undeploy":
            found.pop(str(outputs.get("name")), None)
        for output, value in outputs.items():
            if isinstance(value, dict) and value.get("type") == "endpoint":
                found.pop(value["name"], None)
                found[value["name"]] = f"{value['url']} ({step.id}.{output})"
    return found

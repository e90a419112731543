"""The journal goes in; past runs come out, as documents or as text for people."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from e2i.cli.problems_view import safe
from e2i.cli.progress import SIGNS
from e2i.cli.summary_view import COLOURS, brief
from e2i.errors import BadInput
from e2i.execution.journal import FILE, Reader
from e2i.execution.store import ArtifactStore


def runs(store: Path, limit: int) -> list[dict[str, Any]]:
    """The latest runs of a store, newest first; none when there is no store yet."""
    if not (store / FILE).exists():
        return []
    with _reader(store) as reader:
        return reader.runs(limit)


def run(store: Path, name: str) -> dict[str, Any]:
    """Everything recorded of one run. Raises BadInput when there is none of that name."""
    if (store / FILE).exists():
        with _reader(store) as reader:
            if (found := reader.run(name)) is not None:
                return found
    raise BadInput(f"there is no run {name!r} in the store {store}", code="unknown-run", hint="`e2i runs` lists them")


def show_runs(found: list[dict[str, Any]]) -> None:
    if not found:
        click.echo("no runs yet")
    for item in found:
        status = click.style(f"{item['status']:<11}", fg=COLOURS.get(item["status"], "cyan"))
        started = datetime.fromtimestamp(item["started_ms"] / 1000).strftime("%Y-%m-%d %H:%M:%S")
        click.echo(f"{item['run']}  {status}  {started}  {_seconds(item):>9}  {item['pipeline']}")


def show_run(found: dict[str, Any]) -> None:
    status = click.style(found["status"], fg=COLOURS.get(found["status"], "cyan"), bold=True)
    name = click.style(found["run"], bold=True)
    click.echo(f"run {name} of {found['pipeline']} ({found['file']}): {status} {_seconds(found)}")
    if found["params"]:
        click.echo("params: " + safe(", ".join(f"{name}={value}" for name, value in found["params"].items())))
    click.echo()
    for step in found["steps"]:
        sign, colour = SIGNS.get(step["status"], ("▸", "cyan"))
        attempts = f", {step['attempts']} attempts" if step["attempts"] > 1 else ""
        click.echo(
            f"  {click.style(sign, fg=colour)} {click.style(step['step'], bold=True)}  {step['uses']}  "
            f"{click.style(step['status'], fg=colour)} {_seconds(step)}{attempts}"
        )
        for name, value in (step["outputs"] or {}).items():
            click.echo(f"      {name}: {safe(brief(value, 140))}")
        if step["error"]:
            click.echo(f"      {click.style(safe(step['error']['message']), fg='red')} [{step['error']['code']}]")


def _reader(store: Path) -> Reader:
    return Reader(store, ArtifactStore(store).has)


def _seconds(item: dict[str, Any]) -> str:
    if not item["started_ms"] or not item["ended_ms"]:
        return ""
    return f"{(item['ended_ms'] - item['started_ms']) / 1000:.1f} s"

"""Commands about runs: start, list, show, trace back, report."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click
from msgspec.structs import replace

from e2i.cli import completion, documents
from e2i.cli.commands import flags
from e2i.cli.exits import guarded
from e2i.cli.problems_view import safe
from e2i.errors import Exit


@click.command(cls=flags.Inert)
@click.argument("spec", required=False, shell_complete=completion.files)
@flags.params
@flags.profile
@flags.origin
@flags.select
@flags.fresh
@flags.store
@click.option("--dry-run", is_flag=True, help="Show the plan without running it.")
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Run only if the plan equals this one.",
)
@click.option("--resume", metavar="RUN", help="Resume this run with the spec and options that it was started with.")
@click.option(
    "--retry-run",
    "retries",
    type=click.IntRange(0, 100),
    default=0,
    metavar="N",
    help="Resume the run up to N times after an outage or a failure of the machine.",
)
@click.option("--no-wait", is_flag=True, help="Exit with 4 if the run would have to wait for others (max_runs).")
@click.option("--strict", is_flag=True, help="Exit with 4 if a step was deferred or telemetry was not delivered.")
@flags.json
@guarded
def run(
    spec: str | None,
    params: tuple[str, ...],
    profile: str | None,
    origin: str | None,
    select: tuple[str, ...],
    fresh: bool,
    store: Path | None,
    dry_run: bool,
    plan_file: Path | None,
    resume: str | None,
    retries: int,
    no_wait: bool,
    strict: bool,
    as_json: bool,
) -> Exit:
    """Run a spec. Finished steps are not run again.

    Addresses that no file in config/ sets are read from variables such as MLFLOW_TRACKING_URI and OPTUNA_STORAGE. The
    first line of a run says where each tool is, and why.
    """
    os.umask(0o077)  # the files of a run are private to their owner, whatever umask the terminal has
    from e2i import api
    from e2i.cli import options

    workspace = api.Workspace.open(spec=spec, store=store, profile=profile, origin=origin)
    if resume is not None:
        own = {"-p": params, "--select": select, "--fresh": fresh, "--plan": plan_file, "--dry-run": dry_run}
        options.refuse_beside("--resume", own)
        from e2i.cli import run_command
        from e2i.cli.attempts import Shown

        return run_command.resume(resume, spec, workspace, Shown(as_json, strict, retries), wait=not no_wait)
    if spec is None:
        raise click.UsageError("Missing argument 'SPEC'. Pass a spec or --resume RUN.")
    given = options.parameters(params)
    if dry_run:
        from e2i.cli import plan_view

        planned = api.plan(spec, given, select=select, fresh=fresh, workspace=workspace)
        plan_view.show_as("json" if as_json else "text", planned, workspace)
        return Exit.DONE
    from e2i.cli import run_command
    from e2i.cli.attempts import Shown

    return run_command.run(
        spec,
        workspace,
        given,
        select=select,
        fresh=fresh,
        bound_to=options.plan_document(plan_file) if plan_file else None,
        shown=Shown(as_json, strict, retries),
        wait=not no_wait,
    )


@click.command(cls=flags.Inert)
@click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Most runs to list.")
@click.option("--pipeline", metavar="NAME", help="Only runs of this pipeline.")
@click.option(
    "--status",
    type=click.Choice(["running", "succeeded", "failed", "interrupted"]),
    help="Only runs with this status.",
)
@flags.store
@flags.json
@guarded
def runs(limit: int, pipeline: str | None, status: str | None, store: Path | None, as_json: bool) -> Exit:
    """List past runs, newest first. Shows the number of steps in each status."""
    from e2i import api
    from e2i.cli import runs_view
    from e2i.documents import plain
    from e2i.records import lookup
    from e2i.store.past import RunList

    found = lookup.runs(api.Workspace.open(store=store).store, limit, pipeline, status)
    if as_json:
        documents.show(plain(RunList(runs=tuple(found))))
    else:
        runs_view.show(found, _now_ms())
    return Exit.DONE


@click.command(cls=flags.Inert)
@click.argument("run")
@click.option("--step", metavar="ID", help="Show one step: its inputs, outputs and the end of its log.")
@click.option("--output", metavar="NAME", help="Show one result: an output of the run, or STEP.OUTPUT.")
@click.option("--watch", is_flag=True, help="Keep watching until the run ends.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "openlineage", "jsonld"]),
    default="text",
    show_default=True,
    help="openlineage: one event a line; jsonld: W3C PROV-O.",
)
@flags.store
@flags.json
@guarded
def show(
    run: str, step: str | None, output: str | None, watch: bool, form: str, store: Path | None, as_json: bool
) -> Exit:
    """Show a run, finished or running: its steps, results and files.

    RUN is an id, the beginning of an id, "last", or "last~1" for the one before.
    """
    from e2i import api
    from e2i.cli import options, run_view
    from e2i.documents import plain
    from e2i.records import again, lookup, openlineage, prov

    workspace = api.Workspace.open(store=store)
    if output is not None:
        options.refuse_beside("--output", {"--step": step, "--watch": watch, "--format": form != "text"})
        return _show_result(workspace.store, run, output, as_json)
    found = lookup.run(workspace.store, run)
    if watch:
        found = run_view.watch(lambda: lookup.run(workspace.store, found.run.id), _now_ms)
    one = lookup.step(found, step) if step is not None else None
    if one is not None and one.parameters is None:
        one = replace(one, parameters=again.given(found.run, one.id, workspace))
    match "json" if as_json else form:
        case "json":
            documents.show(plain(found.run if one is None else one))
        case "openlineage":
            for event in openlineage.events(found):
                click.echo(documents.dumps(event))
        case "jsonld":
            documents.show(prov.document(found))
        case _ if one is not None:
            run_view.show_step(found.run, one, workspace.store, _now_ms())
        case _:
            run_view.show(found.run, workspace.store, _now_ms())
    return Exit.DONE


def _show_result(store: Path, run: str, output: str, as_json: bool) -> Exit:
    from e2i.cli import export_command, result_view
    from e2i.documents import plain

    found = export_command.head(store, run, output)
    if as_json:
        documents.show(plain(found))
    else:
        result_view.show(found)
    return Exit.DONE


@click.command(cls=flags.Inert)
@click.argument("run")
@click.argument("output")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--replace", is_flag=True, help="Replace a file that exists.")
@click.option("--escape-formulas", "escape", is_flag=True, help="Keep spreadsheets from running texts as formulas.")
@flags.store
@flags.json
@guarded
def export(run: str, output: str, path: Path, replace: bool, escape: bool, store: Path | None, as_json: bool) -> Exit:
    """Write a result of a run to a file.

    OUTPUT is an output of the run, STEP.OUTPUT, or a part such as OUTPUT.KEY. A table becomes what the suffix says:
    .csv, .tsv, .json, .jsonl, .parquet, .feather. A value becomes JSON, a folder of a model or report a ZIP archive.
    """
    from e2i import api
    from e2i.cli import export_command
    from e2i.documents import plain

    found = export_command.export(
        api.Workspace.open(store=store).store, run, output, path, replace=replace, escape=escape
    )
    if as_json:
        documents.show(plain(found))
    else:
        click.echo(safe(found.path) if sys.stdout.isatty() else found.path)
    return Exit.DONE


@click.command(cls=flags.Inert)
@click.argument("target")
@flags.store
@flags.json
@guarded
def provenance(target: str, store: Path | None, as_json: bool) -> Exit:
    """Trace an output back to its files, commits and versions.

    TARGET is RUN.STEP.OUTPUT, RUN.STEP, or the digest of an artifact.
    """
    from e2i import api
    from e2i.cli import provenance_view
    from e2i.documents import plain
    from e2i.records import lookup

    found = lookup.origin(api.Workspace.open(store=store).store, target)
    if as_json:
        documents.show(plain(found.document))
    else:
        provenance_view.show(found)
    return Exit.DONE


@click.command(cls=flags.Inert)
@click.argument("run")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Default: report.html in the run's folder."
)
@flags.store
@flags.json
@guarded
def report(run: str, output: Path | None, store: Path | None, as_json: bool) -> Exit:
    """Write the HTML report of a run and print its path."""
    from e2i import api
    from e2i.cli import report_command

    path = report_command.write(api.Workspace.open(store=store).store, run, output)
    if as_json:
        documents.show({"schema_version": 1, "path": str(path)})
    else:
        text = str(path)
        click.echo(safe(text) if sys.stdout.isatty() else text)  # a program that reads the pipe needs the exact name
    return Exit.DONE


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

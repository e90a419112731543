"""The commands ``e2i`` and ``e2i-run``: arguments go in; one call of the API, its printed result and an exit code
come out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from e2i import __version__
from e2i.cli import problems_view, process
from e2i.cli.exits import guarded
from e2i.errors import Exit

F = TypeVar("F", bound=Callable[..., Any])


def _json(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")(command)


def _profile(command: F) -> F:
    return click.option("--profile", metavar="P", help="Settings of config/P.yaml over config/default.yaml.")(command)


def _origin(command: F) -> F:
    return click.option(
        "--origin",
        metavar="WHO",
        help="Who wrote the spec: human or agent; the policy differs. Default: E2I_ORIGIN or human.",
    )(command)


def _store(command: F) -> F:
    return click.option(
        "--store",
        type=click.Path(path_type=Path, file_okay=False),
        help="Where all state lives. Default: .e2i/ or E2I_STORE.",
    )(command)


def _params(command: F) -> F:
    return click.option(
        "-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the spec; VALUE is YAML."
    )(command)


def _select(command: F) -> F:
    return click.option(
        "--select", multiple=True, metavar="EXPR", help="Only these steps and what they need: id, id+, +id, tag:x."
    )(command)


def _fresh(command: F) -> F:
    return click.option(
        "--fresh", is_flag=True, help="Carry every step out again; what a tool holds for equal inputs stays."
    )(command)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="e2i")
def e2i() -> None:
    """Machine-learning pipelines as configuration."""


@e2i.command()
@click.argument("spec")
@_params
@_profile
@_origin
@_select
@_fresh
@_store
@click.option("--dry-run", is_flag=True, help="Plan and run nothing.")
@click.option(
    "--plan", "plan_file", type=click.Path(path_type=Path, dir_okay=False), help="Run only if the plan is this one."
)
@click.option("--resume", metavar="RUN", help="Continue that run with its own parameters.")
@_json
@guarded
def run(
    spec: str,
    params: tuple[str, ...],
    profile: str | None,
    origin: str | None,
    select: tuple[str, ...],
    fresh: bool,
    store: Path | None,
    dry_run: bool,
    plan_file: Path | None,
    resume: str | None,
    as_json: bool,
) -> Exit:
    """Runs a spec. Finished work is never repeated."""
    from e2i import api
    from e2i.cli import options

    workspace = api.Workspace.open(store=store, profile=profile, origin=origin)
    given = options.parameters(params)
    if dry_run:
        return _print_plan(api.plan(spec, given, select=select, fresh=fresh, workspace=workspace), as_json, workspace)
    from e2i.cli import run_command

    return run_command.run(
        spec,
        workspace,
        given,
        select=select,
        fresh=fresh,
        bound_to=options.plan_document(plan_file) if plan_file else None,
        resume=resume,
        as_json=as_json,
    )


@e2i.command()
@click.argument("specs", nargs=-1, required=True)
@_profile
@_origin
@click.option("--format", "form", type=click.Choice(["text", "json", "sarif"]), default="text", show_default=True)
@_json
@guarded
def validate(specs: tuple[str, ...], profile: str | None, origin: str | None, form: str, as_json: bool) -> Exit:
    """Checks specs. Needs none of the tools installed."""
    from e2i import api

    workspace = api.Workspace.open(profile=profile, origin=origin)
    found = {spec: api.validate(spec, workspace=workspace) for spec in specs}
    problems = [problem for result in found.values() for problem in result.problems]
    valid = all(result.valid for result in found.values())
    if form == "sarif":
        from e2i.cli import sarif_view

        _print_json(sarif_view.document(problems))
    elif as_json or form == "json":
        _print_json({"schema_version": 1, "valid": valid, "problems": [problem.to_json() for problem in problems]})
    else:
        problems_view.show(problems)
        for spec, result in found.items():
            if result.valid:
                click.echo(f"{problems_view.safe(spec)}: {click.style('valid', fg='green')}")
    codes = {result.exit_code for result in found.values()}
    return next(code for code in (Exit.BAD_INPUT, Exit.REFUSED, Exit.DONE) if code in codes)


@e2i.command()
@click.argument("spec", type=click.Path(path_type=str, dir_okay=False))
@click.option("--write", is_flag=True, help="Change the file. Without it the change is only shown, as a diff.")
@_profile
@_json
@guarded
def fix(spec: str, write: bool, profile: str | None, as_json: bool) -> Exit:
    """Carries out the fixes that problems carry; comments and layout stay."""
    from e2i import api
    from e2i.cli import fix_command

    code, document = fix_command.fix(spec, api.Workspace.open(profile=profile), write=write, as_json=as_json)
    if as_json:
        _print_json(document)
    return code


@e2i.command()
@click.argument("code", required=False)
@_json
@guarded
def explain(code: str | None, as_json: bool) -> Exit:
    """What a problem's code means, with an example and its mend; without CODE, all codes."""
    from e2i.cli import explain_view

    if as_json:
        _print_json(explain_view.document(code))
    else:
        explain_view.show(code)
    return Exit.DONE


@e2i.command()
@click.argument("spec")
@_params
@_profile
@_origin
@_select
@_fresh
@_store
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the plan as JSON to FILE.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown", "mermaid", "dot", "svg", "html"]),
    default="text",
    show_default=True,
)
@_json
@guarded
def plan(
    spec: str,
    params: tuple[str, ...],
    profile: str | None,
    origin: str | None,
    select: tuple[str, ...],
    fresh: bool,
    store: Path | None,
    output: Path | None,
    form: str,
    as_json: bool,
) -> Exit:
    """What a run would do, and why. Writes nothing but FILE."""
    from e2i import api
    from e2i.cli import options

    workspace = api.Workspace.open(store=store, profile=profile, origin=origin)
    planned = api.plan(spec, options.parameters(params), select=select, fresh=fresh, workspace=workspace)
    if output is not None:
        options.write_plan(output, planned.to_json())
    return _print_plan(planned, as_json, workspace, form)


@e2i.command()
@click.argument("before")
@click.argument("after")
@_params
@_profile
@_json
@guarded
def diff(before: str, after: str, params: tuple[str, ...], profile: str | None, as_json: bool) -> Exit:
    """What the difference between two specs means: cosmetic, adds, changes or breaks. REV:PATH is a file in git."""
    from e2i import api
    from e2i.cli import diff_view, options

    found = api.diff(before, after, options.parameters(params), workspace=api.Workspace.open(profile=profile))
    if as_json:
        _print_json(found.to_json())
    else:
        diff_view.show(found)
    return Exit.DONE


@e2i.command()
@click.argument("action", required=False)
@_json
@guarded
def catalog(action: str | None, as_json: bool) -> Exit:
    """The actions, their parameters and outputs."""
    from e2i.cli import catalog_view

    if as_json:
        _print_json(catalog_view.document(action))
    else:
        catalog_view.show(action)
    return Exit.DONE


@e2i.command()
@click.argument("kind", type=click.Choice(["pipeline", "problems", "plan", "events"]), default="pipeline")
@_json
@guarded
def schema(kind: str, as_json: bool) -> Exit:
    """JSON Schema of a spec, or of a document that --json prints, for editors and agents."""
    from e2i.cli.document_schemas import SCHEMAS

    _print_json(SCHEMAS[kind]())
    return Exit.DONE


@e2i.command()
@click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many.")
@_store
@_json
@guarded
def runs(limit: int, store: Path | None, as_json: bool) -> Exit:
    """Past runs, newest first."""
    from e2i import api
    from e2i.cli import history_view

    found = history_view.runs(api.Workspace.open(store=store).store, limit)
    if as_json:
        _print_json({"schema_version": 1, "runs": found})
    else:
        history_view.show_runs(found)
    return Exit.DONE


@e2i.command()
@click.argument("run")
@_store
@_json
@guarded
def show(run: str, store: Path | None, as_json: bool) -> Exit:
    """One run: its steps, their results, and where everything is."""
    from e2i import api
    from e2i.cli import history_view

    found = history_view.run(api.Workspace.open(store=store).store, run)
    if as_json:
        _print_json({"schema_version": 1, **found})
    else:
        history_view.show_run(found)
    return Exit.DONE


@e2i.command()
@click.argument("run")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Default: report.html in the run's folder."
)
@_store
@_json
@guarded
def report(run: str, output: Path | None, store: Path | None, as_json: bool) -> Exit:
    """Writes the HTML report of a run and prints its path."""
    from e2i import api
    from e2i.cli import report_command

    path = report_command.write(api.Workspace.open(store=store).store, run, output)
    if as_json:
        _print_json({"schema_version": 1, "path": str(path)})
    else:
        click.echo(path)
    return Exit.DONE


@e2i.command()
@_profile
@_store
@_json
@guarded
def doctor(profile: str | None, store: Path | None, as_json: bool) -> Exit:
    """Each tool: installed version, mode, reachable or not, breaker, what waits for it."""
    from e2i import api
    from e2i.cli import doctor_view

    workspace = api.Workspace.open(store=store, profile=profile)
    found = doctor_view.examine(workspace)
    if as_json:
        _print_json({"schema_version": 1, "tools": found})
    else:
        doctor_view.show(found, workspace)
    return Exit.DONE if all(tool["reachable"] for tool in found if tool["installed"]) else Exit.UNAVAILABLE


@e2i.command()
@click.option("--refused", is_flag=True, help="Try once more what a tracker refused.")
@_profile
@_store
@_json
@guarded
def sync(refused: bool, profile: str | None, store: Path | None, as_json: bool) -> Exit:
    """Delivers what waits in the outbox."""
    from e2i import api
    from e2i.cli import sync_command

    return sync_command.sync(api.Workspace.open(store=store, profile=profile), refused=refused, as_json=as_json)


def _print_plan(planned: Any, as_json: bool, workspace: Any, form: str = "text") -> Exit:
    from e2i.planning import diagram

    if as_json or form == "json":
        _print_json(planned.to_json())
    elif form == "markdown":
        from e2i.planning.markdown import markdown

        click.echo(markdown(planned))
    elif form == "mermaid":
        click.echo(diagram.mermaid(planned))
    elif form == "dot":
        click.echo(diagram.dot(planned))
    elif form in ("svg", "html"):
        from e2i.report import plan_page

        draw = plan_page.svg if form == "svg" else plan_page.html
        click.echo(draw(planned.to_json()))
    else:
        from e2i.cli import plan_view

        plan_view.show(planned, workspace)
    return Exit.DONE


def _print_json(document: Any) -> None:
    from e2i.cli import documents

    click.echo(documents.dumps(document, indent=1))


def main() -> None:
    """The console script ``e2i``."""
    process.own(lambda: e2i(prog_name="e2i"), only_looks=sys.argv[1:2] in (["validate"], ["plan"]))


def main_run() -> None:
    """The console script ``e2i-run``: ``e2i run``."""
    process.own(lambda: run(args=sys.argv[1:], prog_name="e2i-run"), only_looks=False)


if __name__ == "__main__":
    main()

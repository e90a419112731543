"""Commands about specs: validate, fix, add steps, plan, compare. They run nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from e2i.cli import completion, documents, problems_view
from e2i.cli.commands import flags
from e2i.cli.exits import guarded
from e2i.errors import BadInput, Exit
from e2i.spec.problems import ProblemsDocument

if TYPE_CHECKING:
    from e2i.api import Validation

TESTS = (".test.yaml", ".test.yml")
"""Endings of the names of test files."""


@click.command(cls=flags.Inert)
@click.argument("specs", nargs=-1, required=True, shell_complete=completion.files)
@flags.profile
@flags.origin
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    show_default=True,
    help="Format of the problems.",
)
@flags.json
@guarded
def validate(specs: tuple[str, ...], profile: str | None, origin: str | None, form: str, as_json: bool) -> Exit:
    """Check specs and their test files. Works without the tools installed."""
    from e2i import api, policy
    from e2i.workspace import project

    who = policy.origin(origin, os.environ)
    roots = {spec: project.root_of(spec, Path.cwd(), who) for spec in specs}
    chosen = {
        root: api.Workspace.open(root=root, profile=profile, origin=origin) for root in dict.fromkeys(roots.values())
    }
    found = {
        spec: _tests(spec, profile, origin)
        if spec.endswith(TESTS)
        else api.validate(spec, workspace=chosen[roots[spec]])
        for spec in specs
    }
    problems = [problem for result in found.values() for problem in result.problems]
    if form == "sarif":
        from e2i.cli import sarif_view

        documents.show(sarif_view.document(problems))
    elif as_json or form == "json":
        documents.show(ProblemsDocument.of(problems))
    else:
        problems_view.show(problems)
        for spec, result in found.items():
            if result.valid:
                click.echo(f"{problems_view.safe(spec)}: {click.style('valid', fg='green')}")
    codes = {result.exit_code for result in found.values()}
    return next(code for code in (Exit.BAD_INPUT, Exit.REFUSED, Exit.DONE) if code in codes)


def _tests(file: str, profile: str | None, origin: str | None) -> Validation:
    """Checks a test file."""
    from e2i import api
    from e2i.testing import suite

    return api.Validation(tuple(suite.check([file], profile=profile, origin=origin)[1]))


@click.command(cls=flags.Inert)
@click.argument("spec", type=click.Path(path_type=str, dir_okay=False))
@click.option("--write", is_flag=True, help="Write the fixes to the files instead of showing a diff.")
@flags.profile
@flags.origin
@flags.json
@guarded
def fix(spec: str, write: bool, profile: str | None, origin: str | None, as_json: bool) -> Exit:
    """Apply the safe fixes to a spec and its included specs. Comments and layout stay."""
    from e2i import api
    from e2i.cli import fix_command

    workspace = api.Workspace.open(spec=spec, profile=profile, origin=origin)
    code, document = fix_command.fix(spec, workspace, write=write, as_json=as_json)
    if as_json:
        documents.show(document)
    return code


@click.command(cls=flags.Inert)
@click.argument("step")
@click.argument("spec", required=False, shell_complete=completion.files)
@click.option(
    "--uses", metavar="ACTION", help="The action. Default: STEP, which is then an action; its id is the last word."
)
@click.option("--dry-run", is_flag=True, help="Show the change as a diff without writing it.")
@flags.profile
@flags.origin
@flags.json
@guarded
def add(
    step: str,
    spec: str | None,
    uses: str | None,
    dry_run: bool,
    profile: str | None,
    origin: str | None,
    as_json: bool,
) -> Exit:
    """Add a step: what its action requires, wired.

    References lead to the newest outputs that fit. SPEC is the file of a spec; default: the only one in specs/. The
    rest of the file stays as it is. Prints what is left to fill in.
    """
    from e2i import api
    from e2i.cli import add_command

    if uses is None:
        uses, step = step, step.rpartition(".")[2]
    spec = add_command.only_spec(spec)
    workspace = api.Workspace.open(spec=spec, profile=profile, origin=origin)
    document = add_command.add(spec, step, uses, workspace, write=not dry_run, as_json=as_json)
    if as_json:
        documents.show(document)
    return Exit.DONE


@click.command(cls=flags.Inert)
@click.argument("spec", shell_complete=completion.files)
@flags.params
@flags.profile
@flags.origin
@flags.select
@flags.fresh
@flags.store
@click.option("--estimate", is_flag=True, help="Estimate time and memory from past runs: median and 90 % interval.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the plan to FILE. Format: by suffix (.html, .svg, …), else --format, else JSON.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown", "mermaid", "dot", "svg", "html"]),
    default="text",
    show_default=True,
    help="Format of the plan.",
)
@flags.json
@guarded
def plan(
    spec: str,
    params: tuple[str, ...],
    profile: str | None,
    origin: str | None,
    select: tuple[str, ...],
    fresh: bool,
    store: Path | None,
    estimate: bool,
    output: Path | None,
    form: str,
    as_json: bool,
) -> Exit:
    """Show what a run would do, and why. Writes nothing but FILE."""
    from e2i import api
    from e2i.cli import options, plan_view, problems_view

    workspace = api.Workspace.open(spec=spec, store=store, profile=profile, origin=origin)
    given = options.parameters(params)
    planned = api.plan(spec, given, select=select, fresh=fresh, estimate=estimate, workspace=workspace)
    if output is not None:
        written = plan_view.form_of_file(output, form)
        if written == "json":
            options.write_plan(output, planned.document)
        else:
            options.write_text(output, plan_view.rendered(written, planned) + "\n")
        form = "text" if written == form != "json" else form
    problems_view.show(planned.warnings)
    plan_view.show_as("json" if as_json else form, planned, workspace)
    return Exit.DONE


@click.command(cls=flags.Inert)
@click.argument("before", shell_complete=completion.files)
@click.argument("after", shell_complete=completion.files)
@flags.params
@flags.profile
@flags.store
@flags.json
@guarded
def diff(
    before: str, after: str, params: tuple[str, ...], profile: str | None, store: Path | None, as_json: bool
) -> Exit:
    """Compare two specs or two runs: inputs, figures, results.

    BEFORE and AFTER are specs, as files or REV:PATH for a file in git, or runs: an id, the beginning of an id, "last",
    or "last~1" for the one before.
    """
    from e2i import api
    from e2i.cli import comparison_view, diff_view, options

    workspace = api.Workspace.open(spec=after, profile=profile, store=store)
    if options.names_run(before, after):
        if params:
            raise BadInput("-p cannot be used with two runs: each has its own parameters", code="bad-option")
        runs = api.compare(before, after, workspace=workspace)
        documents.show(runs.to_json()) if as_json else comparison_view.show(runs, time.time_ns() // 1_000_000)
        return Exit.DONE
    found = api.diff(before, after, options.parameters(params), workspace=workspace)
    documents.show(found.to_json()) if as_json else diff_view.show(found)
    return Exit.DONE

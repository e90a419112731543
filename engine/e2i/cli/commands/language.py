"""Commands about the spec language: problem codes, catalog, schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from e2i.cli import completion, documents, environment
from e2i.cli.commands import flags
from e2i.cli.exits import guarded
from e2i.errors import Exit

if TYPE_CHECKING:
    from e2i.catalog.registry import Registry

KINDS = (
    *("pipeline", "test", "problems", "plan", "events", "notification", "log"),
    *("runs", "run", "comparison", "provenance", "result", "export"),
    *("doctor", "sync", "outbox", "gc", "backup", "restore", "init", "fix", "add", "diff", "explain", "tests"),
    *("rehearsal", "catalog", "approvals", "mutants", "impact", "verification", "explanation"),
)
"""The kinds of schema. Spelled out so that offering them imports no schema."""


@click.command(cls=flags.Inert)
@click.argument("code", required=False, shell_complete=completion.codes)
@flags.json
@guarded
def explain(code: str | None, as_json: bool) -> Exit:
    """Explain a problem code with an example and the fix. Without CODE, list all codes."""
    from e2i.cli import explain_view

    if as_json:
        documents.show(explain_view.document(code))
    else:
        explain_view.show(code)
    return Exit.DONE


@click.command(cls=flags.Inert)
@click.argument("action", required=False, shell_complete=completion.actions)
@click.option("--signatures", is_flag=True, help="Show each action on one line: parameters, types, defaults, outputs.")
@flags.profile
@flags.json
@guarded
def catalog(action: str | None, signatures: bool, profile: str | None, as_json: bool) -> Exit:
    """List the actions, or show one with its parameters and outputs."""
    from e2i.cli import catalog_view

    registry = environment.registry(profile)
    if signatures:
        found = catalog_view.signatures(action, registry)
        if as_json:
            documents.show(found)
        else:
            click.echo("\n".join([*found.signatures, *(f"{name} = {text}" for name, text in found.types.items())]))
    elif as_json:
        documents.show(catalog_view.document(action, registry))
    else:
        catalog_view.show(action, registry)
    _report(registry)
    return Exit.DONE


@click.command(cls=flags.Inert)
@click.argument(
    "kind",
    type=click.Choice(KINDS),
    default="pipeline",
)
@flags.profile
@flags.json
@guarded
def schema(kind: str, profile: str | None, as_json: bool) -> Exit:
    """Print the JSON Schema of a spec or of a --json document."""
    from e2i.catalog.schema import pipeline_schema
    from e2i.cli import schemas

    if kind == "pipeline":
        registry = environment.registry(profile)
        documents.show(pipeline_schema(registry))
        _report(registry)
    else:
        documents.show(schemas.schema(kind))
    return Exit.DONE


def _report(registry: Registry) -> None:
    """Prints the problems of plug-ins that cannot be loaded, and are therefore not listed."""
    from e2i.cli import problems_view

    for _, problem in registry.problems():
        problems_view.show(problem.problems)

"""Commands about the spec language: problem codes, catalog, schemas."""

from __future__ import annotations

import click

from e2i.cli import completion, documents
from e2i.cli.commands import flags
from e2i.cli.exits import guarded
from e2i.errors import Exit

KINDS = (
    *("pipeline", "problems", "plan", "events", "runs", "run", "comparison", "provenance"),
    *("doctor", "sync", "gc", "backup", "restore", "init"),
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
@flags.json
@guarded
def catalog(action: str | None, as_json: bool) -> Exit:
    """List the actions, or show one with its parameters and outputs."""
    from e2i.cli import catalog_view

    if as_json:
        documents.show(catalog_view.document(action))
    else:
        catalog_view.show(action)
    return Exit.DONE


@click.command(cls=flags.Inert)
@click.argument(
    "kind",
    type=click.Choice(KINDS),
    default="pipeline",
)
@flags.json
@guarded
def schema(kind: str, as_json: bool) -> Exit:
    """Print the JSON Schema of a spec or of a --json document."""
    from e2i.cli.document_schemas import SCHEMAS

    documents.show(SCHEMAS[kind]())
    return Exit.DONE

"""Show the catalog, a tool or an action.

In: the name of a tool or an action. Out: its parameters and outputs, as a document or as text for people.
"""

from __future__ import annotations

import click

from e2i.catalog import examples, registry
from e2i.catalog.action import Action, Tool
from e2i.check import types
from e2i.cli import catalog_document
from e2i.cli.catalog_document import BriefCatalog, FullCatalog
from e2i.errors import BadInput
from e2i.spec import suggest


def document(name: str | None) -> BriefCatalog | FullCatalog:
    """Returns the whole catalog in brief, or the actions of one tool or one action in full."""
    chosen = _chosen(name)
    if name is None:
        return BriefCatalog(actions=[catalog_document.brief(tool, action) for tool, action in chosen])
    return FullCatalog(actions=[catalog_document.full(tool, action) for tool, action in chosen])


def show(name: str | None) -> None:
    """Prints the catalog, a tool or an action for people."""
    chosen = _chosen(name)
    if len(chosen) == 1:
        _show_action(*chosen[0])
        return
    width = max(len(f"{tool.name}.{action.name}") for tool, action in chosen)
    last = ""
    for tool, action in chosen:
        if tool.name != last:
            click.echo(f"\n{click.style(tool.name, bold=True)}  {click.style(tool.summary, dim=True)}")
            last = tool.name
        click.echo(f"  {f'{tool.name}.{action.name}'.ljust(width)}  {action.summary.splitlines()[0]}")
    click.echo(f"\n{click.style('e2i catalog ACTION', bold=True)} shows parameters and outputs.")


def _chosen(name: str | None) -> list[tuple[Tool, Action]]:
    tools = [tool for each in sorted(registry.TOOLS) if (tool := registry.tool(each))]
    everything = [(tool, action) for tool in tools for action in tool.actions]
    if name is None:
        return everything
    chosen = [(tool, action) for tool, action in everything if name in (tool.name, f"{tool.name}.{action.name}")]
    if not chosen:
        known = registry.names()
        hint = suggest.hint(name, known) or "`e2i catalog` lists them"
        raise BadInput(f"unknown tool or action {name!r}", code="unknown-action", hint=hint)
    return chosen


def _show_action(tool: Tool, action: Action) -> None:
    click.echo(
        f"{click.style(f'{tool.name}.{action.name}', bold=True)}  ({action.effect.value}, version {action.version})"
    )
    click.echo(f"{action.summary}\n")
    if tool.extra:
        click.echo(f'needs: pip install "e2i[{tool.extra}]"\n')
    click.echo("with:")
    for name, field in action.params.model_fields.items():
        state = "required" if field.is_required() else f"default {field.get_default(call_default_factory=True)!r}"
        kind = types.describe(types.of(field.annotation))
        click.echo(f"  {click.style(name, bold=True)}: {kind} ({state})\n      {field.description or ''}")
    click.echo("outputs:")
    for name, field in action.outputs.model_fields.items():
        kind = types.describe(types.of(field.annotation))
        click.echo(f"  {click.style(name, bold=True)}: {kind}\n      {field.description or ''}")
    click.echo(f"example:\n{examples.of(f'{tool.name}.{action.name}').step}", nl=False)

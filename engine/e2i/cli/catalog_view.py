"""Show the catalog, a tool or an action.

In: the name of a tool or an action. Out: its parameters and outputs, as a document or as text for people.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from e2i.catalog import examples, forms
from e2i.catalog.action import Action, Tool
from e2i.catalog.forms import Field
from e2i.catalog.registry import Registry, tool_name
from e2i.cli import catalog_document
from e2i.cli.catalog_document import BriefCatalog, FullCatalog, Signatures
from e2i.errors import BadInput
from e2i.spec import suggest


def document(name: str | None, registry: Registry) -> BriefCatalog | FullCatalog:
    """Returns the whole catalog in brief, or the actions of one tool or one action in full."""
    chosen = _chosen(name, registry)
    if name is None:
        return BriefCatalog(actions=[catalog_document.brief(tool, action, registry) for tool, action in chosen])
    return FullCatalog(actions=[catalog_document.full(tool, action, registry) for tool, action in chosen])


def signatures(name: str | None, registry: Registry) -> Signatures:
    """Returns each action on one line: all that is needed to write a first step. Long lists of choices stand once."""
    chosen = _chosen(name, registry)
    names = forms.shared_types((action for _, action in chosen), registry)
    return Signatures(
        signatures=[forms.signature(f"{tool.name}.{action.name}", action, registry, names) for tool, action in chosen],
        types={name: text for text, name in names.items()},
    )


def show(name: str | None, registry: Registry) -> None:
    """Prints the catalog, a tool or an action for people."""
    chosen = _chosen(name, registry)
    if len(chosen) == 1:
        _show_action(*chosen[0], registry)
        return
    width = max(len(f"{tool.name}.{action.name}") for tool, action in chosen)
    last = ""
    for tool, action in chosen:
        if tool.name != last:
            click.echo(f"\n{click.style(tool.name, bold=True)}  {click.style(tool.summary, dim=True)}")
            last = tool.name
        click.echo(f"  {f'{tool.name}.{action.name}'.ljust(width)}  {action.summary.splitlines()[0]}")
    click.echo(f"\n{click.style('e2i catalog ACTION', bold=True)} shows parameters and outputs.")


def _chosen(name: str | None, registry: Registry) -> list[tuple[Tool, Action]]:
    """Returns the actions of that name. Raises BadPlugin if it is one of a plug-in that cannot be loaded."""
    if name is not None and (problem := registry.problem(tool_name(name))):
        raise problem
    everything = [(tool, action) for tool in registry.tools() for action in tool.actions]
    if name is None:
        return everything
    chosen = [(tool, action) for tool, action in everything if name in (tool.name, f"{tool.name}.{action.name}")]
    if not chosen:
        known = registry.names()
        hint = suggest.hint(name, known) or "`e2i catalog` lists them"
        raise BadInput(f"unknown tool or action {name!r}", code="unknown-action", hint=hint)
    return chosen


def _show_action(tool: Tool, action: Action, registry: Registry) -> None:
    click.echo(
        f"{click.style(f'{tool.name}.{action.name}', bold=True)}  ({action.effect.value}, version {action.version})"
    )
    click.echo(f"{action.summary}\n")
    if tool.extra:
        click.echo(f'needs: pip install "e2i[{tool.extra}]"\n')
    click.echo("with (* is required):")
    _show_fields(forms.params(action, registry), "  ")
    click.echo("outputs:")
    _show_fields(forms.outputs(action), "  ")
    if example := examples.of(f"{tool.name}.{action.name}", registry).step:
        click.echo(f"example:\n{example}", nl=False)


def _show_fields(fields: Sequence[Field], indent: str) -> None:
    """Prints fields, each with its description and the keys of its nested forms below."""
    for field in fields:
        click.echo(f"{indent}{click.style(field.label, bold=True)}: {field.summary}")
        if field.description:
            click.echo(f"{indent}    {field.description}")
        for form in field.forms:
            click.echo(f"{indent}    {form.name}: {form.description}")
            _show_fields(form.fields, f"{indent}      ")

"""Write the reference pages of the documentation from what they describe: ``python -m e2i.cli.reference PAGE``.

In: the catalog, the commands, the problem codes. Out: ``docs/PAGE.md``. ``make lint`` compares the pages with it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence

import click

from e2i.catalog import forms
from e2i.catalog.action import Action, Tool
from e2i.catalog.forms import Field
from e2i.catalog.registry import BUILT_IN
from e2i.cli import exits, explain_view
from e2i.cli.main import HEADINGS, e2i

GENERATED = "<!-- Written by `make docs`; do not edit. -->\n"
INTRODUCTION = """\
All actions of e2i with their parameters and outputs. [Tools](tools.md) shows how to use them, with an example of each.

A type is a name such as `string` or `table`, one of several values (`a|b`), a list (`[string]`), a mapping of any names
(`{string: integer}`), or a mapping with these keys (`{name*, other}`). A `scalar` is a boolean, a number
or a string. `*` marks what is required. Any parameter may be
an [expression](spec.md#expressions) of its type. `e2i catalog ACTION` shows the same.
"""
EFFECTS = {
    "pure": "Pure: equal inputs have equal outputs",
    "external": "External: writes to the tool under an idempotency key",
    "service": "Service: starts a process that ends with the run",
}


def actions() -> Iterator[str]:
    """Yields the lines of the page of all actions."""
    yield "# Actions\n"
    yield GENERATED
    yield INTRODUCTION
    for tool in BUILT_IN.tools():
        yield f"## {tool.name}\n"
        extra = f' Installed by `pip install "e2i[{tool.extra}]"`.' if tool.extra else ""
        yield f"{tool.summary}{extra} [How to use it](tools.md#{tool.name}).\n"
        for action in tool.actions:
            yield from _action(tool, action)


def _action(tool: Tool, action: Action) -> Iterator[str]:
    uses = f"{tool.name}.{action.name}"
    yield f"### {uses}\n"
    always = ", and the result is never reused" if action.always else ""
    yield f"{action.summary} {EFFECTS[action.effect.value]}{always}. Version {action.version}.\n"
    yield f"```\n{forms.signature(uses, action, BUILT_IN)}\n```\n"
    for title, fields in (("Parameters", forms.params(action, BUILT_IN)), ("Outputs", forms.outputs(action))):
        if fields:
            yield f"**{title}**\n"
            yield "\n".join(_fields(fields, "")) + "\n"


def _fields(fields: Sequence[Field], indent: str) -> Iterator[str]:
    for field in fields:
        shown = f"{indent}- `{field.label}`: `{field.summary}`"
        yield f"{shown}. {_text(field.description)}" if field.description else shown
        for form in field.forms:
            yield f"{indent}  - {form.name}: {_text(form.description)}"
            yield from _fields(form.fields, f"{indent}    ")


def commands() -> Iterator[str]:
    """Yields the lines of the page of all commands."""
    yield "# Commands\n"
    yield GENERATED
    yield "`e2i COMMAND --help` shows the same. `e2i-run SPEC` is `e2i run SPEC`.\n"
    for heading, names in HEADINGS.items():
        yield f"## {heading}\n"
        for name in names:
            yield from _command(name)
    yield "## Exit codes\n"
    yield "Every command ends with one of these. [Operations](operations.md#exit-codes) shows them in use.\n"
    yield "| code | meaning |\n| --- | --- |"
    yield "".join(f"| {code.value} | {meaning} |\n" for code, meaning in exits.MEANINGS.items())


def _command(name: str) -> Iterator[str]:
    context = click.Context(e2i, info_name="e2i")
    command = e2i.get_command(context, name)
    assert command is not None, name
    inner = click.Context(command, info_name=name, parent=context)
    yield from _usage(command, inner)


def _usage(command: click.Command, inner: click.Context) -> Iterator[str]:
    """Yields the section of a command; of a group also those of its commands."""
    yield f"{'#' * (2 + len(inner.command_path.split()) - 1)} {inner.command_path}\n"
    yield f"```\n{' '.join([inner.command_path, *command.collect_usage_pieces(inner)])}\n```\n"
    yield f"{_text(command.help or '')}\n"
    records = (option.get_help_record(inner) for option in command.params if isinstance(option, click.Option))
    if lines := [f"- `{option}`: {_text(meaning)}" for option, meaning in filter(None, records)]:
        yield "\n".join(lines) + "\n"
    if isinstance(command, click.Group):
        for name, part in command.commands.items():
            yield from _usage(part, click.Context(part, info_name=name, parent=inner))


def codes() -> Iterator[str]:
    """Yields the lines of the page of all problem and error codes."""
    yield "# Problem codes\n"
    yield GENERATED
    yield "`e2i explain CODE` shows the same. In the examples of a spec, `version` and `name` are left out.\n"
    found = explain_view.document(None).codes
    for group in explain_view.groups():
        yield f"## {group}\n"
        for code in (code for code in found if code.group == group):
            yield f"### {code.code}\n"
            yield f"{code.title}. {_text(code.why)}\n"
            yield f"**What to do:** {_text(code.fix)}\n"
            if code.example:
                yield f"**For example:** {_text(code.example)}\n"
            for title, example in (("Wrong", code.bad), ("Right", code.good)):
                if example:
                    yield f"{title}:\n\n```\n{example.strip(chr(10))}\n```\n"


def _text(text: str) -> str:
    """Returns text on one line, with code marked as in Markdown."""
    return " ".join(text.replace("``", "`").split())


PAGES: dict[str, Callable[[], Iterator[str]]] = {"actions": actions, "commands": commands, "codes": codes}


def page(name: str) -> str:
    """Returns the text of a page."""
    return "\n".join(PAGES[name]()).rstrip("\n") + "\n"


if __name__ == "__main__":
    sys.stdout.write(page(sys.argv[1]))

"""The reference pages are generated, and describe everything that there is."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from e2i.catalog.registry import BUILT_IN
from e2i.check import codes
from e2i.cli import reference
from e2i.cli.exits import MEANINGS
from e2i.cli.main import e2i
from e2i.errors import Exit

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", reference.PAGES)
def test_a_page_is_as_it_is_generated(name: str) -> None:
    assert (DOCS / f"{name}.md").read_text("utf-8") == reference.page(name), "run `make docs`"


def test_every_action_command_option_and_code_is_there() -> None:
    pages = {name: reference.page(name) for name in reference.PAGES}
    assert [name for name in BUILT_IN.names() if f"### {name}\n" not in pages["actions"]] == []
    assert [code for code in codes.CODES if f"### {code}\n" not in pages["codes"]] == []
    context = click.Context(e2i)
    for name in e2i.list_commands(context):
        command = e2i.get_command(context, name)
        assert command is not None and command.help and f"### e2i {name}\n" in pages["commands"]
        section = pages["commands"].split(f"### e2i {name}\n")[1].split("\n#")[0]
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"e2i {name} {option.name} has no help"
                assert max(option.opts, key=len) in section


def test_every_exit_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Exit)

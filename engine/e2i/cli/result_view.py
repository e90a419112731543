"""Show one result of a run: the first rows of a table, or a value. In: the document of ``export_command.head``."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from e2i.cli.export_command import ResultDocument
from e2i.cli.problems_view import safe
from e2i.cli.wording import counted

WIDEST = 30
"""Characters of a cell that are shown."""


def show(document: ResultDocument) -> None:
    value = document.value
    if not isinstance(document.head, tuple):
        click.echo(safe(value) if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=True))
        return
    names = [column["name"] for column in value["columns"]]
    kinds = [column["type"] for column in value["columns"]]
    cells = [["" if cell is None else cell for cell in row] for row in document.head]
    for line in _aligned([names, kinds, *cells]):
        click.echo(line)
    shown = len(document.head)
    left = f", the first {shown} shown" if shown < value["rows"] else ""
    click.echo(f"{counted(value['rows'], 'row')}, {counted(len(names), 'column')}{left}")


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns the rows as lines with columns of one width."""
    cut = [[_cut(safe(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cut, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cut]


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"

"""The difference of two specs goes in; lines for people come out: what it means, then each thing that differs."""

from __future__ import annotations

import click

from e2i.cli.problems_view import safe
from e2i.planning.diff import SpecDiff, Weight

SIGNS = {
    Weight.COSMETIC: ("=", "blue", "nothing that can affect execution differs"),
    Weight.ADDS: ("+", "green", "all that was there still is, and there is more"),
    Weight.CHANGES: ("~", "yellow", "steps do something else, so results may differ"),
    Weight.BREAKS: ("!", "red", "whoever gives parameters or reads outputs must change too"),
}


def show(found: SpecDiff) -> None:
    _, colour, meaning = SIGNS[found.weight]
    click.echo(f"{click.style(found.weight.name.lower(), fg=colour, bold=True)}: {meaning}")
    for difference in found.differences:
        sign, colour, _ = SIGNS[difference.weight]
        what = click.style(difference.what, bold=True)
        click.echo(f"  {click.style(sign, fg=colour, bold=True)} {what}: {safe(difference.detail)}")

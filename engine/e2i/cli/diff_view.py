"""Show the difference of two specs for people.

In: the comparison. Out: a line about the effect of the change, then a line for each difference.
"""

from __future__ import annotations

import click

from e2i.cli.problems_view import safe
from e2i.planning.diff import SpecDiff, Weight

SIGNS = {
    Weight.COSMETIC: ("=", "blue", "no difference can affect execution"),
    Weight.ADDS: ("+", "green", "existing steps and outputs are unchanged, new ones were added"),
    Weight.CHANGES: ("~", "yellow", "steps changed, so results may differ"),
    Weight.BREAKS: ("!", "red", "callers that set parameters or read outputs must change too"),
}


def show(found: SpecDiff) -> None:
    _, colour, meaning = SIGNS[found.weight]
    click.echo(f"{click.style(found.weight.name.lower(), fg=colour, bold=True)}: {meaning}")
    for difference in found.differences:
        sign, colour, _ = SIGNS[difference.weight]
        what = click.style(difference.what, bold=True)
        click.echo(f"  {click.style(sign, fg=colour, bold=True)} {what}: {safe(difference.detail)}")

"""Describe a registered version by the card of its model. In: a card of model.card. Out: Markdown."""

from __future__ import annotations

from e2i.catalog.artifacts import Report
from e2i.catalog.context import StepContext
from e2i.errors import StepError

FILE = "card.md"
LONGEST = 5_000
"""Most characters of a version's description."""


def described(card: Report | None, ctx: StepContext) -> str:
    """Return the card as Markdown, whole lines up to the limit. Raises StepError for a report that is no card."""
    if card is None:
        return ""
    file = ctx.open(card) / FILE
    if not file.is_file():
        raise StepError(
            f'the report "{card.title}" is no card of a model',
            code="bad-card",
            hint="`card` takes the output of model.card",
        )
    text = file.read_text("utf-8")
    if len(text) <= LONGEST:
        return text
    end = "\n\n… the whole card is among the artifacts of the run: model_card"
    return text[: LONGEST - len(end)].rpartition("\n")[0] + end

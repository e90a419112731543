"""Run the words actions. In: a table. Out: a table with one column more, or the most frequent words."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from e2i.catalog.artifacts import Table
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i_words import CountOutputs, CountParams, RankOutputs, RankParams

if TYPE_CHECKING:
    import pandas as pd


def count(params: CountParams, ctx: StepContext) -> CountOutputs:
    """Add the number of words of each text as a column."""
    frame = ctx.frame(params.table)
    words = [len(text.split()) for text in _texts(frame, params.column, params.table)]
    return CountOutputs(table=ctx.table(frame.assign(**{params.name: words})))


def rank(params: RankParams, ctx: StepContext) -> RankOutputs:
    """Return the most frequent words. Words with equal counts are in alphabetical order."""
    texts = _texts(ctx.frame(params.table), params.column, params.table)
    counts = Counter(word for text in texts for word in text.lower().split())
    first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[: params.top]
    ctx.metric("distinct", len(counts))
    return RankOutputs(words=dict(first), distinct=len(counts))


def _texts(frame: pd.DataFrame, column: str, table: Table) -> pd.Series[str]:
    """Return the texts, a missing one as an empty text. Raises StepError when there is no such column."""
    if column not in frame:
        raise StepError(f'the table has no column "{column}"', code="unknown-column", hint=", ".join(table.names))
    return frame[column].fillna("").astype(str)

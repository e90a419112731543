"""The words tool: counts the words in the texts of a table. Declarations only; ``actions`` does the work."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from e2i.catalog.action import Action, Outputs, Params, Tool
from e2i.catalog.artifacts import Table

Text = Annotated[str, Field(min_length=1, description="Column with the texts.")]


class CountParams(Params):
    """Parameters of ``words.count``."""

    table: Annotated[Table, Field(description="The table with the texts.")]
    column: Text
    name: Annotated[str, Field(min_length=1, description="Name of the new column.")] = "words"


class CountOutputs(Outputs):
    """Outputs of ``words.count``."""

    table: Annotated[Table, Field(description="The table with the number of words of each text.")]


class RankParams(Params):
    """Parameters of ``words.rank``."""

    table: Annotated[Table, Field(description="The table with the texts.")]
    column: Text
    top: Annotated[int, Field(ge=1, le=1_000, description="Return at most this many words.")] = 10


class RankOutputs(Outputs):
    """Outputs of ``words.rank``."""

    words: Annotated[dict[str, int], Field(description="The most frequent words, with the number of their uses.")]
    distinct: Annotated[int, Field(description="Number of different words.")]


TOOL = Tool(
    name="words",
    summary="Counts the words in the texts of a table.",
    actions=(
        Action(
            "count",
            "Adds the number of words of each text as a column.",
            CountParams,
            CountOutputs,
            libraries=("pandas",),
            columns=True,
        ),
        Action("rank", "Returns the most frequent words.", RankParams, RankOutputs, libraries=("pandas",)),
    ),
    imports=("pandas",),
)

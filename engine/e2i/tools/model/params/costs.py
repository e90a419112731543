"""Declare the costs of decisions, which several actions accept."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from e2i.catalog.names import ColumnName

Cost = float | ColumnName


class Costs(BaseModel):
    """Cost of each outcome of a row: a number, or a column. A benefit is a negative cost."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    tp: Annotated[Cost, Field(description="Decided as positive, and is.")] = 0.0
    fp: Annotated[Cost, Field(description="Decided as positive, and is not.")] = 0.0
    fn: Annotated[Cost, Field(description="Decided as negative, and is positive.")] = 0.0
    tn: Annotated[Cost, Field(description="Decided as negative, and is.")] = 0.0

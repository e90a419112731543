"""Declare the actions that apply models: ``model.predict``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from e2i.catalog.action import Action, Outputs, Params
from e2i.catalog.artifacts import EffectModel, Model, Table
from e2i.catalog.names import ColumnNames
from e2i.tools.model.params.fields import LIBRARIES, Threshold


class PredictParams(Params):
    """Parameters of ``model.predict``."""

    model: Annotated[Model | EffectModel, Field(description="The model to apply, also that of `causal.estimate`.")]
    table: Annotated[Table, Field(description="Rows with the model's features.")]
    keep: Annotated[ColumnNames | None, Field(description="Columns to copy to the result; null: all.")] = None
    threshold: Threshold = None
    intervals: Annotated[
        bool,
        Field(
            description="Add the intervals of model.conformal: `lower` and `upper`, or for classes `set_CLASS`, "
            "whether the class is in the set of the row."
        ),
    ] = False
    batch: Annotated[
        int | None,
        Field(
            ge=1,
            le=100_000_000,
            description="Rows to predict at a time, for a table larger than memory. The result is the same. null: all.",
        ),
    ] = None


class PredictOutputs(Outputs):
    """Outputs of ``model.predict``."""

    table: Annotated[
        Table,
        Field(
            description="The copied columns and `prediction`. Two classes: also `probability` of the "
            "positive class. More classes: also `probability_CLASS` for each class. With `intervals`, also `lower` and "
            "`upper`, or `set_CLASS` for each class. An effect model: `effect`, `lower` and `upper` instead, the "
            "interval of the level that it was estimated with."
        ),
    ]


ACTIONS = (
    Action(
        "predict",
        "Applies a model to a table.",
        PredictParams,
        PredictOutputs,
        libraries=(*LIBRARIES, "econml"),
        columns=True,
        version=2,
    ),
)

"""Declare the action that describes a model for its readers: ``model.card``."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from e2i.catalog.action import Action, Outputs, Params
from e2i.catalog.artifacts import Model, Report, Table
from e2i.tools.model.params.fields import LIBRARIES
from e2i.tools.model.params.judging import Interval

Text = Annotated[str, Field(min_length=1, max_length=5_000)]
Line = Annotated[str, Field(min_length=1, max_length=500)]
_OF_A_STEP = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class Evaluation(BaseModel):
    """Outputs of a step of model.evaluate. Other outputs are ignored."""

    model_config = _OF_A_STEP

    metrics: Annotated[dict[str, float], Field(description="The metrics.")]
    intervals: Annotated[dict[str, Interval], Field(description="Their intervals.")] = {}
    baseline: Annotated[dict[str, float], Field(description="The metrics of the constant answer.")] = {}
    slices: Annotated[Table | None, Field(description="The slices.")] = None


class Errors(BaseModel):
    """Outputs of a step of model.errors. Other outputs are ignored."""

    model_config = _OF_A_STEP

    conclusion: Annotated[str, Field(description="The worst slice, in a sentence.")]


class Fairness(BaseModel):
    """Outputs of a step of model.fairness. Other outputs are ignored."""

    model_config = _OF_A_STEP

    disparities: Annotated[Table, Field(description="The disparities.")]


class CardParams(Params):
    """Parameters of ``model.card``."""

    model: Annotated[Model, Field(description="The model to describe.")]
    intended_use: Annotated[Text, Field(description="What the model is for, and who decides by it.")]
    not_for: Annotated[tuple[Line, ...], Field(max_length=50, description="Uses that it is not for.")] = ()
    limitations: Annotated[tuple[Line, ...], Field(max_length=50, description="Known limits.")] = ()
    owner: Annotated[Line | None, Field(description="Who answers questions.")] = None
    training: Annotated[Table | None, Field(description="The training table, to describe its columns.")] = None
    test: Annotated[Table | None, Field(description="Rows that the model was not trained on, for its calibration.")] = (
        None
    )
    evaluation: Annotated[
        Evaluation | None, Field(description="A step of model.evaluate, as `${{ steps.ID }}`: metrics and slices.")
    ] = None
    errors: Annotated[Errors | None, Field(description="A step of model.errors.")] = None
    fairness: Annotated[Fairness | None, Field(description="A step of model.fairness.")] = None


class CardOutputs(Outputs):
    """Outputs of ``model.card``."""

    card: Annotated[
        Report,
        Field(
            description="A folder with the card as a page (`index.html`), as Markdown (`card.md`) and as JSON "
            "(`card.json`). `card` of mlflow.register attaches it to the registered version."
        ),
    ]


ACTIONS = (
    Action(
        "card",
        "Describes a model, its data and its figures for those who use it.",
        CardParams,
        CardOutputs,
        version=2,
        libraries=LIBRARIES,
        columns="inspecting_columns",
    ),
)

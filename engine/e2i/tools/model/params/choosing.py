"""Declare the action that chooses models: ``model.select``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from e2i.catalog.action import Action, Outputs, Params
from e2i.catalog.artifacts import Model, Table
from e2i.tools.model.params.fields import LIBRARIES


class Trained(BaseModel):
    """Outputs of a training step: a model, and metrics if there are any. Other outputs are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True, protected_namespaces=())

    model: Annotated[Model, Field(description="The candidate.")]
    metrics: Annotated[dict[str, float], Field(description="Metrics of the candidate.")] = {}


class Combination(BaseModel):
    """One combination of a matrix step: its matrix values and its outputs."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    matrix: Annotated[dict[str, Any], Field(description="The combination's matrix values.")]
    outputs: Annotated[Trained, Field(description="The combination's outputs.")]


Candidates = list[Combination | Trained | Model] | dict[str, Trained | Model]
"""Models in any form of a spec."""


class SelectParams(Params):
    """Parameters of ``model.select``."""

    candidates: Annotated[
        Candidates,
        Field(
            min_length=1,
            description="A matrix step of model.train (`${{ steps.train }}`), a list of {model, metrics}, or a "
            "mapping from a name to a model or {model, metrics}.",
        ),
    ]
    table: Annotated[
        Table | None, Field(description="Rows to evaluate every candidate on; null: use the candidates' own metrics.")
    ] = None
    metric: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Metric to rank by; null: roc_auc or rmse. Without `table`: a name among the "
            "candidates' metrics.",
        ),
    ] = None
    direction: Annotated[
        Literal["maximize", "minimize"] | None,
        Field(description="maximize or minimize; null: derived from the metric."),
    ] = None


class Ranked(BaseModel):
    """Rank of one candidate."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: Annotated[str, Field(description="Name of the candidate.")]
    algorithm: Annotated[str, Field(description="The candidate's algorithm.")]
    value: Annotated[float, Field(description="Value of the metric.")]


class SelectOutputs(Outputs):
    """Outputs of ``model.select``. Candidates with equal values keep their order."""

    model: Annotated[Model, Field(description="The best candidate.")]
    name: Annotated[
        str, Field(description="Name of the best candidate: its matrix values, or the name in `candidates`.")
    ]
    metrics: Annotated[dict[str, float], Field(description="Metrics of the best candidate.")]
    ranking: Annotated[list[Ranked], Field(description="All candidates, best first.")]


ACTIONS = (
    Action(
        "select",
        "Chooses the best of several models.",
        SelectParams,
        SelectOutputs,
        libraries=LIBRARIES,
        columns=True,
        version=2,
    ),
)

"""Declare parameters and outputs of the actions on endpoints. Nothing of BentoML is imported."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from e2i.catalog.action import Action, Effect, Outputs, Params
from e2i.catalog.artifacts import Bento, Endpoint, Table
from e2i.catalog.marks import Budget
from e2i.tools.bentoml.parameter_names import EndpointName, FeatureName

Percent = Annotated[FiniteFloat, Field(ge=0, le=100)]
AnyEndpoint = Annotated[Endpoint | EndpointName, Field(description="The endpoint, as a step returns it, or its name.")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Limits(_Part):
    """Limits of one replica."""

    cpu: Annotated[
        str | FiniteFloat | None,
        Field(description='Cores, such as 2 or "500m", also for the threads of the model\'s library; null: no limit.'),
    ] = None
    memory: Annotated[
        str | None, Field(min_length=1, max_length=20, description='Private memory, such as "4Gi"; null: no limit.')
    ] = None


class GuardRule(_Part):
    """When the router takes a change back by itself, also after the run."""

    requests: Annotated[
        int, Field(ge=1, le=1_000_000, description="Requests that the Bento must have answered before it is judged.")
    ] = 100
    seconds: Annotated[
        FiniteFloat, Field(gt=0, le=30 * 86_400, description="How long the Bento is watched, in seconds.")
    ] = 600.0
    max_error_rate: Annotated[
        FiniteFloat | None, Field(ge=0, le=1, description="Largest share of requests with a status of 500 or above.")
    ] = None
    max_latency: Annotated[
        FiniteFloat | None, Field(gt=0, description="Largest 95th percentile of the seconds for an answer.")
    ] = None
    max_slowdown: Annotated[
        FiniteFloat | None, Field(gt=0, description="Largest ratio of that percentile to the other Bentos'.")
    ] = None
    max_difference: Annotated[
        FiniteFloat | None,
        Field(
            ge=0,
            description="Largest mean difference of its predictions from the other Bentos', which receive copies of "
            "its requests: per row, the largest difference between probabilities, or of the numbers.",
        ),
    ] = None

    @model_validator(mode="after")
    def _has_a_rule(self) -> GuardRule:
        if all(getattr(self, name) is None for name in RULES):
            raise ValueError(f"set one of {', '.join(RULES)}")
        return self


RULES = ("max_error_rate", "max_latency", "max_slowdown", "max_difference")


class DeployParams(Params):
    """Parameters of ``bentoml.deploy``."""

    bento: Annotated[Bento, Field(description="The Bento to deploy.")]
    name: Annotated[EndpointName, Field(description="Name of the endpoint. It keeps its address.")]
    replicas: Annotated[
        int, Budget("replicas"), Field(ge=1, le=64, description="Number of processes for each Bento of the endpoint.")
    ] = 1
    resources: Annotated[Limits, Field(description="Limits of one replica.")] = Limits()
    environment: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
            description="What the service sees as E2I_ENVIRONMENT, such as production.",
        ),
    ] = "default"
    traffic: Annotated[
        Percent,
        Field(
            description="Percentage of the requests that go to the Bento if the endpoint exists; 0: its replicas stand "
            "by. A new endpoint has no other Bento: all requests go to it."
        ),
    ] = 100.0
    shadow: Annotated[
        bool,
        Field(
            description="Send the Bento copies of that percentage of the requests instead. Its answers are compared, "
            "never returned, and never waited for."
        ),
    ] = False
    sticky_by: Annotated[
        FeatureName | None,
        Field(
            description="Feature whose value in the first row keeps a caller's requests at one Bento. The header "
            "E2I-Key comes before it. null: as before."
        ),
    ] = None
    reference: Annotated[
        Table | None,
        Field(description="The training table: the drift of the requests' features is measured against it."),
    ] = None


class EndpointOutputs(Outputs):
    """Outputs of ``bentoml.deploy``, ``bentoml.update_traffic`` and ``bentoml.rollback``."""

    endpoint: Annotated[Endpoint, Field(description="The endpoint, ready.")]


class UpdateTrafficParams(Params):
    """Parameters of ``bentoml.update_traffic``."""

    endpoint: AnyEndpoint
    traffic: Annotated[
        Percent, Field(description="Percentage of the requests that go to the Bento. The others share the rest.")
    ]
    bento: Annotated[
        Bento | None, Field(description="The Bento to move requests to; null: the newest one of the endpoint.")
    ] = None
    shadow: Annotated[
        bool, Field(description="Send the Bento copies of that percentage of the requests instead; 0 ends that.")
    ] = False
    sticky_by: Annotated[
        FeatureName | None,
        Field(description="Feature whose value in the first row keeps a caller's requests at one Bento; null: as is."),
    ] = None
    guard: Annotated[GuardRule | None, Field(description="When the router takes this change back by itself.")] = None

    @model_validator(mode="after")
    def _can_be_guarded(self) -> UpdateTrafficParams:
        if self.guard is None:
            return self
        if self.shadow or self.traffic == 0:
            raise ValueError("guard: the Bento answers no requests that could be taken back")
        compared = self.guard.max_slowdown is not None or self.guard.max_difference is not None
        if compared and self.traffic == 100:
            raise ValueError("guard: max_slowdown and max_difference need other Bentos: set traffic below 100")
        return self


class RollbackParams(Params):
    """Parameters of ``bentoml.rollback``."""

    endpoint: AnyEndpoint
    to: Annotated[
        Bento | None,
        Field(description="The Bento that gets all requests; null: what was before the last change of the traffic."),
    ] = None


class UndeployParams(Params):
    """Parameters of ``bentoml.undeploy``."""

    endpoint: AnyEndpoint


class UndeployOutputs(Outputs):
    """Outputs of ``bentoml.undeploy``."""

    name: Annotated[str, Field(description="Name of the endpoint, whose processes are gone.")]


class MetricsParams(Params):
    """Parameters of ``bentoml.metrics``."""

    endpoint: AnyEndpoint
    wait: Annotated[FiniteFloat, Field(ge=0, le=86_400, description="Seconds to wait for the decision of a guard.")] = (
        0.0
    )
    on_rollback: Annotated[
        Literal["fail", "report"],
        Field(description="Whether the step fails when the router has taken the last change back."),
    ] = "fail"


class MetricsOutputs(Outputs):
    """Outputs of ``bentoml.metrics``."""

    bentos: Annotated[
        Table,
        Field(description="One row for each Bento: its share, requests, failures, seconds, copies and differences."),
    ]
    drift: Annotated[
        Table, Field(description="One row for each feature of the reference: `feature`, `psi` and the `rows` counted.")
    ]
    guard: Annotated[
        Literal["none", "watching", "passed", "rolled_back"],
        Field(description="What the guard of the last change has decided."),
    ]
    reason: Annotated[str | None, Field(description="The rule that was broken; null when none was.")]
    max_psi: Annotated[float | None, Field(description="Largest drift of a feature; null without a reference.")]


ACTIONS = (
    Action(
        name="deploy",
        summary="Deploys a Bento to a named endpoint that outlives the run, on this machine or BentoCloud.",
        params=DeployParams,
        outputs=EndpointOutputs,
        effect=Effect.EXTERNAL,
        privilege="change_endpoints",
        libraries=("bentoml",),
        columns=True,
        verified=True,
    ),
    Action(
        name="update_traffic",
        summary="Moves a share of an endpoint's requests to a Bento, or copies of them. No request is lost.",
        params=UpdateTrafficParams,
        outputs=EndpointOutputs,
        effect=Effect.EXTERNAL,
        privilege="change_endpoints",
        columns=True,
        verified=True,
    ),
    Action(
        name="rollback",
        summary="Returns an endpoint to what it was before the last change of its traffic.",
        params=RollbackParams,
        outputs=EndpointOutputs,
        effect=Effect.EXTERNAL,
        privilege="change_endpoints",
        columns=True,
        verified=True,
    ),
    Action(
        name="undeploy",
        summary="Ends an endpoint with all its processes.",
        params=UndeployParams,
        outputs=UndeployOutputs,
        effect=Effect.EXTERNAL,
        privilege="change_endpoints",
        verified=True,
    ),
    Action(
        name="metrics",
        summary="Records what an endpoint has answered, its drift, and what the guard of its traffic has decided.",
        params=MetricsParams,
        outputs=MetricsOutputs,
        always=True,
        gate=True,
        columns=True,
    ),
)

"""Run the actions on endpoints. In: Bentos and endpoints. Out: endpoints, and what they have answered."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from e2i.catalog import artifacts
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.tools.bentoml import contents, drifting, resources
from e2i.tools.bentoml.connector import GuardedBentoML
from e2i.tools.bentoml.endpoint_params import (
    DeployParams,
    EndpointOutputs,
    GuardRule,
    MetricsOutputs,
    MetricsParams,
    RollbackParams,
    UndeployOutputs,
    UndeployParams,
    UpdateTrafficParams,
)
from e2i.tools.bentoml.endpoints import Endpoint
from e2i.tools.bentoml.observing import Figures, Snapshot
from e2i.tools.bentoml.records import Guard, Wanted

if TYPE_CHECKING:
    import pandas as pd


async def deploy(params: DeployParams, ctx: StepContext) -> EndpointOutputs:
    """Deploy the Bento, and return the endpoint when all of its replicas answer."""
    client = _client(ctx)
    limits = resources.read(params.resources.model_dump(exclude_none=True))
    found = await client.deploy(
        *(params.bento.tag, params.name, params.replicas, limits, params.environment),
        percent=params.traffic,
        shadow=params.shadow,
        sticky=params.sticky_by,
        reference=_reference(params, ctx),
        key=ctx.key("deploy", params.name),
    )
    return EndpointOutputs(endpoint=await _artifact(client, found, params.bento.digest))


async def update_traffic(params: UpdateTrafficParams, ctx: StepContext) -> EndpointOutputs:
    """Move that share of the requests. No request is lost."""
    client, name = _client(ctx), name_of(params.endpoint)
    rule = params.guard
    found = await client.move(
        name,
        params.traffic,
        params.bento.tag if params.bento is not None else None,
        shadow=params.shadow,
        sticky=params.sticky_by,
        guard=None if rule is None else lambda tag: _guard(rule, tag),
        key=ctx.key("traffic", name),
    )
    return EndpointOutputs(endpoint=await _artifact(client, found, params.bento.digest if params.bento else ""))


async def rollback(params: RollbackParams, ctx: StepContext) -> EndpointOutputs:
    """Return to what answered before the last change. A repeated attempt changes nothing more."""
    client, name = _client(ctx), name_of(params.endpoint)
    tag = params.to.tag if params.to is not None else None
    found = await client.roll_back(name, tag, key=ctx.key("rollback", name))
    return EndpointOutputs(endpoint=await _artifact(client, found, "rollback"))


async def undeploy(params: UndeployParams, ctx: StepContext) -> UndeployOutputs:
    """End all processes of the endpoint. One that does not exist has been ended before."""
    name = name_of(params.endpoint)
    try:
        await _client(ctx).undeploy(name)
    except StepError as error:
        if error.code != "unknown-endpoint":
            raise
        ctx.warn(f"there is no endpoint {name} to end" + (f"; {error.hint}" if error.hint else ""))
    return UndeployOutputs(name=name)


async def metrics(params: MetricsParams, ctx: StepContext) -> MetricsOutputs:
    """Record what the endpoint has answered. Raise StepError when its guard has taken the last change back."""
    import pandas as pd

    client, name = _client(ctx), name_of(params.endpoint)
    wanted, status, found = await client.observed(name, params.wait)
    decided, reason = _decision(wanted, status.guard)
    _record(found, ctx)
    if decided == "rolled_back" and params.on_rollback == "fail":
        raise StepError(
            f"the endpoint {name} has taken its last change back: {reason}",
            code="traffic-rolled-back",
            hint="look at the Bento that was moved to; on_rollback: report lets the run go on",
            details={"endpoint": name, "reason": reason},
        )
    psi = pd.DataFrame(
        {"feature": list(found.drift), "psi": list(found.drift.values()), "rows": found.drift_rows}
    ).astype({"feature": "str", "psi": "float64", "rows": "int64"})
    return MetricsOutputs(
        bentos=ctx.table(_frame(found)),
        drift=ctx.table(psi),
        guard=decided,
        reason=reason,
        max_psi=max(found.drift.values(), default=None),
    )


def name_of(endpoint: artifacts.Endpoint | str) -> str:
    """Return the name of an endpoint."""
    return endpoint if isinstance(endpoint, str) else endpoint.name


def _client(ctx: StepContext) -> GuardedBentoML:
    """Return the client. The routers that it starts outlive the run."""
    client = ctx.connect(GuardedBentoML)
    client.endpoints.lasting = ctx.lasting
    return client


def _reference(params: DeployParams, ctx: StepContext) -> bytes | None:
    """Return the reference for the drift of the Bento's features; of all columns where its features are not known."""
    if params.reference is None:
        return None
    names = contents.features_of(ctx.home("bentoml"), params.bento.tag) or list(params.reference.names)
    return drifting.encoded(drifting.reference(ctx.frame(params.reference, names), names))


def _guard(rule: GuardRule, tag: str) -> Guard:
    return Guard(
        tag=tag,
        requests=rule.requests,
        seconds=rule.seconds,
        errors=rule.max_error_rate,
        latency=rule.max_latency,
        slowdown=rule.max_slowdown,
        difference=rule.max_difference,
    )


async def _artifact(client: GuardedBentoML, found: Endpoint, made_from: str) -> artifacts.Endpoint:
    """Return the endpoint as an artifact. Its digest covers who answers, not the address."""
    share = await client.share(found.name, found.bento_tag)
    content = "\0".join([found.name, found.bento_tag, str(found.replicas), str(share), made_from])
    return artifacts.Endpoint(
        digest=f"sha256:{hashlib.sha256(content.encode()).hexdigest()}",
        name=found.name,
        url=found.url,
        bento=found.bento_tag,
        share=share,
    )


def _decision(wanted: Wanted, state: str) -> tuple[Any, str | None]:
    last = wanted.changes[-1] if wanted.changes else None
    if last is not None and last.kind == "guard":
        return "rolled_back", last.why
    return state or "none", None


def _frame(found: Snapshot) -> pd.DataFrame:
    import pandas as pd

    rows = [msgspec.to_builtins(figures) for figures in found.bentos]
    frame = pd.DataFrame(rows, columns=list(Figures.__struct_fields__))
    whole = ("requests", "failures", "copies", "failed_copies", "dropped_copies", "compared_rows", "different_rows")
    floats = [name for name in frame.columns if name not in (*whole, "bento")]
    return frame.astype({**dict.fromkeys(whole, "int64"), **dict.fromkeys(floats, "float64"), "bento": "str"})


def _record(found: Snapshot, ctx: StepContext) -> None:
    """Record the figures as metrics of the run."""
    for figures in found.bentos:
        tag = figures.bento.replace(":", "_")
        values = msgspec.to_builtins(figures)
        for name in ("share", "requests", "failures", "p95_seconds", "mean_difference"):
            if values[name] is not None:
                ctx.metric(f"{tag}_{name}", float(values[name]))
    for feature, value in found.drift.items():
        ctx.metric(f"psi_{feature}", value)

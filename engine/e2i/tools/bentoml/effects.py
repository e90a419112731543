"""Check that the effects of finished BentoML steps still exist, by the files in BentoML's store.

A deployment or a move of traffic counts while nothing took it back: a later move to a Bento that the endpoint did not
have yet is an advance, and repeating the run must not undo it.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from pathlib import Path

from e2i.catalog.artifacts import Endpoint
from e2i.catalog.context import Look, Superseded
from e2i.tools.bentoml import PackageOutputs, PackageParams, changes, records
from e2i.tools.bentoml.endpoint_params import (
    DeployParams,
    EndpointOutputs,
    RollbackParams,
    UndeployOutputs,
    UndeployParams,
    UpdateTrafficParams,
)
from e2i.tools.bentoml.kept import is_complete
from e2i.tools.bentoml.records import Change, Wanted

Missing = str | None


def package(params: PackageParams, outputs: PackageOutputs, look: Look) -> str | None:
    """Return what is missing of the Bento; None when it is complete with the content of the result."""
    bento, home = outputs.bento, look.home("bentoml")
    return None if is_complete(home, bento.tag, bento.digest) else f"the Bento {bento.tag} is not in the store"


def deploy(params: DeployParams, outputs: EndpointOutputs, look: Look) -> Missing | Coroutine[None, None, Missing]:
    """Return what is missing of a deployment; None when the endpoint runs and nothing has taken the Bento back."""
    if not look.settings("bentoml").is_embedded:
        return _in_cloud(outputs, look)
    wanted = _running(look.home("bentoml"), params.name)
    if isinstance(wanted, str):
        return wanted
    if wanted.replicas != params.replicas or wanted.environment != params.environment:
        return Superseded(f"the endpoint {params.name} has other replicas, or another environment")
    return _judged(wanted, look.key("deploy", params.name))


def update_traffic(
    params: UpdateTrafficParams, outputs: EndpointOutputs, look: Look
) -> Missing | Coroutine[None, None, Missing]:
    """Return what is missing of a move of traffic; None when it holds, or more of it was moved to the same Bento."""
    if not look.settings("bentoml").is_embedded:
        return _in_cloud(outputs, look)
    name = _name(params.endpoint)
    wanted = _running(look.home("bentoml"), name)
    return wanted if isinstance(wanted, str) else _judged(wanted, look.key("traffic", name))


def rollback(params: RollbackParams, outputs: EndpointOutputs, look: Look) -> Missing | Coroutine[None, None, Missing]:
    """Return what is missing of a rollback; None when it is the endpoint's last change."""
    if not look.settings("bentoml").is_embedded:
        return _in_cloud(outputs, look)
    name = _name(params.endpoint)
    wanted = _running(look.home("bentoml"), name)
    if isinstance(wanted, str):
        return wanted
    last = wanted.changes[-1] if wanted.changes else None
    is_last = last is not None and last.key == look.key("rollback", name)
    return None if is_last else Superseded(f"the endpoint {name} was changed since")


def undeploy(params: UndeployParams, outputs: UndeployOutputs, look: Look) -> Missing | Coroutine[None, None, Missing]:
    """Return what is missing of the end of an endpoint; None when it does not exist."""
    if not look.settings("bentoml").is_embedded:
        return _ended_in_cloud(outputs.name, look)
    folder = look.home("bentoml") / "endpoints" / outputs.name
    is_wanted = records.wanted(folder) is not None
    return Superseded(f"the endpoint {outputs.name} was deployed since") if is_wanted else None


def _name(endpoint: Endpoint | str) -> str:
    return endpoint if isinstance(endpoint, str) else endpoint.name


def _running(home: Path, name: str) -> Wanted | str:
    """Return what the endpoint should be, or why it does not run."""
    folder = home / "endpoints" / name
    wanted, status = records.wanted(folder), records.status(folder)
    if wanted is None:
        return f"the endpoint {name} does not exist"
    return wanted if status is not None else f"the endpoint {name} does not run"


def _judged(wanted: Wanted, key: str) -> Missing:
    """Return None while the change with that key holds, or was followed by nothing but advances."""
    found = changes.since(wanted, key)
    if found is None:
        return f"the endpoint {wanted.name} was not changed by this run's inputs"
    own, later = found
    if taken := _taken_back(own, later, changes.known_before(wanted, own)):
        return Superseded(f"the endpoint {wanted.name}: {taken}")
    return None


def _taken_back(own: Change, later: Sequence[Change], known: set[str]) -> Missing:
    """Return the later change that took the own one back."""
    for change in later:
        if change.kind in ("rollback", "guard"):
            return f"{own.tag} was rolled back" + (f": {change.why}" if change.why else "")
        if change.tag == own.tag:
            if change.percent < own.percent or (change.kind == "shadow") != (own.kind == "shadow"):
                return f"another share was moved to {own.tag}"
        elif (change.kind == "deploy" and change.percent == 100) or change.tag in known:
            return f"requests were moved to {change.tag}"
    return None


async def _in_cloud(outputs: EndpointOutputs, look: Look) -> Missing:
    from e2i.tools.bentoml.connector import GuardedBentoML

    endpoint = outputs.endpoint
    found = await look.connect(GuardedBentoML).find(endpoint.name)
    if found is None:
        return f"BentoCloud has no deployment {endpoint.name}"
    if endpoint.bento in (found.main, found.canary):
        return None
    return Superseded(f"the deployment {endpoint.name} has {found.main}, not {endpoint.bento}")


async def _ended_in_cloud(name: str, look: Look) -> Missing:
    from e2i.tools.bentoml.connector import GuardedBentoML

    found = await look.connect(GuardedBentoML).find(name)
    return Superseded(f"BentoCloud has a deployment {name}") if found is not None else None

"""Deploy Bentos to BentoCloud, by BentoML's own client. In: an order. Out: the endpoint.

Run in a process of its own (``apart.py``). The token is in the order, which is never written to a disk.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from e2i.errors import AuthenticationFailed, E2IError, StepError, ToolUnavailable
from e2i.tools.bentoml import Cloud, apart, resources
from e2i.tools.bentoml.endpoints import Endpoint
from e2i.tools.bentoml.resources import Resources

READY = ("running", "scaled-to-zero")
FAILED = ("failed", "image-build-failed", "terminated")
LOOKS = 1.0
"""Seconds between two questions for a deployment's status."""
CANARY = "canary"
"""Name of the second version of a deployment whose traffic is split."""


class Account(Struct, frozen=True):
    """Where to deploy, and as whom."""

    endpoint: str
    token: str
    cluster: str | None
    instance_type: str | None
    seconds: float
    """Timeout of the whole order."""

    @classmethod
    def of(cls, cloud: Cloud, seconds: float) -> Account:
        return cls(cloud.endpoint, cloud.api_token.get_secret_value(), cloud.cluster, cloud.instance_type, seconds)


class Deploy(Struct, frozen=True, tag="deploy"):
    """Have all requests of the deployment answered by one Bento; the deployment is made if there is none."""

    tag: str
    name: str
    replicas: int
    resources: Resources
    environment: str


class Move(Struct, frozen=True, tag="move"):
    """Move a percentage of the requests to a Bento; None: the newest of the deployment's name."""

    name: str
    percent: float
    to: str | None
    made: Mapping[str, tuple[str, ...]]
    """By name, the tags of the Bentos in the store, the newest last."""


class Undeploy(Struct, frozen=True, tag="undeploy"):
    """End the deployment."""

    name: str


class Find(Struct, frozen=True, tag="find"):
    """Find the deployment that answers at an address."""

    url: str


class Known(Struct, frozen=True, tag="known"):
    """Find the deployment of a name."""

    name: str


class Return(Struct, frozen=True, tag="return"):
    """Have all requests answered by the named Bento, or by the one besides the canary."""

    name: str
    to: str | None


What = Deploy | Move | Undeploy | Find | Known | Return


class Order(Struct, frozen=True):
    """What to do, and for whom."""

    account: Account
    what: What


class Deployment(Struct, frozen=True):
    """A deployment, with the Bentos that share its requests."""

    endpoint: Endpoint
    main: str
    canary: str | None
    percent: int
    """Percentage of the requests that the canary answers."""


def find(account: Account, name: str, environ: Mapping[str, str], home: Path) -> Deployment | None:
    """Return the deployment of that name; None when there is none. Raises StepError and ToolUnavailable."""
    order = Order(account, Known(name))
    return apart.call(__file__, order, Deployment | None, environ, home, account.seconds + 5)  # type: ignore[arg-type]  # as below


def ask(account: Account, what: What, environ: Mapping[str, str], home: Path) -> Endpoint | None:
    """Return the endpoint after the order; None when there is none. Raises StepError and ToolUnavailable."""
    return apart.call(__file__, Order(account, what), Endpoint | None, environ, home, account.seconds + 5)  # type: ignore[arg-type]  # a union is no class


def execute(order: Order) -> Endpoint | Deployment | None:
    """Execute the order in this process."""
    from bentoml._internal.cloud import BentoCloudClient

    with _explained(order.account.endpoint):
        client = BentoCloudClient(order.account.token, order.account.endpoint.rstrip("/"), timeout=30)
        if isinstance(order.what, Find):
            return _found(client, order.what.url, order.account.cluster)
        known = _known(client, order.what.name, order.account.cluster)
        match order.what:
            case Deploy() as what:
                config = _config(what, _instance_type(client, order.account, what.resources))
                return _applied(client, config, known, order.account, what.replicas)
            case Move() as what:
                if known is None:
                    raise _unknown(what.name)
                config, replicas = _moved(known, what)
                return _applied(client, config, known, order.account, replicas)
            case Return() as what:
                if known is None:
                    raise _unknown(what.name)
                config, replicas = _moved(known, Move(what.name, 100, what.to or _main(known), {}))
                return _applied(client, config, known, order.account, replicas)
            case Known():
                return None if known is None else _shown(known)
            case Undeploy(name=name):
                if known is None:
                    raise _unknown(name)
                _end(client, known, order.account.seconds)
                return None


def _known(client: Any, name: str, cluster: str | None) -> Any:
    """Return the deployment of that name; None when there is none."""
    from bentoml.exceptions import NotFound

    try:
        return client.deployment.get(name, cluster)
    except NotFound:
        return None


def _found(client: Any, url: str, cluster: str | None) -> Endpoint | None:
    for listed in client.deployment.list(cluster):
        known = client.deployment.get(listed.name, listed.cluster)
        if url in [address.rstrip("/") for address in known._urls or ()]:
            return Endpoint(known.name, url, known.get_bento(refetch=False), 0)
    return None


def _shown(known: Any) -> Deployment:
    main, second, percent = _split(known)
    url = known.get_endpoint_urls(refetch=False)[0].rstrip("/")
    return Deployment(Endpoint(known.name, url, second or main, 0), main, second, percent)


def _split(known: Any) -> tuple[str, str | None, int]:
    """Return the main Bento, the canary's if there is one, and the canary's percentage."""
    from bentoml._internal.utils.cattr import bentoml_cattr

    now = bentoml_cattr.unstructure(known.get_config(refetch=False))
    versions = (now.get("canary") or {}).get("versions") or {}
    second = next(iter(versions.values()), None)
    return now["bento"], second and second.get("bento"), int((second or {}).get("weight") or 0)


def _main(known: Any) -> str:
    main, second, _ = _split(known)
    if second is None:
        raise StepError(
            f"BentoCloud keeps no earlier state of {known.name}", code="nothing-to-roll-back", hint="name the Bento"
        )
    return main


def _config(what: Deploy, instance_type: str | None) -> dict[str, Any]:
    scaling = {"min_replicas": what.replicas, "max_replicas": what.replicas}
    service: dict[str, Any] = {"scaling": scaling}
    if instance_type is not None:
        service["instance_type"] = instance_type
    return {
        "name": what.name,
        "bento": what.tag,
        "access_authorization": True,
        "envs": [
            {"name": "E2I_ENVIRONMENT", "value": what.environment},
            {
                "name": "E2I_SERVICE_HOSTS",
                "value": "*",
            },  # BentoCloud's gateway chooses the name, and asks for the token
        ],
        "services": {what.tag.partition(":")[0]: service},
    }


def _moved(known: Any, what: Move) -> tuple[dict[str, Any], int]:
    """Return the configuration with the traffic split, and the number of replicas."""
    from bentoml._internal.utils.cattr import bentoml_cattr

    if what.percent != int(what.percent):
        raise StepError(f"{what.percent} is no whole percentage, and BentoCloud takes no other", code="bad-argument")
    now = bentoml_cattr.unstructure(known.get_config(refetch=False))
    main = now["bento"]
    versions = (now.pop("canary", None) or {}).get("versions") or {}
    second = next((version.get("bento") for version in versions.values()), None)
    made = what.made.get(main.partition(":")[0], ())
    tag = what.to or (made[-1] if made else main)
    rest = next((other for other in (main, second, *reversed(made)) if other is not None and other != tag), None)
    if rest is None and what.percent < 100:
        raise StepError(f"{tag} is the only Bento of {what.name}", code="bad-argument", hint="name another one: `to`")
    config = {**now, "name": what.name, "bento": tag if what.percent == 100 else rest}
    if 0 < what.percent < 100:
        version = {"bento": tag, "weight": int(what.percent), "services": now["services"]}
        config["canary"] = {"route_type": "random", "versions": {CANARY: version}}
    counts = [service.get("scaling", {}).get("max_replicas") or 1 for service in now["services"].values()]
    return config, max(counts, default=1)


def _applied(client: Any, config: dict[str, Any], known: Any, account: Account, replicas: int) -> Endpoint:
    """Make the deployment so, wait until it answers, and return it."""
    import bentoml

    cluster = account.cluster if known is None else known.cluster
    if cluster is not None:
        config = {**config, "cluster": cluster}
    change = bentoml.deployment.create if known is None else bentoml.deployment.apply
    made = change(name=config["name"], config_dict=config, _cloud_client=client)
    until = time.monotonic() + account.seconds
    while True:
        status = made.get_status(refetch=True).status
        if status in READY:
            tags = [version["bento"] for version in (config.get("canary") or {}).get("versions", {}).values()]
            return Endpoint(
                made.name, made.get_endpoint_urls(refetch=False)[0].rstrip("/"), (*tags, config["bento"])[0], replicas
            )
        if status in FAILED:
            raise ToolUnavailable(
                "bentoml",
                f"BentoCloud says that {made.name} is {status}",
                code="endpoint-failed",
                hint=made.admin_console,
            )
        if time.monotonic() > until:
            raise ToolUnavailable(
                "bentoml",
                f"{made.name} was not ready within {account.seconds:g} s: it is {status}",
                code="deadline-missed",
                hint=made.admin_console,
            )
        time.sleep(LOOKS)


def _end(client: Any, known: Any, seconds: float) -> None:
    """End the deployment's processes, then remove it."""
    client.deployment.terminate(known.name, known.cluster)
    until = time.monotonic() + seconds
    while (status := known.get_status(refetch=True).status) != "terminated":
        if time.monotonic() > until:
            raise ToolUnavailable(
                "bentoml", f"{known.name} is still {status}", code="deadline-missed", hint=known.admin_console
            )
        time.sleep(LOOKS)
    client.deployment.delete(known.name, known.cluster)


def _instance_type(client: Any, account: Account, limits: Resources) -> str | None:
    """Return the account's instance type, or the smallest that has the resources; None when none are wanted."""
    if account.instance_type is not None or limits == Resources():
        return account.instance_type
    found = []
    for kind in client.deployment.list_instance_types(account.cluster):
        has = resources.read({key: value for key, value in (("cpu", kind.cpu), ("memory", kind.memory)) if value})
        if (has.cores or 0) >= (limits.cores or 0) and (has.memory or 0) >= (limits.memory or 0) and not kind.gpu:
            found.append((has.cores or 0, has.memory or 0, str(kind.name)))
    if not found:
        raise StepError("no instance type of BentoCloud has these resources", code="bad-argument", hint="ask for less")
    return min(found)[2]


def _unknown(name: str) -> StepError:
    return StepError(f"BentoCloud has no deployment {name}", code="unknown-endpoint")


@contextmanager
def _explained(address: str) -> Iterator[None]:
    """Tell errors of the account and of requests from a cloud that is down."""
    import httpx
    from bentoml.exceptions import BentoMLException

    try:
        yield
    except E2IError:
        raise
    except httpx.TransportError as error:
        raise ToolUnavailable("bentoml", f"BentoCloud does not answer at {address}: {error}") from error
    except BentoMLException as error:
        status = int(getattr(error, "error_code", 0) or 0)
        if status in (401, 403):
            raise AuthenticationFailed("bentoml", f"BentoCloud refuses the token: {str(error)[:300]}") from error
        if status == 429 or (status >= 500 and "status code" in str(error)):
            raise ToolUnavailable("bentoml", f"BentoCloud is failing: {str(error)[:300]}") from error
        raise StepError(f"BentoCloud refuses it: {str(error)[:500]}", code="bento-failed") from error


if __name__ == "__main__":
    apart.main(Order, execute)

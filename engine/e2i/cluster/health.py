"""Reports the nodes of a cluster, for ``e2i doctor``. In: the settings of a cluster. Out: its state."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Annotated

from msgspec import Meta

from e2i import __version__
from e2i.cluster.connection import Connection, NodeFacts
from e2i.documents import Count, Element
from e2i.errors import E2IError
from e2i.machines import Dask


class NodeState(Element, frozen=True, kw_only=True):
    """One node of the cluster."""

    address: str
    name: str
    slots: Annotated[Count, Meta(description="Number of steps that it executes at a time.")]
    resources: Annotated[dict[str, float], Meta(description="What it declares beyond that, such as gpus.")]
    e2i: Annotated[str | None, Meta(description="Version of e2i; None: it does not answer, or has none.")]
    python: Annotated[str | None, Meta(description="Version of Python; None: as above.")]
    problem: Annotated[str | None, Meta(description="Why a run from here would not use it.")]


class ClusterState(Element, frozen=True, kw_only=True):
    """The cluster that executes pure steps."""

    address: str
    reachable: bool
    nodes: list[NodeState]
    problem: str | None

    @property
    def is_usable(self) -> bool:
        """True when it answers, and has a node without a problem."""
        return self.reachable and any(node.problem is None for node in self.nodes)


def examine(settings: Dask, root: Path) -> ClusterState:
    """Asks the scheduler for its nodes, and each node for its versions. ``root``: what certificates are relative to."""
    try:
        connection = Connection(settings, root, SimpleQueue())
    except E2IError as error:
        return ClusterState(address=settings.address, reachable=False, nodes=[], problem=error.message)
    try:
        versions = connection.describe()
        nodes = [_state(node, versions.get(node.address)) for node in connection.nodes()]
    except E2IError as error:
        return ClusterState(address=settings.address, reachable=False, nodes=[], problem=error.message)
    finally:
        connection.close()
    problem = None if nodes else "it has no node"
    return ClusterState(address=settings.address, reachable=True, nodes=nodes, problem=problem)


def _state(node: NodeFacts, versions: Mapping[str, str] | Exception | None) -> NodeState:
    found = versions if isinstance(versions, Mapping) else {}
    problem = None
    if not found:
        problem = f"it does not answer: {versions}"[:300] if versions is not None else "it has just joined"
    elif found["e2i"] != __version__:
        problem = f"it has e2i {found['e2i']}, not {__version__}"
    return NodeState(
        address=node.address,
        name=node.name,
        slots=node.slots,
        resources=dict(node.resources),
        e2i=found.get("e2i"),
        python=found.get("python"),
        problem=problem,
    )

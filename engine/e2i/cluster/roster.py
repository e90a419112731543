"""The nodes of a cluster as an engine knows them: which ones it uses, which ones it refuses, and how many calls fit.

In: what the scheduler says of its workers. Out: the capacity, and where calls may go. Nothing here waits.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from e2i.cluster.connection import NodeFacts
from e2i.cluster.demand import Demand
from e2i.cluster.faults import ClusterGone

AHEAD = 1
"""Number of calls that are submitted for each slot beyond the one that it executes, so that it does not wait."""
BRIEF_AHEAD = 7
"""The same for calls that end at once."""
BRIEF = 0.05
"""Duration in seconds up to which a call is brief."""


class Roster:
    """The nodes of one cluster."""

    def __init__(self, cluster: str, wait: float, nodes: Sequence[NodeFacts], now: float) -> None:
        """``wait``: seconds without a usable node after which the cluster counts as gone."""
        self._cluster = cluster
        self._wait = wait
        self._nodes: dict[str, NodeFacts] = {}
        self._refused: dict[str, str] = {}
        """Address of a node → why it is refused."""
        self._names: dict[str, str] = {}
        self._pace = BRIEF
        """Duration of the latest call in seconds."""
        self._last = now
        """When there was a usable node."""
        self._fitted: dict[Demand, float] = {}
        """When there was a node for calls that request this, or when one was first needed."""
        self.update(nodes, now)

    def update(self, nodes: Sequence[NodeFacts], now: float) -> None:
        """Replaces what is known of the nodes."""
        self._nodes = {node.address: node for node in nodes}
        self._names |= {node.address: node.name for node in nodes}
        if self._usable():
            self._last = now

    def capacity(self) -> int:
        """Returns how many calls may be submitted together."""
        slots = sum(node.slots for node in self._usable())
        return slots * (1 + (BRIEF_AHEAD if self._pace < BRIEF else AHEAD))

    def learn_pace(self, seconds: float) -> None:
        """Notes how long a call took."""
        self._pace = seconds

    def allowed(self, demand: Demand) -> list[str]:
        """Returns the addresses of the nodes that a call may go to; none: any node, also one that joins later."""
        return [node.address for node in self._fitting(demand)] if self._refused or demand != Demand() else []

    def counted(self, demand: Demand) -> dict[str, float]:
        """Returns the amounts that a call takes from whichever node executes it."""
        return demand.counted(node.resources for node in self._fitting(demand))

    def has(self, demand: Demand) -> bool:
        """Returns whether a node could execute a call that requests this."""
        return bool(self._fitting(demand))

    def knows(self, addresses: Collection[str]) -> bool:
        """Returns whether one of the nodes is connected, and not refused."""
        return any(node.address in addresses for node in self._usable())

    def require_for(self, demand: Demand, now: float) -> None:
        """Raises ClusterGone when no node has had what is requested for too long."""
        if self.has(demand):
            self._fitted[demand] = now
        elif self._usable() and now > self._fitted.setdefault(demand, now) + self._wait:
            lacks = "; ".join(f"{node.name} lacks {demand.lacks(node.resources)}" for node in self._usable())
            raise ClusterGone(
                f"no node of the cluster at {self._cluster} has had what a step requests for {self._wait:g} s: {lacks}",
                code="no-fitting-node",
                hint="start a worker with these --resources (docs/cluster.md), and run the same command again",
            )

    def name(self, address: str) -> str:
        """Returns the name of a node, also of one that has gone."""
        return self._names.get(address, address)

    def refuse(self, address: str, reason: str) -> bool:
        """Gives no more calls to a node. Returns False when it is refused already."""
        is_new = address not in self._refused
        self._refused.setdefault(address, reason)
        return is_new

    def require(self, now: float) -> None:
        """Raises ClusterGone when all nodes are refused, or when there has been none for too long."""
        if self._usable():
            return
        if self._nodes:
            why = "; ".join(f"{self.name(node)}: {self._refused[node]}" for node in sorted(self._nodes))
            raise ClusterGone(
                f"no node of the cluster at {self._cluster} can execute this plan: {why}",
                code="no-usable-node",
                hint="install the versions of the plan on the nodes (docs/cluster.md), and run the same command again",
            )
        if now > self._last + self._wait:
            raise ClusterGone(f"the cluster at {self._cluster} has had no node for {self._wait:g} s", code="no-node")

    def _fitting(self, demand: Demand) -> list[NodeFacts]:
        return [node for node in self._usable() if demand.lacks(node.resources) is None]

    def _usable(self) -> list[NodeFacts]:
        return [node for node in self._nodes.values() if node.address not in self._refused]

"""What a call requests of its node, compared with what nodes declare by ``--resources``.

In: a call, declared amounts by name; a label ``zone: eu`` is declared as ``zone:eu=1``. Out: what is lacking, and the
amounts that Dask counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

from msgspec import Struct, field

from e2i.spec import sizes
from e2i.workers.executor import StepCall


class Demand(Struct, frozen=True):
    """The resources of one call on its node."""

    cpus: int = 0
    memory: int = 0
    """Bytes."""
    gpus: int = 0
    labels: tuple[tuple[str, str], ...] = field(default=())

    @classmethod
    def of(cls, call: StepCall) -> Self:
        """Returns what a call requests."""
        return cls(call.cpus or 0, call.memory or 0, call.gpus, tuple(sorted(call.labels.items())))

    def lacks(self, declared: Mapping[str, float]) -> str | None:
        """Returns what a node lacks, for people; None: nothing. Cores and memory that it does not declare suffice."""
        found = [f"{name}: {value}" for name, value in self.labels if not declared.get(f"{name}:{value}")]
        if self.gpus > declared.get("gpus", 0):
            found.append(f"gpus: {self.gpus} (it has {declared.get('gpus', 0):g})")
        if self.cpus > declared.get("cpus", self.cpus):
            found.append(f"cpus: {self.cpus} (it has {declared['cpus']:g})")
        if self.memory > declared.get("memory", self.memory):
            found.append(f"memory: {sizes.text(self.memory)} (it has {sizes.text(declared['memory'])})")
        return ", ".join(found) or None

    def counted(self, nodes: Iterable[Mapping[str, float]]) -> dict[str, float]:
        """Returns the amounts that Dask takes from the node while the call runs: of what all these nodes declare."""
        there = [set(declared) for declared in nodes]
        names = set.intersection(*there) if there else set()
        amounts = {"cpus": self.cpus, "memory": self.memory, "gpus": self.gpus}
        return {name: float(amount) for name, amount in amounts.items() if amount and name in names}

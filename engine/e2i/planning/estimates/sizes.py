"""Predict the size of each step's work before a run. Pure.

In: the steps of a plan, and what finished steps took. Out: the size of each step, as far as it can be known: tables of
reused results are known; those of a step that runs are as many cells as last time, scaled by the step's own size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from e2i.planning import work
from e2i.planning.build import Planner
from e2i.spec.expansion.nodes import StepNode


class Used(Protocol):
    """What a finished step took: ``e2i.store.usage.Usage``."""

    @property
    def run(self) -> str: ...
    @property
    def step(self) -> str: ...
    @property
    def pipeline(self) -> str: ...
    @property
    def uses(self) -> str: ...
    @property
    def variant(self) -> str: ...
    @property
    def amount(self) -> int: ...
    @property
    def outputs(self) -> dict[str, int]: ...
    @property
    def seconds(self) -> float: ...
    @property
    def memory(self) -> int | None: ...
    @property
    def size(self) -> int: ...


class Sizes:
    """The sizes of the steps of one plan."""

    def __init__(self, planner: Planner, used: Sequence[Used]) -> None:
        """``used``: newest first."""
        self._planner = planner
        self._pipeline = planner.expanded.loaded.spec.name
        self._last: dict[str, Used] = {}
        for one in used:
            if one.pipeline == self._pipeline:
                self._last.setdefault(one.step, one)
        self._sizes: dict[str, float | None] = {}
        self._cells: dict[str, Mapping[str, float]] = {}

    def of(self, step: str) -> float | None:
        """Returns the size of a step; None when it cannot be known."""
        if step not in self._sizes:
            self._sizes[step] = None  # a cycle ends here
            self._sizes[step] = self._size(self._planner.expanded.nodes[step])
        return self._sizes[step]

    def _size(self, node: StepNode) -> float | None:
        last = self._last.get(node.id)
        params = self._params(node)
        asked = work.amount(self._planner.action(node), params) or (last.amount if last else 1)
        cells = [found for found in self._inputs(node) if found is not None]
        if not cells and last is not None:  # a source, or one whose inputs are not known
            return last.size / max(last.amount, 1) * asked
        return max(sum(cells), 1.0) * max(asked, 1)

    def _inputs(self, node: StepNode) -> list[float | None]:
        """Returns the cells of each table that a step reads."""
        found: dict[tuple[str, str], float | None] = {}
        for path, reference in node.references:
            if path[2] != "with" or reference.root != "steps" or len(reference.path) < 2:
                continue
            for feeding in self._planner.expanded.feeding(node, str(reference.path[0])):
                if feeding.inner is not None:
                    continue
                read = ".".join(map(str, reference.path[1:]))
                for name, cells in self._outputs(feeding.id).items():
                    if name == read or name.startswith(f"{read}."):
                        found[feeding.id, name] = cells
        return list(found.values())

    def _outputs(self, step: str) -> Mapping[str, float]:
        """Returns the cells of each table that a step returns."""
        if step not in self._cells:
            self._cells[step] = self._predicted(step)
        return self._cells[step]

    def _predicted(self, step: str) -> Mapping[str, float]:
        decided = self._planner.predicted.get(step)
        if decided is not None and decided.outputs is not None:
            return dict(work.tables(decided.outputs))
        last = self._last.get(step)
        if last is None:
            return {}
        size = self.of(step)
        scale = 1.0 if size is None else size / last.size
        return {name: cells * scale for name, cells in last.outputs.items()}

    def _params(self, node: StepNode) -> Any:
        return self._planner.expanded.known(node).values

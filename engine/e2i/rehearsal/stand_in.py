"""Execute the steps of a rehearsal: sources are sampled, effects go to stand-ins, everything else is real.

In: an executor. Out: an ``Executor`` for the engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from msgspec.structs import replace

from e2i.catalog.artifacts import Table
from e2i.documents import OutputValues
from e2i.rehearsal.redirect import Redirects
from e2i.rehearsal.results import SampledTable
from e2i.rehearsal.sampling import Wanted, choose
from e2i.store.artifacts import ArtifactStore
from e2i.testing.fixtures import Keeper
from e2i.workers import tables
from e2i.workers.executor import Ended, Executor, Message, StepCall, Wrapper


class Sampler:
    """Reduces the tables of sources. The first source with the column of entities decides which ones are kept."""

    def __init__(self, store: ArtifactStore, wanted: Wanted, looked_up: Set[tuple[str, str]], *, empty: bool) -> None:
        self._store = store
        self._wanted = wanted
        self._looked_up = looked_up
        self._empty = empty
        self._kept: Set[Any] | None = None
        self.taken: list[SampledTable] = []
        self.columns: set[str] = set()
        """The columns of all sources."""

    def take(self, step: str, outputs: OutputValues) -> OutputValues:
        """Returns the outputs of a source with fewer rows in their tables."""
        return OutputValues({name: self._reduced(step, name, value) for name, value in outputs.items()})

    def _reduced(self, step: str, output: str, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("type") != "table":
            return value
        facts = Table.model_validate(value)
        self.columns.update(facts.names)
        by = self._wanted.by if self._wanted.by in facts.names else None
        if self._empty:
            return self._stored(step, output, value, [], "no rows")
        if by is None and (step, output) in self._looked_up:
            self._report(step, output, facts.rows, facts.rows, "whole: rows are looked up in it")
            return value
        if facts.rows <= self._wanted.rows and (by is None or self._kept is None):
            if by is not None:
                self._keep(self._content(value).column(by))
            self._report(step, output, facts.rows, facts.rows, "whole")
            return value
        content = self._content(value)
        positions = choose(content, self._wanted, self._kept)
        if by is not None and self._kept is None:
            self._keep(content.column(by).take(positions))
        how = f"whole {by}" if by else "single rows"
        if self._wanted.stratify in facts.names:
            how += f", shares of {self._wanted.stratify}"
        return self._stored(step, output, value, positions, how)

    def _keep(self, entities: Any) -> None:
        self._kept = frozenset(entities.unique().to_pylist())

    def _content(self, value: Any) -> Any:
        return tables.read(self._store.path(value["digest"]))

    def _stored(self, step: str, output: str, value: Any, positions: Any, how: str) -> Any:
        import pyarrow as pa

        part = self._content(value).take(pa.array(positions, pa.int64()))
        self._report(step, output, part.num_rows, value["rows"], how)
        return Keeper(self._store).table(part)

    def _report(self, step: str, output: str, rows: int, of: int, how: str) -> None:
        self.taken.append(SampledTable(step=step, output=output, rows=rows, of=of, how=how))


class StandInExecutor(Wrapper):
    """Passes calls on. ``sources`` are the steps to sample, in the order of the spec."""

    def __init__(self, executor: Executor, sampler: Sampler, redirects: Redirects, sources: Sequence[str]) -> None:
        super().__init__(executor)
        self._sampler = sampler
        self._redirects = redirects
        self._order: Mapping[str, int] = {name: index for index, name in enumerate(sources)}
        self._running: set[str] = set()
        """The sources that are running."""
        self._waiting: list[Ended] = []
        """Sources that have ended before an earlier one, which decides about the entities."""
        self._answered: list[Message] = []

    def submit(self, call: StepCall) -> None:
        if (outputs := self._redirects.held_back(call)) is not None:
            self._answered.append(Ended(call.info.step, 0.0, outputs))
            return
        if call.info.step in self._order:
            self._running.add(call.info.step)
        super().submit(self._redirects.call(call))

    def poll(self, seconds: float) -> list[Message]:
        found, self._answered = self._answered, []
        for message in super().poll(0.0 if found else seconds):
            if not isinstance(message, Ended):
                found.append(message)
            elif message.step in self._order:
                self._running.discard(message.step)
                self._waiting.append(message)
            else:
                found.append(self._named(message))
        return [*found, *self._released()]

    def _released(self) -> list[Message]:
        """Returns the ends of sources that no running source precedes, with their samples."""
        first = min((self._order[name] for name in self._running), default=len(self._order))
        ready = [ended for ended in self._waiting if self._order[ended.step] < first]
        self._waiting = [ended for ended in self._waiting if self._order[ended.step] >= first]
        ready.sort(key=lambda ended: self._order[ended.step])
        return [self._sampled(self._named(ended)) for ended in ready]

    def _sampled(self, ended: Ended) -> Ended:
        if ended.failure is not None:
            return ended
        return _with(ended, self._sampler.take(ended.step, ended.outputs))

    def _named(self, ended: Ended) -> Ended:
        return _with(ended, self._redirects.named(ended.outputs))


def _with(ended: Ended, outputs: OutputValues) -> Ended:
    return replace(ended, outputs=outputs)

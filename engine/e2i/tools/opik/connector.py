"""Guarded calls to Opik. In: scores and questions. Out: answers, ``ToolUnavailable``, or the refusal of Opik.

What programs and runs observe goes through the outbox instead (``recorder``, ``sink``). This is for what must be there
when the call returns, and for reading.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec.structs import replace

from e2i.resilience.guard import Guard
from e2i.tools.opik import OpikSettings
from e2i.tools.opik.identity import is_sampled
from e2i.tools.opik.outages import is_outage

if TYPE_CHECKING:
    import opik

    from e2i.tools.opik.evaluated import Evaluated
    from e2i.tools.opik.evaluation import Evaluation


class GuardedOpik:
    """Opik with a breaker and a deadline; nothing blocks the event loop."""

    tool: ClassVar[str] = "opik"

    def __init__(self, settings: OpikSettings, guard: Guard, home: Path) -> None:
        self._settings = settings
        self._guard = replace(guard, classify=is_outage)
        self._home = home

    async def score(
        self,
        trace_id: str,
        name: str,
        value: float,
        *,
        reason: str | None = None,
        span_id: str | None = None,
        foreign: bool = False,
    ) -> bool:
        """Write a score of a trace, or of a span in it, if the trace is sampled. It replaces one of the same name.

        ``foreign``: the trace was kept elsewhere, whatever the sampling rate is here. Returns whether the score was
        written. Raises ToolUnavailable, or StepError when Opik refuses it.
        """
        if not foreign and not is_sampled(trace_id, self._settings.sampling_rate):
            return False
        score = {"id": span_id or trace_id, "name": name, "value": value, "reason": reason, "source": "sdk"}
        document = {**score, "project_name": self._settings.project_name}
        resource = "trace_scores" if span_id is None else "span_scores"
        present = {key: item for key, item in document.items() if item is not None}
        await self._guard.acall(self._write, resource, present)
        return True

    async def evaluate(self, evaluation: Evaluation, environment: str) -> Evaluated:
        """Evaluate, and keep it as an experiment. Raises as ``Runner.run`` does."""
        from e2i.tools.opik.evaluation import Runner

        return await Runner(self._settings, self._home, self._guard, environment).run(evaluation)

    async def count_cases(self, experiment: str) -> int:
        """Return the cases of the complete experiment of that name; 0 when there is none."""
        from e2i.tools.opik import experiments

        return await self._guard.acall(lambda: experiments.count(self.client, experiment))

    async def search_traces(self, filter_string: str | None = None, *, limit: int = 100) -> list[Any]:
        """Return traces of the project, newest first, by Opik's query language (``feedback_scores.auc > 0.8``)."""
        return await self._guard.acall(
            lambda: self.client.search_traces(filter_string=filter_string, max_results=limit)
        )

    async def search_spans(self, trace_id: str, filter_string: str | None = None, *, limit: int = 1000) -> list[Any]:
        """Return spans of a trace, newest first."""
        return await self._guard.acall(
            lambda: self.client.search_spans(trace_id=trace_id, filter_string=filter_string, max_results=limit)
        )

    @cached_property
    def client(self) -> opik.Opik:
        """Return the SDK's own client, opened on first use, for everything that this class does not offer."""
        from e2i.tools.opik.client import open_client

        return open_client(self._settings, self._home)

    async def close(self) -> None:
        """End the SDK's threads, if it was used."""
        if "client" in self.__dict__:
            await self._guard.acall(self.client.end, timeout=int(self._guard.deadline), flush=False)

    def _write(self, resource: str, score: dict[str, Any]) -> None:
        from e2i.tools.opik.client import open_rest
        from e2i.tools.opik.writing import write

        write(open_rest(self._settings, self._home), **{resource: [score]})

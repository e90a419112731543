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


class GuardedOpik:
    """Opik with a breaker and a deadline; nothing blocks the event loop."""

    tool: ClassVar[str] = "opik"

    def __init__(self, settings: OpikSettings, guard: Guard, home: Path) -> None:
        self._settings = settings
        self._guard = replace(guard, classify=is_outage)
        self._home = home

    async def score(self, trace_id: str, name: str, value: float, *, reason: str | None = None) -> None:
        """Write a score of a trace, if the trace is sampled. It replaces a score of the same name.

        Raises ToolUnavailable, or StepError when Opik refuses it.
        """
        if not is_sampled(trace_id, self._settings.sampling_rate):
            return
        score = {"id": trace_id, "name": name, "value": value, "reason": reason, "source": "sdk"}
        document = {**score, "project_name": self._settings.project_name}
        await self._guard.acall(self._write, {key: item for key, item in document.items() if item is not None})

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

    def _write(self, score: dict[str, Any]) -> None:
        from e2i.tools.opik.client import open_rest
        from e2i.tools.opik.writing import write

        write(open_rest(self._settings, self._home), trace_scores=[score])

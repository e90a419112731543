"""``BentoMLService``: the guarded BentoML client of the actions and the platform's agents.

In: settings, guard, folder. Out: Bentos, the command that serves one, and a service's predictions.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from msgspec import Struct
from msgspec.structs import replace

from e2i.catalog.artifacts import Bento, Model
from e2i.errors import Refused, StepError, ToolUnavailable
from e2i.resilience.breaker import Breaker
from e2i.resilience.guard import Guard
from e2i.resilience.transient import pause_of
from e2i.tools.bentoml import BentoMLSettings
from e2i.tools.bentoml.build import Recipe, ensure_bento, find_bento
from e2i.tools.bentoml.ports import HOST, claim

LOCAL = re.compile(r"http://127\.0\.0\.1:[0-9]{1,5}")


class Command(Struct, frozen=True):
    """How to start a service: its arguments, port and environment variables."""

    argv: tuple[str, ...]
    port: int
    env: Mapping[str, str]
    claimed: socket.socket
    """Return the socket that reserves the port. Close it once the service listens."""


class BentoMLService:
    """Client of BentoML. Every method may raise ToolUnavailable (down) and StepError (refused)."""

    tool: ClassVar[str] = "bentoml"

    def __init__(self, settings: BentoMLSettings, guard: Guard, home: Path) -> None:
        self.settings = settings
        self.guard = guard
        self.home = home
        self._services: dict[str, Guard] = {}

    async def package_model(self, model: Model, folder: Path, recipe: Recipe) -> Bento:
        """Return the Bento of that model and recipe; build it if it does not exist."""
        return await self.guard.acall(
            ensure_bento, self.home, model, folder, recipe, deadline=self.settings.build_deadline
        )

    async def command(self, tag: str, port: int = 0, *, supervised: bool = False) -> Command:
        """Return the command that serves a Bento. Raises ToolUnavailable, naming the process, when the port is in use.

        With ``supervised`` or more than one worker, BentoML's own supervisor runs and restarts workers that exit.
        """
        return await self.guard.acall(_command, self.home, tag, port, supervised, deadline=self.settings.build_deadline)

    async def predict(self, url: str, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Return the service's predictions, one for each row of features."""
        answer = await self._post(url, "/predict", {"input": [dict(row) for row in rows]})
        output = answer.get("output")
        if not isinstance(output, list) or len(output) != len(rows):
            raise StepError(f"{url} did not return one prediction for each row", code="bad-answer")
        return output

    async def metadata(self, url: str) -> dict[str, Any]:
        """Return the digest, features and classes of the service's model."""
        return await self._post(url, "/metadata", {})

    async def _post(self, url: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._service(_local(url)).acall(_post, url + path, body, self.settings.deadline, idempotent=True)

    def _service(self, url: str) -> Guard:
        """Return the guard of one service. Each service is a separate server and ends with its run."""
        if url not in self._services:
            self._services[url] = replace(self.guard, breaker=Breaker(self.tool, self.guard.breaker.policy))
        return self._services[url]


def _command(home: Path, tag: str, port: int, supervised: bool) -> Command:
    from e2i.tools.bentoml import server

    workers = int(find_bento(home, tag).info.services[0].config.get("workers") or 1)
    claimed = claim(port)
    port = claimed.getsockname()[1]
    argv: tuple[str, ...]
    if supervised or workers > 1:
        argv = (sys.executable, "-P", "-s", "-m", "bentoml", "serve", tag, "--host", HOST, "--port", str(port))
    else:
        argv = (sys.executable, "-P", "-s", server.__file__, tag, str(port))
    return Command(
        argv,
        port,
        {"BENTOML_HOME": str(home.resolve()), "BENTOML_DO_NOT_TRACK": "true", "E2I_SERVICE_HOSTS": ""},
        claimed,
    )


def _local(url: str) -> str:
    """Require an address on this machine: a spec may contain any address for a service."""
    if not LOCAL.fullmatch(url):
        raise Refused(f"not a service of this machine: {url[:80]!r}", code="bad-address", hint=f"http://{HOST}:PORT")
    return url


async def _post(url: str, body: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    import httpx

    async with httpx.AsyncClient(timeout=seconds, trust_env=False) as client:
        answer = await client.post(url, json=body)
    if answer.status_code >= 500:
        wanted = pause_of(answer.status_code, answer.headers)
        raise ToolUnavailable(
            "bentoml", f"{url} answered {answer.status_code}: {answer.text[:300]}", retry_after=wanted
        )
    if answer.status_code >= 400:
        raise StepError(f"{url} refused the request: {answer.text[:500]}", code="service-refused")
    try:
        document = answer.json()
    except ValueError as error:
        raise StepError(f"{url} did not answer with JSON", code="bad-answer") from error
    if not isinstance(document, dict):
        raise StepError(f"{url} did not answer with a JSON object", code="bad-answer")
    return document

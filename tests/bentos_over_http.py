"""Serve many models by one HTTP server, each by the service of a Bento of its own. In: lines. Out: the server's port.

Run as ``python bentos_over_http.py HOME``. Each JSON line on standard input has the ``name`` and the ``folder`` of a
model. The service of a model answers below ``/NAME``. What is shared is the process, the server and the store; the
Bento, its copies of the modules, its application and its middleware are those of one model, as BentoML makes them.
Ends when standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any


def build(home: Path, cases: list[dict[str, str]]) -> dict[str, str]:
    """Build a Bento of each model, and return their tags. BentoML then has the modules of the builds."""
    from e2i.tools.bentoml import build as building
    from e2i.tools.bentoml.contents import of_model

    recipes = [(building.Recipe(case["name"]), of_model(Path(case["folder"]), case["digest"])) for case in cases]
    return {
        recipe.name: building.ensure_bento(home, contents, recipe, building.build).tag for recipe, contents in recipes
    }


def applications(tags: dict[str, str]) -> dict[str, Any]:
    """Return the application of each Bento's service."""
    import bentoml

    found = {}
    for name, tag in tags.items():
        service = bentoml.load(tag)
        service.config["metrics"] = {"enabled": False}  # a process has one registry of metrics
        found[name] = service.to_asgi()
    return found


def serve(found: dict[str, Any], listener: socket.socket) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import Mount

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for one in found.values():
                await stack.enter_async_context(one.router.lifespan_context(one))
            yield

    app = Starlette(routes=[Mount(f"/{name}", one) for name, one in found.items()], lifespan=lifespan)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))

    def end() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=end, daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    asyncio.run(server.serve(sockets=[listener]))


if __name__ == "__main__":
    home = Path(sys.argv[1]).resolve()
    home.mkdir(parents=True, exist_ok=True)
    os.environ["BENTOML_HOME"] = str(home)
    count = int(sys.stdin.readline())
    given = [json.loads(sys.stdin.readline()) for _ in range(count)]
    with ProcessPoolExecutor(1) as pool:
        made = pool.submit(build, home, given).result()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serve(applications(made), listener)

"""What a shadow that hangs adds to the answers of an endpoint; prints the median of paired differences.

    python benchmarks/shadow.py [--pairs 15] [--requests 200] [--json]

Two routers in processes of their own pass requests on to one model server, which answers after 5 ms. One of them sends
a copy of each request to a shadow that never answers. Blocks of requests alternate between them, so that what else the
machine does meets both; of each pair of blocks the 95th percentiles are compared.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

GOAL_SECONDS, GOAL_SHARE = 0.002, 0.10
BODY = json.dumps({"input": [{f"f{number}": number * 0.5 for number in range(20)}]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--requests", type=int, default=200, help="in each block")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", nargs=2, metavar=("SIDE", "ADDRESSES"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(*given.serve))
        return
    servers = {"model": started("model", ""), "hanging": started("hanging", "")}
    try:
        addresses = f"{servers['model'][1]},{servers['hanging'][1]}"
        servers |= {side: started(side, addresses) for side in ("plain", "shadowed")}
        for side in ("plain", "shadowed"):
            block(servers[side][1], given.requests)
        pairs = []
        for number in range(given.pairs):
            order = ("plain", "shadowed") if number % 2 else ("shadowed", "plain")
            pairs.append({side: block(servers[side][1], given.requests) for side in order})
    finally:
        for process, _ in servers.values():
            process.kill()
            process.wait()
    base = statistics.median(pair["plain"] for pair in pairs)
    added = statistics.median(pair["shadowed"] - pair["plain"] for pair in pairs)
    met = added <= max(GOAL_SECONDS, GOAL_SHARE * base)
    if given.json:
        print(json.dumps({"schema_version": 1, "p95": base, "added": added, "met": met}))
        return
    print(f"p95 without a shadow {1000 * base:.2f} ms; a hanging shadow adds {1000 * added:+.2f} ms", end=" ")
    print(f"(median of {given.pairs} pairs of {given.requests} requests)")
    print(f"goal: at most 2 ms or 10 %: {'met' if met else 'missed'}")


def started(side: str, addresses: str) -> tuple[subprocess.Popen[bytes], str]:
    """Return a server's process and its address."""
    process = subprocess.Popen([sys.executable, __file__, "--serve", side, addresses], stdout=subprocess.PIPE)
    assert process.stdout is not None
    return process, process.stdout.readline().decode().strip()


def block(url: str, requests: int) -> float:
    """Return the 95th percentile of the seconds for an answer, over requests one after the other."""
    client = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    seconds = []
    for _ in range(requests):
        began = time.perf_counter()
        client.request("POST", "/predict", BODY, {"Content-Type": "application/json"})
        answer = client.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        seconds.append(time.perf_counter() - began)
    client.close()
    return sorted(seconds)[int(0.95 * requests) - 1]


async def serve(side: str, addresses: str) -> None:
    """Serve as the model, the shadow, or one of the routers, until killed."""
    import aiohttp
    from aiohttp import web

    async def predict(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        await asyncio.sleep(0.005 if side == "model" else 3_600)
        return web.json_response({"predictions": [1], "probabilities": [[0.25, 0.75]]})

    with tempfile.TemporaryDirectory() as folder:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
            server = web.Server(predict) if not addresses else router(side, addresses.split(","), Path(folder), client)
            runner = web.ServerRunner(server)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
            print(f"http://127.0.0.1:{port}", flush=True)
            await asyncio.Event().wait()


def router(side: str, addresses: list[str], folder: Path, client: Any) -> Any:
    """Return the front of an endpoint, as its router makes it."""
    from e2i.tools.bentoml import front, proxy, records
    from e2i.tools.bentoml.resources import Resources
    from e2i.tools.bentoml.watching import Watch

    def group(tag: str, url: str) -> Any:
        key = SimpleNamespace(tag=tag)
        replica = SimpleNamespace(url=url, busy=0, key=key)
        return SimpleNamespace(key=key, next=lambda: replica)

    groups = {"m:1": group("m:1", addresses[0]), "m:2": group("m:2", addresses[1])}
    passing = proxy.Proxy(client)
    passing.split = proxy.Split([(groups["m:1"], 100.0)])
    shadow = records.Share("m:2", 100.0) if side == "shadowed" else None
    wanted = records.Wanted(
        name="e", replicas=1, resources=Resources(), environment="", home="",
        shares=(records.Share("m:1", 100.0),), shadow=shadow,
    )  # fmt: skip
    Watch(folder, passing, client).begin(wanted, groups)
    return front.Front(passing.handle)


if __name__ == "__main__":
    main()

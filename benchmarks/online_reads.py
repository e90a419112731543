"""Online reads of Feast through e2i and by Feast's own client, in one program, from the same online store.

Each read is of one key with eight features, the keys of both sides in turn. It prints median and 99th percentile of
both sides in milliseconds, and their ratio, for the embedded store (SQLite) and for Redis, which it starts:
``python benchmarks/online_reads.py [--reads 2000] [--keys 10000] [--store sqlite|redis]``
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, os.fspath(ROOT / "tests"))
FEATURES = [f"f{number}" for number in range(8)]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--reads", type=int, default=2_000)
    arguments.add_argument("--keys", type=int, default=10_000)
    arguments.add_argument("--store", choices=("sqlite", "redis"), action="append")
    given = arguments.parse_args()
    print(f"{'store':8}{'side':8}{'p50 ms':>9}{'p99 ms':>9}   of {given.reads:,} reads, {given.keys:,} keys")
    for store in given.store or ("sqlite", "redis"):
        with _settings(store) as settings, tempfile.TemporaryDirectory() as folder:
            times = _measured(Path(folder), settings, given.keys, given.reads)
        for side, taken in times.items():
            print(f"{store:8}{side:8}{_share(taken, 0.5):9.2f}{_share(taken, 0.99):9.2f}")
        ratios = [_share(times["e2i"], share) / _share(times["feast"], share) for share in (0.5, 0.99)]
        print(f"{store:8}{'ratio':8}{ratios[0]:9.2f}{ratios[1]:9.2f}", flush=True)


@contextlib.contextmanager
def _settings(store: str) -> Iterator[dict[str, Any]]:
    """Yield the settings of the tool, with a server while they are used."""
    if store == "sqlite":
        yield {"deadline": 30}
        return
    from live import servers
    from project import held_port

    with servers.folder("redis") as folder, held_port() as port:
        server = servers.redis(folder, port)
        server.start()
        try:
            yield {"deadline": 30, "online_store": {"type": "redis", "host": "127.0.0.1", "port": port}}
        finally:
            server.kill()


def _measured(folder: Path, settings: dict[str, Any], keys: int, reads: int) -> dict[str, list[float]]:
    """Return the milliseconds of each read, by side."""
    import numpy as np
    import pandas as pd

    from context import LocalContext
    from e2i.settings import Settings
    from e2i.tools.feast import ApplyParams, MaterializeParams, actions
    from e2i.tools.feast.connector import GuardedFeast

    ctx = LocalContext(folder, settings=Settings(tools={"feast": settings}))
    r = np.random.default_rng(0)
    frame = pd.DataFrame({name: r.normal(size=keys) for name in FEATURES})
    frame = frame.assign(key=[f"k{number}" for number in range(keys)], at=pd.Timestamp("2025-01-01", tz="UTC"))
    view = {"table": ctx.table(frame), "entity": "key", "timestamp": "at"}
    document = {"project": "bench", "entities": {"key": {}}, "views": {"view": view}}

    async def all_of_it() -> dict[str, list[float]]:
        repo = (await actions.apply(ApplyParams.model_validate(document), ctx)).repo
        await actions.materialize(MaterializeParams(repo=repo), ctx)
        client = ctx.connect(GuardedFeast)
        store = client._versions().open(repo).store
        references = [f"view:{name}" for name in FEATURES]
        asked = [f"k{number}" for number in r.integers(0, keys, reads)]
        times: dict[str, list[float]] = {"e2i": [], "feast": []}
        for key in (asked[0], *asked):  # the first opens the connections
            begun = time.perf_counter()
            ours = await client.get_online_features(repo, ["view"], [{"key": key}])
            times["e2i"].append(_since(begun))
            begun = time.perf_counter()
            theirs = store.get_online_features(features=references, entity_rows=[{"key": key}]).to_dict()
            times["feast"].append(_since(begun))
            assert ours == [{name: values[0] for name, values in theirs.items()}]
        return {side: taken[1:] for side, taken in times.items()}

    found = asyncio.run(all_of_it())
    ctx.close()
    return found


def _since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1_000


def _share(taken: list[float], share: float) -> float:
    return sorted(taken)[min(len(taken) - 1, int(len(taken) * share))]


if __name__ == "__main__":
    main()

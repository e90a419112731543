"""Online reads of Feast through e2i and by Feast's own client, in one program, from the same online store.

Each read is of one key with eight features, the keys of both sides in turn, after a pause of 2 ms: a process that
never rests is interrupted when its time is up, in whichever read that is. ``action`` reads as a step does, ``program``
by ``FeastClient``. It prints median and 99th percentile of both sides in milliseconds, and their ratio, for the
embedded store (SQLite) and for Redis, which it starts:
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
PAUSE = 0.002
"""Seconds before each read."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--reads", type=int, default=2_000)
    arguments.add_argument("--keys", type=int, default=10_000)
    arguments.add_argument("--store", choices=("sqlite", "redis"), action="append")
    given = arguments.parse_args()
    print(f"{'store':8}{'door':9}{'side':8}{'p50 ms':>9}{'p99 ms':>9}   of {given.reads:,} reads, {given.keys:,} keys")
    for store in given.store or ("sqlite", "redis"):
        for door, measured in (("action", _by_action), ("program", _by_program)):
            with _settings(store) as settings, tempfile.TemporaryDirectory() as folder:
                times = measured(Path(folder), settings, given.keys, given.reads)
            for side, taken in times.items():
                print(f"{store:8}{door:9}{side:8}{_share(taken, 0.5):9.2f}{_share(taken, 0.99):9.2f}")
            ratios = [_share(times["e2i"], share) / _share(times["feast"], share) for share in (0.5, 0.99)]
            print(f"{store:8}{door:9}{'ratio':8}{ratios[0]:9.2f}{ratios[1]:9.2f}", flush=True)


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


def _by_action(folder: Path, settings: dict[str, Any], keys: int, reads: int) -> dict[str, list[float]]:
    """Return the milliseconds of each read, by side."""
    from context import LocalContext
    from e2i.settings import Settings
    from e2i.tools.feast import ApplyParams, MaterializeParams, actions
    from e2i.tools.feast.connector import GuardedFeast

    ctx = LocalContext(folder, settings=Settings(tools={"feast": settings}))
    view = {"table": ctx.table(_rows(keys)), "entity": "key", "timestamp": "event_timestamp"}
    document = {"project": "bench", "entities": {"key": {}}, "views": {"view": view}}

    async def all_of_it() -> dict[str, list[float]]:
        repo = (await actions.apply(ApplyParams.model_validate(document), ctx)).repo
        await actions.materialize(MaterializeParams(repo=repo), ctx)
        client = ctx.connect(GuardedFeast)
        store = client._versions().open(repo).store
        times: dict[str, list[float]] = {"e2i": [], "feast": []}
        for key in _asked(keys, reads):
            time.sleep(PAUSE)
            begun = time.perf_counter()
            (ours,) = await client.get_online_features(repo, ["view"], [{"key": key}])
            times["e2i"].append(_since(begun))
            assert ours == _by_feast(store, key, times["feast"])
        return {side: taken[1:] for side, taken in times.items()}

    found = asyncio.run(all_of_it())
    ctx.close()
    return found


def _by_program(folder: Path, settings: dict[str, Any], keys: int, reads: int) -> dict[str, list[float]]:
    """Return the milliseconds of each read, by side."""
    os.environ["E2I_STORE"] = os.fspath(folder)
    with contextlib.redirect_stderr(None):
        from e2i.mlops import FeastClient, FeastConfig

        client = FeastClient(FeastConfig.model_validate(settings))
    for name in FEATURES:
        client.register_feature(name, "view", "key", "float64")
    client.push("view", _rows(keys))
    store = client._opened()._store
    time.sleep(3)  # a registry that was just written is read again each time
    times: dict[str, list[float]] = {"e2i": [], "feast": []}
    for key in _asked(keys, reads):
        time.sleep(PAUSE)
        begun = time.perf_counter()
        ours = client.get_online_features([{"key": key}], ["view"])
        times["e2i"].append(_since(begun))
        assert {name: values[0] for name, values in ours.items()} == _by_feast(store, key, times["feast"])
    return {side: taken[1:] for side, taken in times.items()}


def _rows(keys: int) -> Any:
    import numpy as np
    import pandas as pd

    r = np.random.default_rng(0)
    frame = pd.DataFrame({name: r.normal(size=keys) for name in FEATURES})
    return frame.assign(
        key=[f"k{number}" for number in range(keys)], event_timestamp=pd.Timestamp("2025-01-01", tz="UTC")
    )


def _asked(keys: int, reads: int) -> list[str]:
    """Return the keys to read. The first read opens the connections."""
    import numpy as np

    asked = [f"k{number}" for number in np.random.default_rng(1).integers(0, keys, reads)]
    return [asked[0], *asked]


def _by_feast(store: Any, key: str, times: list[float]) -> dict[str, Any]:
    """Return the features of a key, read by Feast's own client, and note the milliseconds."""
    time.sleep(PAUSE)
    begun = time.perf_counter()
    found = store.get_online_features(
        features=[f"view:{name}" for name in FEATURES], entity_rows=[{"key": key}]
    ).to_dict()
    times.append(_since(begun))
    return {name: values[0] for name, values in found.items()}


def _since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1_000


def _share(taken: list[float], share: float) -> float:
    return sorted(taken)[min(len(taken) - 1, int(len(taken) * share))]


if __name__ == "__main__":
    main()

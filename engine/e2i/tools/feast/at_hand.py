"""Read online features that are in a file of this machine, without waiting. In: an open repository, keys. Out: values.

A read of one key takes some tenths of a millisecond. On a machine whose processors are busy, each thread that is woken
waits some milliseconds for its turn, so that a read in another thread would take many times as long now and then.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2i.tools.feast import retrieval, sdk

MOST_VALUES = 500
"""Stored values to read here, of which Feast reads some 50,000 in a second: an event loop waits for 10 ms at most."""
LARGEST_REGISTRY = 200_000
"""Bytes of a registry to parse here, which takes some milliseconds."""
USUAL_WAIT = 5_000
"""Milliseconds that Feast waits for a process that writes the file: the default of ``sqlite3.connect``."""


def is_local(store: sdk.FeatureStore) -> bool:
    """Return True when the registry is a small file, and the online store a file that Feast has opened already."""
    file = registry_file(store)
    if file is None or store.config.online_store.type != "sqlite" or _connection(store) is None:
        return False
    try:
        return file.stat().st_size <= LARGEST_REGISTRY
    except OSError:
        return False


def registry_file(store: sdk.FeatureStore) -> Path | None:
    """Return the file of the registry; None when it is elsewhere."""
    registry = getattr(store.registry, "_registry_store", None)
    return Path(registry._filepath) if isinstance(registry, sdk.FileRegistryStore) else None


def read(
    store: sdk.FeatureStore,
    join_keys: Mapping[str, Sequence[str]],
    names: Mapping[tuple[str, str], str],
    rows: Sequence[Mapping[str, Any]],
    stored: Mapping[str, int],
) -> list[dict[str, Any]] | None:
    """Return as ``retrieval.read_online``; None for too much to read here, and for what cannot be read at once.

    ``stored`` is the number of features of each view: Feast reads all of them.
    """
    if len(rows) * sum(stored[view] for view in {view for view, _ in names}) > MOST_VALUES:
        return None
    try:
        with _without_waiting(_connection(store)):
            return retrieval.read_online(store, join_keys, names, rows)
    except sqlite3.OperationalError:  # locked, or worse: a read in another thread waits, and says what is wrong
        return None


@contextmanager
def _without_waiting(connection: sqlite3.Connection) -> Iterator[None]:
    """Let a statement fail at once where another process writes the file."""
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {USUAL_WAIT}")


def _connection(store: sdk.FeatureStore) -> Any:
    return getattr(store._get_provider().online_store, "_conn", None)

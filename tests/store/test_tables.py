"""The version of the store's tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from e2i.store.database import FILE, StoreError
from e2i.store.history import Reader
from e2i.store.runs import RunStore


def test_a_newer_store_is_refused_clearly(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        database.execute("PRAGMA user_version = 99")
    before = (tmp_path / FILE).read_bytes()
    for opened in (Reader, RunStore):
        with pytest.raises(StoreError, match="newer version") as raised:
            opened(tmp_path, lambda digest: True)
        assert raised.value.code == "store-too-new"
    assert (tmp_path / FILE).read_bytes() == before

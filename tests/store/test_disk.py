"""A full disk is recognised in whatever form a library raises it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from e2i.store import disk


def fill(source: str, target: str) -> None:
    Path("/dev/full").write_text(source)


def test_it_is_found_among_the_errors_of_a_copied_folder(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.py").touch()
    with pytest.raises(shutil.Error) as raised:
        shutil.copytree(tmp_path / "source", tmp_path / "target", copy_function=fill)
    found = disk.trouble(raised.value)
    assert found is not None and found.code == "disk-full" and "target/a.py" in found.message


def test_it_is_found_behind_an_error_of_sqlite(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as database, pytest.raises(ValueError) as raised:
        database.execute("CREATE TABLE t (x)")
        database.execute("PRAGMA max_page_count = 2")
        try:
            database.execute("INSERT INTO t VALUES (zeroblob(100000))")
        except sqlite3.OperationalError as error:
            raise ValueError("a library's own error") from error
    found = disk.trouble(raised.value, "the store")
    assert found is not None and (found.code, found.message) == ("disk-full", "disk full: the store")


def test_other_errors_of_a_copied_folder_are_not_the_disks(tmp_path: Path) -> None:
    for error in (shutil.Error([("a", "b", "unreadable")]), shutil.Error("a and b are the same file"), OSError(2, "x")):
        assert disk.trouble(error) is None

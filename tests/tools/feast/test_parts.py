"""Rows that are appended: all of them are read, in order, whatever happens meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from e2i.tools.feast import parts

SCHEMA = pa.schema([("key", pa.string()), ("n", pa.int64())])


def rows(*numbers: int) -> pa.Table:
    return pa.table({"key": [str(number) for number in numbers], "n": numbers}, schema=SCHEMA)


def numbers(folder: Path) -> list[int]:
    found: list[int] = parts.read(folder, ["n"])["n"].to_pylist()
    return found


def test_rows_are_read_in_the_order_in_which_they_were_appended(tmp_path: Path) -> None:
    parts.declare(tmp_path / "v", SCHEMA)
    assert numbers(tmp_path / "v") == []
    for number in range(3 * parts.MOST):
        parts.append(tmp_path / "v", rows(number, -number))
    expected = [sign * number for number in range(3 * parts.MOST) for sign in (1, -1)]
    assert numbers(tmp_path / "v") == expected
    assert len(parts.listed(tmp_path / "v")) < parts.MOST


def test_the_same_rows_are_not_added_twice_in_a_row_but_again_after_others(tmp_path: Path) -> None:
    parts.declare(tmp_path, SCHEMA)
    for table in (rows(1), rows(1), rows(2), rows(1)):
        parts.append(tmp_path, table)
    assert numbers(tmp_path) == [1, 2, 1]


def test_a_column_is_null_in_rows_that_are_older_than_it(tmp_path: Path) -> None:
    parts.declare(tmp_path, SCHEMA)
    parts.append(tmp_path, rows(1))
    parts.declare(tmp_path, SCHEMA.append(pa.field("late", pa.bool_())))
    assert parts.read(tmp_path)["late"].to_pylist() == [None]


def test_files_that_are_merged_are_not_read_twice(tmp_path: Path) -> None:
    parts.declare(tmp_path, SCHEMA)
    for number in (1, 2, 3):
        parts.append(tmp_path, rows(number))
    held = {part.path: part.path.read_bytes() for part in parts.listed(tmp_path)}
    parts._merge(tmp_path)
    for path, content in held.items():  # as if it had been killed before it removed them
        path.write_bytes(content)
    assert numbers(tmp_path) == [1, 2, 3]
    parts.append(tmp_path, rows(4))
    assert numbers(tmp_path) == [1, 2, 3, 4]


def test_readers_see_a_prefix_of_the_rows_while_files_are_appended_and_merged(tmp_path: Path) -> None:
    parts.declare(tmp_path, SCHEMA)
    parts.append(tmp_path, rows(0))

    def read() -> bool:
        while True:
            found = numbers(tmp_path)
            assert found == list(range(len(found)))
            if len(found) == 200:
                return True

    with ThreadPoolExecutor(3) as threads:
        readers = [threads.submit(read) for _ in range(3)]
        for number in range(1, 200):
            parts.append(tmp_path, rows(number))
        assert all(reader.result() for reader in readers)

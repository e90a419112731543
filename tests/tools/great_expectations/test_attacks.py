"""Suites cannot execute code, run SQL of their own or read anything but their table: on pandas and SQLite, and from Python.

PostgreSQL: ``tests/live/test_great_expectations.py``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from e2i.errors import BadInput, E2IError
from e2i.tools.great_expectations import writing
from e2i.tools.great_expectations.suite import load
from tools.great_expectations.attacks import COLUMNS, EXPECTATIONS, LITERALS, compared
from tools.great_expectations.sources import Warehouse, check_attacks, frame


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    root = tmp_path_factory.mktemp("attacks")
    with closing(sqlite3.connect(root / "x.db")) as made:
        frame(60).to_sql("journeys", made, index=False)
    found = Warehouse(root, {"type": "sqlite", "path": str(root / "x.db")})
    yield found
    found.ctx.close()


@pytest.mark.parametrize("item", EXPECTATIONS, ids=lambda item: str(item.get("row_condition", item))[:60])
def test_an_expectation_that_would_run_something_is_refused_wherever_it_is_written(
    item: dict[str, Any], warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for check in (lambda: warehouse.check([item]), lambda: warehouse.check_frame(frame(60), [item])):
        with pytest.raises((ValidationError, BadInput)):  # in a spec: a validation error before anything runs
            check()
    with pytest.raises(E2IError):  # in a file of the workspace
        (tmp_path / "s.yaml").write_text(yaml.safe_dump({"name": "s", "expectations": [item]}))
        writing.check((tmp_path / "s.yaml").read_bytes(), "s")
        load(tmp_path / "s.yaml", "s")
    with pytest.raises(E2IError):  # from a program, as of an existing project
        writing.check(writing.text_of("s", [item]), "s")
    assert [path.name for path in tmp_path.iterdir()] == ["s.yaml"]


def test_hostile_texts_are_compared_and_hostile_names_are_unknown(warehouse: Warehouse) -> None:
    check_attacks(warehouse, 60)
    assert len(LITERALS) * len(compared("x")) >= 75 and len(COLUMNS) >= 8

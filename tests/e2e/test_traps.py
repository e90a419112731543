"""``docs/traps.md``: each trap of the tools has a row, and every test that a row names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from e2e.sandbox import REPOSITORY

TEXT = (REPOSITORY / "docs" / "traps.md").read_text("utf-8")
ROWS = {int(row[1]): row[0] for row in re.finditer(r"^\| (\d+) \|.*$", TEXT, re.MULTILINE)}
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


@cache
def functions_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


def test_each_of_the_twenty_traps_has_a_row_that_names_a_test() -> None:
    assert sorted(ROWS) == list(range(1, 21))
    assert [number for number, row in ROWS.items() if "::test_" not in row] == []


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_the_test_that_proves_it_exists(file: str, name: str) -> None:
    assert name in functions_in(REPOSITORY / file)

"""``docs/hostile.md``: every row of these classes has a line, and every test that a line names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "hostile.md").read_text("utf-8")
LINES = {row[1]: row[0] for row in re.finditer(r"^\| ([A-Z]\d\d) \|.*$", TEXT, re.MULTILINE)}
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))
ROWS = {f"F{number:02}" for number in range(1, 54, 2)} | {f"B{number:02}" for number in range(1, 21)} | {
    "K02", "K04", "K06", "K07", "L08", "L11", "L12", "M05", "P23"
}  # fmt: skip
ELSEWHERE = {"F29", "F35", "F41", "F43"}
"""Slow trackers, ports and clusters: of other classes."""


@cache
def functions_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_row_has_a_line_that_names_a_test() -> None:
    assert LINES.keys() >= ROWS - ELSEWHERE
    assert [row for row, line in LINES.items() if "::test_" not in line] == []


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_the_test_that_shows_it_exists(file: str, name: str) -> None:
    assert name in functions_in(ROOT / file)

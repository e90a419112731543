"""Every block of docs/python.md runs: the blocks of a section one after another, in an empty folder."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path

import pytest

from mlops import coverage

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def sections() -> dict[str, str]:
    """The Python code of each section, by its title."""
    found: dict[str, str] = {}
    for section in re.split(r"^(?=#{1,2} )", PAGE.read_text("utf-8"), flags=re.M):
        blocks = re.findall(r"^```python\n(.*?)^```", section, flags=re.M | re.S)
        if blocks:
            found[section.partition("\n")[0].lstrip("# ")] = "\n".join(blocks)
    return found


@pytest.mark.parametrize(
    "title", [pytest.param(title, marks=pytest.mark.slow if title == "BentoML" else ()) for title in sections()]
)
def test_the_blocks_of_a_section_run(workspace: Path, title: str) -> None:
    (workspace / "config").mkdir()
    (workspace / "config" / "default.yaml").write_text("tools: {feast: {deadline: 60}}\n")  # a busy machine takes long
    code = compile(sections()[title], "section.py", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    async def work() -> None:
        if inspect.iscoroutine(result := eval(code, {"__name__": "__main__"})):
            await result

    asyncio.run(work())


def test_every_method_is_tested_and_the_table_says_how() -> None:
    assert coverage.filled(PAGE.read_text("utf-8")) == PAGE.read_text("utf-8"), "python tests/mlops/coverage.py"
    assert " |  | 0 |" not in coverage.table()

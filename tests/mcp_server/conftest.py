from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from agents import Agent

if importlib.util.find_spec("mcp") is None:  # an environment without the extra
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    from agents import Agent

    return Agent(tmp_path / "project")

"""The examples of a tool are one valid spec, in a project that has its files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from e2i import api
from e2i.catalog.registry import BUILT_IN

REPOSITORY = Path(__file__).parents[2]
PLACES = """
tools:
  database: {connections: {warehouse: {url: "sqlite:///data/shop.db", read_only: false}}}
  great_expectations: {datasources: {warehouse: {type: sqlite, path: data/shop.db}}}
  remote:
    locations:
      sales: {kind: https, root: "https://data.example.com/sales"}
      results: {kind: s3, root: bucket/results, read_only: false}
"""
TABLE = "hcp_id,observation_date,call_frequency,comment\nHCP000001,2024-01-01,3,none\n"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> api.Workspace:
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(REPOSITORY / "config" / "expectations", root / "config" / "expectations")
    for name, text in {"data/hcp.csv": TABLE, "steps/clean.py": "def clean(table, least): return table\n"}.items():
        (root / name).parent.mkdir()
        (root / name).write_text(text)
    (root / "config" / "default.yaml").write_text(PLACES)
    return api.Workspace.open(root=root, environ={})


@pytest.mark.parametrize("tool", sorted(BUILT_IN))
def test_a_tools_examples_are_one_valid_spec(tool: str, workspace: api.Workspace) -> None:
    spec = REPOSITORY / "engine" / "e2i" / "tools" / tool / "example.yaml"
    assert [str(problem) for problem in api.validate(spec, workspace=workspace).errors] == []

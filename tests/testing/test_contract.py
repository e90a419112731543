"""Every tool of e2i keeps to the contract, and the contract notices a tool that does not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import pytest
from msgspec.structs import replace
from pydantic import Field

from e2i.catalog.action import Action, Effect, Outputs, Params
from e2i.catalog.registry import BUILT_IN
from e2i.testing import contract
from e2i.testing.contract import Rule, Subject

REPOSITORY = Path(__file__).parents[2]
FILES = {
    "data/hcp.csv": "hcp_id,observation_date,call_frequency,comment\nHCP000001,2024-01-01,3,none\n",
    "steps/clean.py": "def clean(table, least): return table\n",
}
PLACES = {
    "database": {"connections": {"warehouse": {"url": "sqlite:///data/shop.db", "read_only": False}}},
    "great_expectations": {"datasources": {"warehouse": {"type": "sqlite", "path": "data/shop.db"}}},
    "remote": {
        "locations": {
            "sales": {"kind": "https", "root": "https://data.example.com/sales"},
            "results": {"kind": "s3", "root": "bucket/results", "read_only": False},
        }
    },
}
"""The places that examples name."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("project")
    shutil.copytree(REPOSITORY / "config" / "expectations", found / "config" / "expectations")
    return found


@pytest.mark.parametrize("rule", contract.RULES, ids=contract.name_of)
@pytest.mark.parametrize("tool", sorted(BUILT_IN))
def test_every_tool_keeps_to_the_contract(tool: str, rule: Rule, root: Path) -> None:
    rule(Subject.of(tool, root, FILES, PLACES if rule is contract.has_examples else None))


class Bare(Params):
    value: int = 0


class Empty(Outputs):
    pass


class Described(Params):
    value: Annotated[int, Field(description="Any number.")] = 0


@pytest.mark.parametrize(
    ("rule", "action", "wrong"),
    [
        (contract.is_described, Action("echo", "", Described, Empty), "debug.echo has no summary"),
        (contract.is_described, Action("echo", "Echoes.", Bare, Empty), "no description of value"),
        (contract.has_functions, Action("shout", "Shouts.", Described, Empty), "shout"),
        (contract.has_schemas, Action("shout", "Shouts.", Described, Empty), "not in the schema"),
        (contract.has_examples, Action("shout", "Shouts.", Described, Empty), "does not use debug.shout"),
        (
            contract.has_verified_effects,
            Action("echo", "Echoes.", Described, Empty, effect=Effect.EXTERNAL),
            "reused without a check",
        ),
        (contract.predicts_nothing_unknown, Action("echo", "Echoes.", Described, Empty, columns=True), "differ"),
    ],
)
def test_what_breaks_the_contract_is_noticed(rule: Rule, action: Action, wrong: str, tmp_path: Path) -> None:
    subject = Subject.of("debug", tmp_path)
    broken = replace(subject, tool=replace(subject.tool, actions=(action,)))
    with pytest.raises((AssertionError, AttributeError), match=wrong):
        rule(broken)


def test_a_heavy_declaration_is_noticed(tmp_path: Path) -> None:
    subject = Subject.of("debug", tmp_path)
    with pytest.raises(AssertionError, match="imports pydantic"):
        contract.is_light(replace(subject, tool=replace(subject.tool, imports=("pydantic.main",))))

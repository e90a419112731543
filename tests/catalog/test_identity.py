"""What names the server that a tool acts on: equal on every machine that reaches it, and without its credentials."""

from __future__ import annotations

from typing import Any

import pytest

from e2i.catalog.registry import BUILT_IN
from e2i.settings import Settings
from e2i.tools.great_expectations import GreatExpectationsSettings

POSTGRES = {"type": "postgres", "host": "DB", "database": "f", "user": "u", "password": "canary"}
REDIS = {"type": "redis", "host": "cache", "password": "canary"}


def identity(tool: str, **settings: Any) -> dict[str, Any]:
    return dict(Settings(tools={tool: settings}).tool(tool).identity())


@pytest.mark.parametrize(
    ("tool", "settings", "named"),
    [
        ("feast", {"online_store": REDIS}, {"online_store": "redis://cache:6379/0"}),
        ("feast", {"online_store": POSTGRES}, {"online_store": "postgresql://db:5432/f/public"}),
        (
            "feast",
            {"registry": {"type": "sql", "url": "postgresql+psycopg://u:canary@db/r"}},
            {"registry": "postgresql://db/r"},
        ),
        ("optuna", {"study_storage": "postgresql://u:canary@db:5432/o"}, {"study_storage": "postgresql://db/o"}),
    ],
)
def test_a_server_is_named_without_credentials(tool: str, settings: dict[str, Any], named: dict[str, Any]) -> None:
    assert identity(tool, **settings) == named
    assert not Settings(tools={tool: settings}).tool(tool).is_embedded


def test_a_step_that_names_a_connection_is_identified_by_that_one() -> None:
    addresses = {"a": "postgresql://u:canary@db/x?sslmode=require", "b": "sqlite:///data/x.db"}
    connections = {name: {"url": address} for name, address in addresses.items()}
    settings = Settings(tools={"database": {"connections": connections}}).tool("database")
    assert settings.identity_of({"connection": "a"}) == {"a": "postgresql://db/x"}
    assert settings.identity_of({"connection": "b", "into": "t"}) == {"b": "sqlite:///data/x.db"}
    assert settings.identity_of({}) == settings.identity() == {"a": "postgresql://db/x", "b": "sqlite:///data/x.db"}


@pytest.mark.parametrize("other", [{"db": 1}, {"host": "cache2"}, {"port": 6380}])
def test_another_database_of_a_server_is_another_place(other: dict[str, Any]) -> None:
    assert identity("feast", online_store=REDIS) != identity("feast", online_store={**REDIS, **other})


def test_effects_are_verified_of_these_actions() -> None:
    verified = [name for name in BUILT_IN.names() if (found := BUILT_IN.action(name)) and found.verified]
    assert verified == [
        "bentoml.deploy",
        "bentoml.package",
        "bentoml.rollback",
        "bentoml.undeploy",
        "bentoml.update_traffic",
        "data.write",
        "database.write",
        "feast.apply",
        "feast.materialize",
        "mlflow.promote",
        "mlflow.register",
        "opik.evaluate",
        "optuna.tune",
        "remote.put",
    ]


def test_a_validation_is_bound_to_the_database_that_it_names_and_to_what_default_means() -> None:
    sources = {"w": {"type": "postgresql", "url": "postgresql://u:p@db/x"}, "f": {"type": "sqlite", "path": "x.db"}}
    settings = GreatExpectationsSettings.model_validate({"datasources": sources, "default_suites": {"regression": "r"}})
    assert settings.identity() == settings.identity_of({"source": "w"}) == {"w": "postgresql://db/x"}
    assert settings.identity_of({"source": "f"}) == settings.identity_of({"suite": "own"}) == {}
    assert settings.identity_of({"suite": "default"}) == {"default_suites": {"regression": "r"}}
    assert settings.circuits() == ("w",), "the name of the doctor's question, which closes the circuit"
    assert {name: place.host for name, place in settings.places().items()} == {"w": "db", "f": None}

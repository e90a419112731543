"""``FeastClient`` against the real Feast: embedded, an existing repository, Redis and PostgreSQL."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest

from e2i.mlops import BadCall, FeastClient, FeastConfig, ToolUnavailable
from e2i.tools.feast import SqliteOnlineStore
from live.servers import Postgres, Server
from tools.feast.feast_case import at
from tools.feast.test_programs import existing

pytest.importorskip("feast")


def rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "hcp_id": ["a", "a", "b"],
            "event_timestamp": [at("2025-01-01"), at("2025-03-01"), at("2025-01-01")],
            "calls": [1, 2, 5],
            "tenure": [0.5, 1.5, 2.5],
        }
    )


def on_servers(postgres: Postgres, online: dict[str, Any], **settings: Any) -> FeastConfig:
    registry = postgres.database().replace("postgresql:", "postgresql+psycopg:")
    return FeastConfig.model_validate(
        {"registry": {"type": "sql", "url": registry}, "online_store": online, "deadline": 10, **settings}
    )


def redis_store(server: Server) -> dict[str, Any]:
    return {"type": "redis", "host": "127.0.0.1", "port": server.port, "db": 3}


def postgres_store(server: Postgres) -> dict[str, Any]:
    database = urlsplit(server.database()).path.strip("/")
    where = {"host": "127.0.0.1", "port": server.port, "database": database, "sslmode": "disable"}
    return {"type": "postgres", **where, "user": "e2i", "password": "none"}


@pytest.fixture(params=["embedded", "redis", "postgres", "existing"])
def client(request: pytest.FixtureRequest, workspace: Path) -> FeastClient:
    match request.param:
        case "embedded":
            return FeastClient()
        case "existing":
            existing(workspace / "theirs")
            return FeastClient(FeastConfig(repo_path="theirs"))
        case _:
            server = request.getfixturevalue(request.param)
            online = redis_store(server) if request.param == "redis" else postgres_store(server)
            return FeastClient(on_servers(request.getfixturevalue("postgres"), online))


def fill(client: FeastClient, group: str = "journeys") -> None:
    key = "hcp" if client.config.repo_path else "hcp_id"
    client.register_feature("calls", group, key, "int64", description="calls of 90 days")
    client.register_feature("tenure", group, key, "float64")
    assert client.push(group, rows().assign(other="left out")) == 3


def test_what_is_pushed_is_joined_served_and_described(client: FeastClient) -> None:
    fill(client)
    entities = pd.DataFrame(
        {
            "hcp_id": ["b", "a", "a", "nobody", "a"],
            "event_timestamp": [
                at("2025-01-01"),
                at("2025-02-01"),
                at("2025-03-01"),
                at("2025-03-01"),
                at("2025-02-01"),
            ],
            "split": ["x", "y", "z", "x", "y"],
        },
        index=[9, 8, 7, 6, 5],
    )
    found = client.get_historical_features(entities, ["journeys:calls", "journeys:tenure"])
    pd.testing.assert_frame_equal(found[entities.columns], entities)
    assert found.calls.tolist()[:3] == [5, 1, 2] and found.calls.isna().tolist() == [False, False, False, True, False]
    named = client.get_historical_features(entities, ["journeys:calls"], full_feature_names=True)
    assert list(named.columns) == [*entities.columns, "journeys__calls"]

    online = client.get_online_features([{"hcp_id": key} for key in ("b", "nobody", "a")], ["journeys:calls"])
    assert online == {"hcp_id": ["b", "nobody", "a"], "calls": [5, None, 2]}

    figures = client.get_feature_statistics("journeys", reference=rows().assign(calls=[9, 9, 9]))
    assert (figures["calls"]["count"], figures["calls"]["mean"]) == (3, pytest.approx(8 / 3))
    assert figures["calls"]["drift"]["ks"] == 1.0 and figures["tenure"]["drift"]["psi"] == 0.0
    assert set(figures["calls"]) >= {"count", "nulls", "mean", "deviation", "quantiles", "distinct", "histogram"}


def test_a_correction_of_the_same_time_is_served_and_joined(client: FeastClient) -> None:
    if client.config.repo_path:
        pytest.skip("an existing repository decides by its own store")
    fill(client)
    client.push("journeys", rows().assign(calls=[1, 7, 8]))
    assert client.get_online_features([{"hcp_id": "a"}, {"hcp_id": "b"}], ["journeys:calls"])["calls"] == [7, 8]
    old = rows().head(1).assign(event_timestamp=at("2020-01-01"), calls=-1)
    client.push("journeys", old)
    assert client.get_online_features([{"hcp_id": "a"}], ["journeys:calls"])["calls"] == [7]


def test_keys_may_be_whole_numbers(client: FeastClient) -> None:
    client.register_feature("visits", "numbers", "patient", "int32")
    client.register_feature("seen", "numbers", "patient", "bool")
    moment = at("2025-01-01")
    client.push(
        "numbers", pd.DataFrame({"patient": [1, 2], "event_timestamp": moment, "visits": [3.0, None], "seen": True})
    )
    online = client.get_online_features([{"patient": 2}, {"patient": 1}], ["numbers"])
    assert online == {"patient": [2, 1], "visits": [None, 3], "seen": [True, True]}
    asked = pd.DataFrame({"patient": [2, 1, 7], "event_timestamp": moment})
    found = client.get_historical_features(asked, ["numbers:visits"])
    assert found.visits.isna().tolist() == [True, False, True] and found.visits[1] == 3
    with pytest.raises(ValueError, match="'patient' is 'x', but its entity is int64"):
        client.get_online_features([{"patient": "x"}], ["numbers"])


def test_many_keys_come_back_in_order(client: FeastClient) -> None:
    fill(client)
    many = pd.DataFrame(
        {"hcp_id": [f"k{i}" for i in range(120)], "event_timestamp": at("2025-01-01"), "calls": range(120)}
    )
    client.push("journeys", many.assign(tenure=0.0))
    found = client.get_online_features([{"hcp_id": key} for key in many.hcp_id], ["journeys:calls"])
    assert found == {"hcp_id": list(many.hcp_id), "calls": list(range(120))}


def test_materialize_publishes_what_is_there(client: FeastClient) -> None:
    fill(client)
    client.materialize()
    assert client.get_online_features([{"hcp_id": "a"}], ["journeys:calls"])["calls"] == [2]
    assert client.materialize("2025-04-01") == at("2025-04-01")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda it: it.register_feature("x", "journeys", "hcp_id", "flaot"),
            r"no dtype 'flaot' \(choose from: bool, float32, float64",
        ),
        (lambda it: it.push("journey", rows()), r'no feature view \'journey\' \(did you mean "journeys"'),
        (
            lambda it: it.push("journeys", rows().assign(calls=[1, 2, 2.5])),
            r"column 'calls', row 2: 2\.5 has no exact form",
        ),
        (lambda it: it.push("journeys", rows().drop(columns="tenure")), "no column 'tenure'"),
        (lambda it: it.get_historical_features(rows()[["hcp_id"]], ["journeys"]), "no column 'event_timestamp'"),
        (lambda it: it.get_historical_features(rows()[["hcp_id", "event_timestamp"]], ["journeys:call"]), '"calls"'),
        (lambda it: it.get_online_features([{"hcp": "a"}], ["journeys"]), "no 'hcp_id'"),
        (lambda it: it.get_feature_statistics("nothing"), "no feature view 'nothing'"),
        (lambda it: it.materialize("never"), "'never' is no time"),
    ],
)
def test_a_mistake_is_a_value_error_with_a_hint(workspace: Path, call: Any, message: str) -> None:
    client = FeastClient()
    fill(client)
    with pytest.raises(BadCall, match=message) as caught:
        call(client)
    assert isinstance(caught.value, ValueError)


def test_methods_work_while_a_loop_runs_and_in_several_threads(workspace: Path) -> None:
    client = FeastClient()

    async def notebook() -> Any:
        fill(client)
        return client.get_online_features([{"hcp_id": "b"}], ["journeys:calls"])["calls"]

    assert asyncio.run(notebook()) == [5]
    asked = rows()[["hcp_id", "event_timestamp"]]

    def work(number: int) -> Any:
        client.push("journeys", rows().head(1).assign(hcp_id=f"t{number}", calls=number))
        client.get_historical_features(asked, ["journeys:calls"])
        return client.get_online_features([{"hcp_id": f"t{number}"}], ["journeys:calls"])["calls"]

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(work, range(18))) == [[number] for number in range(18)]


def test_another_program_sees_what_is_registered(workspace: Path) -> None:
    fill(FeastClient())
    other = FeastClient(FeastConfig(deadline=7))
    assert other is not FeastClient()
    other.register_feature("late", "journeys", "hcp_id", "bool")
    assert FeastClient().get_online_features([{"hcp_id": "a"}], ["journeys:late"]) == {"hcp_id": ["a"], "late": [None]}


def test_what_is_registered_in_a_database_is_seen_at_once(workspace: Path, postgres: Postgres) -> None:
    registry = {"type": "sql", "url": postgres.database().replace("postgresql:", "postgresql+psycopg:")}
    one = FeastClient(FeastConfig.model_validate({"registry": registry, "registry_deadline": 30}))
    other = FeastClient(FeastConfig.model_validate({"registry": registry, "registry_deadline": 31}))
    for number in range(20):
        (one, other)[number % 2].register_feature(f"f{number}", "many", "key", "int64")
        assert len(other.get_online_features([{"key": "a"}], ["many"])) == 1 + number + 1


def test_settings_that_differ_in_a_password_or_a_default_are_told_apart(workspace: Path) -> None:
    def config(password: str) -> FeastConfig:
        online = {"type": "redis", "host": "127.0.0.1", "port": 1, "password": password}
        return FeastConfig.model_validate({"online_store": online})

    assert FeastClient(config("one")) is FeastClient(config("one")) is not FeastClient(config("two"))
    assert FeastClient(FeastConfig(online_store=SqliteOnlineStore())).enabled


def test_a_dead_online_store_is_unavailable_until_it_is_back_and_loses_nothing(
    workspace: Path, postgres: Postgres, redis: Server
) -> None:
    client = FeastClient(on_servers(postgres, redis_store(redis)))
    fill(client)
    redis.kill()
    with pytest.raises(ToolUnavailable):
        client.get_online_features([{"hcp_id": "a"}], ["journeys:calls"])
    later = rows().head(1).assign(event_timestamp=at("2026-01-01"), calls=9)
    with pytest.raises(ToolUnavailable):
        client.push("journeys", later)
    asked = later[["hcp_id", "event_timestamp"]]
    redis.start()
    client.push("journeys", later)
    assert client.get_online_features([{"hcp_id": "a"}], ["journeys:calls"])["calls"] == [9]
    assert client.get_historical_features(asked, ["journeys:calls"]).calls.tolist() == [9]
    assert client.get_feature_statistics("journeys")["calls"]["count"] == 4, "the row of the failed push is there once"


def test_an_emptied_online_store_is_filled_again(workspace: Path, postgres: Postgres, redis: Server) -> None:
    import redis as library

    client = FeastClient(on_servers(postgres, redis_store(redis)))
    fill(client)
    with library.Redis("127.0.0.1", redis.port, 3) as connection:
        connection.flushdb()
    assert client.get_online_features([{"hcp_id": "a"}], ["journeys:calls"])["calls"] == [None]
    client.materialize()
    assert client.get_online_features([{"hcp_id": "a"}], ["journeys:calls"])["calls"] == [2]


def test_a_silent_server_is_unavailable_within_the_deadline(workspace: Path, postgres: Postgres) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=8) as server:
        port = server.getsockname()[1]
        online = {"type": "redis", "host": "127.0.0.1", "port": port}
        client = FeastClient(on_servers(postgres, online, deadline=1, write_deadline=20))
        client.register_feature("calls", "journeys", "hcp_id", "int64")
        with pytest.raises(ToolUnavailable):
            client.get_online_features([{"hcp_id": "a"}], ["journeys:calls"])
        registry = {"type": "sql", "url": f"postgresql+psycopg://e2i@127.0.0.1:{port}/x"}
        silent = FeastClient(FeastConfig.model_validate({"registry": registry, "registry_deadline": 1}))
        with pytest.raises(ToolUnavailable):
            silent.register_feature("calls", "journeys", "hcp_id", "int64")


def test_a_locked_online_store_is_unavailable_within_the_deadline(workspace: Path) -> None:
    client = FeastClient()
    fill(client)
    (online,) = (workspace / ".e2i").rglob("online.db")
    with closing(sqlite3.connect(online, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ToolUnavailable, match="within 1 s"):
            client.get_online_features([{"hcp_id": "a"}], ["journeys:calls"])
    assert client.get_online_features([{"hcp_id": "a"}], ["journeys:calls"])["calls"] == [2]


def test_the_path_of_a_repository_comes_from_its_variable(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    existing(workspace / "theirs")
    monkeypatch.setenv("FEAST_REPO_PATH", str(workspace / "theirs"))
    client = FeastClient()
    assert client.get_feature_statistics("group")["calls"]["count"] == 300
    monkeypatch.setenv("FEAST_REPO_PATH", str(workspace / "missing"))
    with pytest.raises(BadCall, match="is no Feast repository"):
        FeastClient().get_feature_statistics("group")

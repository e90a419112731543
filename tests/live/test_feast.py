"""Feast's online store in a real Redis and a real PostgreSQL, its registry in PostgreSQL: what is served, also after a death."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import psycopg
import pytest
import yaml

from context import LocalContext
from e2i.errors import StepError, ToolUnavailable
from e2i.settings import Settings
from e2i.tools.feast import RepositoryParams, StatisticsParams, actions, sdk
from live.servers import Postgres, Server
from tools.feast import test_derived as derived
from tools.feast.feast_case import apply, at, join, log, run
from tools.feast.test_online import lookup, publish

# isort: split
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource

DAY = pd.Timedelta(days=1)


@pytest.fixture(params=["redis", "postgres"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def ctx(server: Server, postgres: Postgres, tmp_path: Path) -> Iterator[LocalContext]:
    """A step whose online store is on the server, and whose registry is on PostgreSQL."""
    registry = postgres.database().replace("postgresql:", "postgresql+psycopg:")
    tools = {
        "feast": {"registry": {"type": "sql", "url": registry}, "online_store": _online_store(server), "deadline": 5}
    }
    context = LocalContext(tmp_path, settings=Settings(tools=tools))
    yield context
    context.close()


def _online_store(server: Server) -> dict[str, Any]:
    if not isinstance(server, Postgres):
        return {"type": "redis", "host": "127.0.0.1", "port": server.port}
    database = urlsplit(server.database()).path.strip("/")
    where = {"host": "127.0.0.1", "port": server.port, "database": database, "sslmode": "disable"}
    return {"type": "postgres", **where, "user": "e2i", "password": "none"}


def test_what_is_published_is_served_and_a_dead_server_is_unavailable_until_it_is_back(
    ctx: LocalContext, server: Server
) -> None:
    repo = apply(ctx, log())
    assert publish(ctx, repo).views["history"].model_dump() == {"rows": 3, "keys": 2}
    served = lookup(ctx, repo, "a", "nobody", "b")
    assert [row["calls"] for row in served] == [2.0, None, 5.0]
    server.kill()
    with pytest.raises(ToolUnavailable):
        lookup(ctx, repo, "a")
    with pytest.raises(ToolUnavailable):
        publish(ctx, repo)
    server.start()
    assert lookup(ctx, repo, "a", "nobody", "b") == served


def test_corrected_values_of_the_same_times_are_served_or_named_as_not_published(
    ctx: LocalContext, server: Server
) -> None:
    publish(ctx, apply(ctx, log()))
    repo = apply(ctx, log().assign(calls=[1.0, 3.0, 6.0]))
    if isinstance(server, Postgres):
        publish(ctx, repo)
        assert [row["calls"] for row in lookup(ctx, repo, "a", "b")] == [3.0, 6.0]
        return
    with pytest.raises(StepError, match="has other values online for the key") as refused:  # Redis keeps what it has
        publish(ctx, repo)
    assert refused.value.code == "not-published"
    later = log().assign(calls=[1.0, 3.0, 6.0]).assign(event_timestamp=lambda rows: rows["event_timestamp"] + DAY)
    repo = apply(ctx, later)
    publish(ctx, repo)
    assert [row["calls"] for row in lookup(ctx, repo, "a", "b")] == [3.0, 6.0]


def test_pushed_rows_are_served_with_what_a_function_computes_of_them(ctx: LocalContext, server: Server) -> None:
    repo = derived.applied(ctx, project="derived")
    publish(ctx, repo)
    new = log().head(1).assign(event_timestamp=log()["event_timestamp"].max() + DAY, calls=7.0)
    after = derived.pushed(ctx, repo, "history", new)
    rows = derived.looked_up(ctx, after, "history", "ratios:weighted")
    assert [(row["calls"], row["weighted"]) for row in rows] == [(7.0, 21.0), (5.0, None)]
    assert derived.pushed(ctx, after, "history", new) == after
    assert join(ctx, after, derived.rows(), "service:scoring")["calls"].tolist()[:2] == [1.0, 7.0]
    corrected = new.assign(calls=8.0)
    if not isinstance(server, Postgres):
        with pytest.raises(StepError, match="has other values online for the key"):  # Redis keeps what it has
            derived.pushed(ctx, after, "history", corrected)


@pytest.fixture
def theirs(server: Server, postgres: Postgres, tmp_path: Path) -> Iterator[LocalContext]:
    """A step beside an existing repository: rows and registry in PostgreSQL, its online store on the server."""
    database = postgres.database()
    name = urlsplit(database).path.strip("/")
    with psycopg.connect(database) as connection:
        connection.execute(
            "CREATE TABLE history (hcp_id text, event_timestamp timestamptz, created timestamptz, calls float8)"
        )
        for row in log().itertuples():
            values = (row.hcp_id, row.event_timestamp.to_pydatetime(), row.calls)
            connection.execute("INSERT INTO history VALUES (%s, %s, '2024-01-01', %s)", values)
    where = {"host": "127.0.0.1", "port": postgres.port, "database": name, "user": "e2i", "password": "none"}
    online = _online_store(server)
    if not isinstance(server, Postgres):
        online = {"type": "redis", "connection_string": f"127.0.0.1:{server.port}"}
    document = {
        "project": "theirs",
        "provider": "local",
        "registry": {"registry_type": "sql", "path": database.replace("postgresql:", "postgresql+psycopg:")},
        "offline_store": {"type": "postgres", **where, "db_schema": "public", "sslmode": "disable"},
        "online_store": online,
        "entity_key_serialization_version": 3,
    }
    root = tmp_path / "theirs"
    root.mkdir()
    (root / "feature_store.yaml").write_text(yaml.safe_dump(document))
    source = PostgreSQLSource(
        name="history", table="history", timestamp_field="event_timestamp", created_timestamp_column="created"
    )
    entity = sdk.Entity(name="hcp", join_keys=["hcp_id"], value_type=sdk.ValueType.STRING)
    schema = [sdk.Field(name="hcp_id", dtype=sdk.types.String), sdk.Field(name="calls", dtype=sdk.types.Float64)]
    view = sdk.FeatureView(name="history", entities=[entity], ttl=timedelta(0), schema=schema, source=source)
    service = sdk.FeatureService(name="scoring", features=[view])
    sdk.FeatureStore(repo_path=str(root)).apply([entity, view, service])
    context = LocalContext(tmp_path, settings=Settings(tools={"feast": {"repo_path": str(root), "deadline": 20}}))
    yield context
    context.close()


def test_an_existing_repository_on_servers_is_joined_published_and_looked_up(theirs: LocalContext) -> None:
    repo = run(actions.repository(RepositoryParams(require=("service:scoring",)), theirs)).repo
    rows = pd.DataFrame({"hcp_id": ["a", "b", "a"], "when": [at("2024-05-01"), at("2024-05-01"), at("2024-02-01")]})
    assert join(theirs, repo, rows, "service:scoring")["calls"].tolist() == [2.0, 5.0, 1.0]
    assert not theirs.warned  # PostgreSQL can leave out what became known later
    assert publish(theirs, repo).views["history"].model_dump() == {"rows": 3, "keys": 2}
    assert [row["calls"] for row in lookup(theirs, repo, "a", "nobody", "b")] == [2.0, None, 5.0]
    found = run(actions.statistics(StatisticsParams(repo=repo, view="history"), theirs))
    assert theirs.frame(found.table)["mean"].tolist() == [pytest.approx(8 / 3)]

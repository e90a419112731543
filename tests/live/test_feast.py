"""Feast's online store in a real Redis and a real PostgreSQL, its registry in PostgreSQL: what is served, also after a death."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest

from context import LocalContext
from e2i.errors import StepError, ToolUnavailable
from e2i.settings import Settings
from live.servers import Postgres, Server
from tools.feast.feast_case import apply, log
from tools.feast.test_online import lookup, publish

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

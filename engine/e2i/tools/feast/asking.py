"""Return the checks of ``e2i doctor`` on Feast's servers: one query to the registry, one to the online store."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from e2i.catalog.questions import Question
from e2i.resilience.postgres import select_one
from e2i.tools.feast import FeastSettings, PostgresOnlineStore, RedisOnlineStore, SqlRegistry


def questions(settings: FeastSettings) -> list[Question]:
    """Return one check for each service."""
    found: list[Question] = []
    if isinstance(settings.registry, SqlRegistry):
        address, seconds = settings.registry.url.get_secret_value(), settings.registry_deadline
        found.append(Question("registry", partial(select_one, address, seconds), seconds, ("sqlalchemy", "psycopg")))
    ask: Callable[[], str] | None = None
    match settings.online_store:
        case RedisOnlineStore() as redis:
            ask = partial(_ping, redis, settings.registry_deadline)
        case PostgresOnlineStore() as postgres:
            ask = partial(_log_in, postgres, settings.registry_deadline)
    if ask is not None:
        found.append(Question("online store", ask, settings.registry_deadline, ("psycopg", "redis")))
    return found


def _ping(store: RedisOnlineStore, seconds: float) -> str:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    with redis.Redis(
        store.host,
        store.port,
        store.db,
        password=store.password.get_secret_value() if store.password else None,
        ssl=store.ssl,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
    ) as client:
        client.ping()
    return "ping"


def _log_in(store: PostgresOnlineStore, seconds: float) -> str:
    import psycopg

    with psycopg.connect(
        host=store.host,
        port=store.port,
        dbname=store.database,
        user=store.user,
        password=store.password.get_secret_value(),
        sslmode=store.sslmode,
        connect_timeout=max(2, round(seconds)),
    ) as connection:
        connection.execute("SELECT 1")
    return "select 1"

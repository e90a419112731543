"""Connections to PostgreSQL on which no exchange exceeds its deadline, whatever the server does.

The options of libpq do not limit a whole call: ``connect_timeout`` applies to each address of a host, and a server that
sends a byte now and then keeps a query alive forever.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from functools import cache, partial
from typing import Any

from e2i.documents import JsonObject
from e2i.resilience.deadlines import in_time

KEEPALIVE = {"keepalives_idle": 60}
"""Options for detecting connections that were silent for hours."""


def engine_options(url: str, connecting: float, seconds: float) -> JsonObject:
    """Returns options of ``sqlalchemy.create_engine`` that limit connecting and each exchange, in seconds.

    Empty for a database that is a file; other drivers than psycopg get the options that they support.
    """
    import sqlalchemy

    address = sqlalchemy.make_url(url)
    if address.get_backend_name() != "postgresql":
        return {}
    if address.get_dialect().driver != "psycopg":
        return {"connect_args": {"connect_timeout": max(1, round(connecting)), **KEEPALIVE}}
    return {"creator": creator(url, connecting, seconds)}


def select_one(url: str, seconds: float) -> str:
    """Sends a query to a database, with its credentials. Raises what the driver raises."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, **engine_options(url, seconds, seconds))
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    return "select 1"


def creator(url: str, connecting: float, seconds: float) -> Callable[[], Any]:
    """Returns a function that connects to a database; raises ImportError here when the driver is not installed.

    Its connection raises psycopg.OperationalError once an exchange has taken ``seconds``, and is then closed.
    """
    import sqlalchemy

    address = sqlalchemy.make_url(url)
    arguments, options = address.get_dialect()().create_connect_args(address)
    kind = _connection_class()

    def connect() -> Any:
        open_it = partial(
            kind.connect, *arguments, **{"connect_timeout": max(2, round(connecting)), **KEEPALIVE, **options}
        )
        try:
            made = in_time(open_it, connecting)
        except TimeoutError as error:
            raise kind.failure(f"no connection within {connecting:g} s") from error
        made.seconds = seconds
        return made

    return connect


@cache
def _connection_class() -> Any:
    """Returns the connection class, defined on first use because psycopg is an extra."""
    import psycopg

    class BoundedConnection(psycopg.Connection[Any]):
        """A connection whose exchanges end within ``seconds``."""

        seconds = float("inf")
        failure = psycopg.OperationalError

        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            ends = time.monotonic() + self.seconds
            return super().wait(self._until(gen, ends), *args, **kwargs)

        def _until(self, gen: Generator[Any, Any, Any], ends: float) -> Generator[Any, Any, Any]:
            """Runs the exchange ``gen``. psycopg checks the deadline several times a second, also without data."""
            try:
                wanted = next(gen)
                while True:
                    ready = yield wanted
                    if time.monotonic() > ends:
                        gen.close()
                        self.pgconn.finish()
                        raise psycopg.OperationalError(f"the server did not answer within {self.seconds:g} s")
                    wanted = gen.send(ready)
            except StopIteration as end:
                return end.value

    return BoundedConnection

"""Connections to PostgreSQL on which no exchange takes longer than its deadline, whatever the server does.

The options of libpq do not bound a whole call: ``connect_timeout`` holds for each address of a host, and a server that
sends a byte now and then keeps a query alive for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from functools import cache, partial
from typing import Any

from e2i.resilience.guard import in_time

KEEPALIVE = {"keepalives_idle": 60}
"""A connection can be silent for hours."""


def engine_options(url: str, connecting: float, seconds: float) -> dict[str, Any]:
    """Options of ``sqlalchemy.create_engine``: connecting takes at most ``connecting`` seconds, each exchange at most
    ``seconds``. Empty for a database that is a file; other drivers than psycopg get what they know of it.
    """
    import sqlalchemy

    address = sqlalchemy.make_url(url)
    if address.get_backend_name() != "postgresql":
        return {}
    if address.get_dialect().driver != "psycopg":
        return {"connect_args": {"connect_timeout": max(1, round(connecting)), **KEEPALIVE}}
    return {"creator": creator(url, connecting, seconds)}


def select_one(url: str, seconds: float) -> str:
    """Asks a database for a number, with its credentials. Raises what the driver raises."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, **engine_options(url, seconds, seconds))
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    return "select 1"


def creator(url: str, connecting: float, seconds: float) -> Callable[[], Any]:
    """A function that connects to a database; raises ImportError here when the driver is not installed.

    What it makes raises psycopg.OperationalError once an exchange has taken ``seconds``, and is then closed.
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
    """Defined when it is first needed: psycopg is an extra."""
    import psycopg

    class BoundedConnection(psycopg.Connection[Any]):
        """A connection whose exchanges end within ``seconds``."""

        seconds = float("inf")
        failure = psycopg.OperationalError

        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            ends = time.monotonic() + self.seconds
            return super().wait(self._until(gen, ends), *args, **kwargs)

        def _until(self, gen: Generator[Any, Any, Any], ends: float) -> Generator[Any, Any, Any]:
            """The exchange ``gen``; psycopg looks at it several times a second, also when nothing has come."""
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

"""Check that MLflow's servers are reachable, without importing MLflow."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from e2i.catalog.action import DEFAULT_PORTS, ToolSettings
from e2i.errors import ToolUnavailable
from e2i.resilience import asking
from e2i.tools.mlflow import MLflowSettings

SETTING = "tools.mlflow.tracking_uri"


def check(settings: ToolSettings) -> None:
    """Raise ToolUnavailable when nothing answers at an address, or something other than MLflow.

    A database is only checked for the PostgreSQL protocol: it answers the request for TLS before any login.
    """
    assert isinstance(settings, MLflowSettings)
    for address in dict.fromkeys(filter(None, (settings.tracking_uri, settings.registry_uri))):
        parts = urlsplit(address)
        if parts.scheme.startswith("http"):
            host = parts.netloc.rpartition("@")[2]
            asking.check("mlflow", f"{parts.scheme}://{host}{parts.path.rstrip('/')}/health", setting=SETTING)
        elif parts.hostname:
            _greet(parts.hostname, parts.port or DEFAULT_PORTS["postgresql"])


SSL_REQUEST = bytes([0, 0, 0, 8, 4, 210, 22, 47])
"""Send the first message of PostgreSQL's protocol, which is answered by one byte."""


def _greet(host: str, port: int) -> None:
    try:
        with socket.create_connection((host, port), asking.WITHIN) as connection:
            connection.sendall(SSL_REQUEST)
            said = connection.recv(1)
    except OSError as error:
        raise ToolUnavailable(
            "mlflow",
            f"MLflow's database at {host}:{port} does not answer ({error or type(error).__name__})",
            hint=f"start it, or correct {SETTING} in config/",
        ) from error
    if said not in (b"S", b"N"):
        raise asking.wrong_server("mlflow", f"{host}:{port} is not a PostgreSQL server", SETTING)

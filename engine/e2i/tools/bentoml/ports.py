"""A wish for a port goes in; one on the loopback address comes out that nobody else is given, or who holds it."""

from __future__ import annotations

import socket

from e2i.errors import ToolUnavailable

HOST = "127.0.0.1"


def claim(port: int) -> socket.socket:
    """A socket on ``port`` if it is free, on any free one for 0. Raises ToolUnavailable naming the port and the process
    on it.

    As long as it is open the system gives the port to nobody, but lets a server that sets SO_REUSEADDR listen there.
    """
    claimed = socket.socket()
    claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        claimed.bind((HOST, port))
    except OSError as error:
        claimed.close()
        holder = _holder(port)
        raise ToolUnavailable(
            "bentoml",
            f"port {port} on {HOST} cannot be used: "
            + (f"process {holder} listens there" if holder else str(error.strerror)),
            code="port-in-use",
            hint="choose another `port`, or 0 for any that is free",
        ) from error
    return claimed


def _holder(port: int) -> str | None:
    """Id and name of the process that listens on the port, where the system tells."""
    import psutil

    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                return f"{connection.pid} ({psutil.Process(connection.pid).name()})" if connection.pid else None
    except psutil.Error:
        return None
    return None

"""Reserve ports on the loopback address.

In: a port, or 0. Out: a reserved socket, or the process that uses the port.
"""

from __future__ import annotations

import socket

from e2i.errors import ToolUnavailable

HOST = "127.0.0.1"


def claim(port: int) -> socket.socket:
    """Return a socket bound to ``port``, or to any free port for 0. Raises ToolUnavailable naming the port's process.

    While the socket is open, the system assigns the port to no other process. A server that sets SO_REUSEADDR can still
    listen on it.
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
            + (f"process {holder} is using it" if holder else str(error.strerror)),
            code="port-in-use",
            hint="choose another `port`, or 0 for any free one",
        ) from error
    return claimed


def _holder(port: int) -> str | None:
    """Return the id and name of the process that listens on the port, if the system reports it."""
    import psutil

    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                return f"{connection.pid} ({psutil.Process(connection.pid).name()})" if connection.pid else None
    except psutil.Error:
        return None
    return None

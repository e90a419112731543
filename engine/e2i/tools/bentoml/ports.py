"""A wish for a port goes in; a port on the loopback address that is free comes out, or who holds it."""

from __future__ import annotations

import socket

from e2i.errors import ToolUnavailable

HOST = "127.0.0.1"


def claim(port: int) -> int:
    """``port`` if it is free, any free one for 0. Raises ToolUnavailable naming the port and the process on it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            holder = _holder(port)
            raise ToolUnavailable(
                "bentoml",
                f"port {port} on {HOST} cannot be used: "
                + (f"process {holder} listens there" if holder else str(error.strerror)),
                code="port-in-use",
                hint="choose another `port`, or 0 for any that is free",
            ) from error
        return int(probe.getsockname()[1])


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

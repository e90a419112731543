"""Serve one Bento in this process until it is stopped. In: a Bento's tag and a port.

Run as ``python -P -s server.py TAG PORT`` with BENTOML_HOME set. Does what a worker of ``bentoml serve`` does, without
the supervisor: one process instead of two, ready in two thirds of the time. The engine's guardian ends the process and
nothing restarts it. Services that stay, or that need several workers, therefore use ``bentoml serve``. A replica of an
endpoint (``replica.py``) serves in the same way, on a socket that its router hands to it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile

from e2i import startup

HOST = "127.0.0.1"


def main(tag: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        serve(tag, listener, os.environ["BENTOML_HOME"])


def serve(tag: str, listener: socket.socket, folder: str) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT. The metrics are in files below ``folder`` meanwhile."""
    # Uvicorn shuts down on a signal and then raises it again, which would skip the cleanup here.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="metrics-", dir=folder) as metrics:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics  # read when bentoml imports prometheus_client
        with startup.without_collection():
            import bentoml
            import uvicorn

            startup.defer_heavy_modules()  # the model's library imports scikit-learn, which imports scipy.stats
            service = bentoml.load(tag)
            config = uvicorn.Config(
                service.to_asgi(), log_level="warning", timeout_graceful_shutdown=5, server_header=False
            )
        startup.settle()
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]))
    except SystemExit as asked:
        startup.exit_now(asked.code if isinstance(asked.code, int) else 1)

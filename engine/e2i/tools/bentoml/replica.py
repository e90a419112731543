"""Serve one Bento as a replica of an endpoint, within its limits. In: a tag, a socket, the router, limits, a folder.

Run as ``python -P -s replica.py TAG SOCKET ROUTER CORES MEMORY FOLDER`` by the router, which it never outlives.
"""

from __future__ import annotations

import os
import resource
import socket
import sys

from e2i import startup
from e2i.tools.bentoml import server
from e2i.tools.bentoml.parent import follow


def main(tag: str, descriptor: int, router: int, cores: str, memory: int, folder: str) -> None:
    """Serve until SIGTERM. ``cores`` are the numbers of the cores to use, ``memory`` is in bytes; 0: no limit."""
    follow(router)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold what is asked
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [int(number) for number in cores.split(",")])
    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    with socket.socket(fileno=descriptor) as listener:
        server.serve(tag, listener, folder)


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5]), sys.argv[6])
    except SystemExit as asked:
        startup.exit_now(asked.code if isinstance(asked.code, int) else 1)

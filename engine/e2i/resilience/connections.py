"""End this process's connections to an address, so that no call exceeds its deadline, with any client library.

A client's own timeouts limit each read. A server that sends a byte now and then blocks such a client forever. After a
shutdown, the client reads the end of the stream at once, and the waiting thread ends.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat

SYN_SENT = 2
"""State, in Linux's ``tcp_info``, of a connection that the other side has not accepted."""


def cut(address: tuple[str, int]) -> int:
    """Shuts down connections to the host and port, open or being opened. Returns how many."""
    peers = _peers(*address)
    return sum(_cut(int(name), peers) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are numbers


def _cut(descriptor: int, peers: set[tuple[str, int]]) -> bool:
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return False
        own = socket.socket(fileno=os.dup(descriptor))
    except OSError:  # it was closed meanwhile
        return False
    with own:
        if own.family not in (socket.AF_INET, socket.AF_INET6) or own.type != socket.SOCK_STREAM:
            return False
        if not _is_to(own, peers):
            return False
        with contextlib.suppress(OSError):
            own.shutdown(socket.SHUT_RDWR)
        return True


def _is_to(own: socket.socket, peers: set[tuple[str, int]]) -> bool:
    try:
        return own.getpeername()[:2] in peers
    except OSError:
        return own.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == bytes([SYN_SENT])


def _peers(host: str, port: int) -> set[tuple[str, int]]:
    """Returns the current addresses of the name."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {(str(address[0]), port) for *_, address in found}

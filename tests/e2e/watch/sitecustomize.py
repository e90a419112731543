"""Every process of a run goes in; out come a line for each, and one for each address outside this machine asked for.

Python imports this file when it starts in the environment that the sandbox makes.
What asks for an address outside fails as it would without a network, and leaves its line in ``outside.log``.
"""

import errno
import os
import sys
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - runs in every process before anything else
LOOK_UPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
SENDS = ("socket.connect", "socket.sendto", "socket.sendmsg")
AF_UNIX, AF_NETLINK = 1, 16
LOCAL = ("localhost", "::1", "0.0.0.0", os.uname().nodename)


def note(file: str, text: str) -> None:
    handle = os.open(os.path.join(HERE, file), os.O_WRONLY | os.O_CREAT | os.O_APPEND)  # noqa: PTH118
    try:
        os.write(handle, f"{os.getpid()} {text}\n".encode())
    finally:
        os.close(handle)


def asked(event: str, arguments: Any) -> Any:
    """The host that an audit event is about, or None when it is not about the network."""
    if event in LOOK_UPS:
        return arguments[0]
    if event in SENDS and arguments[0].family not in (AF_UNIX, AF_NETLINK) and arguments[1] is not None:
        return arguments[1][0]
    return None


def watch(event: str, arguments: Any) -> None:
    if not event.startswith("socket."):
        return
    host = asked(event, arguments)
    host = host.decode() if isinstance(host, bytes) else host
    if host and host not in LOCAL and not host.startswith("127."):
        note("outside.log", f"{event} {arguments[1:] if event in SENDS else arguments} {sys.orig_argv}")
        raise OSError(errno.ENETUNREACH, f"outside of this machine: {host}")


note("processes.log", " ".join(sys.orig_argv))
sys.addaudithook(watch)

"""Commands of e2i in processes of their own that need not import it: a server that has imported it forks one for each.

To import e2i takes most of the time of a short command. A forked process has its own memory, environment, folder,
streams and signals, as one has that was started; only its command line, in ``/proc``, is the server's. Tests of the
start and the end of a process start it: see ``Project.start``.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

LARGEST = 1 << 20
"""Bytes of an order: mostly variables."""
STREAMS = 3


class Forked(subprocess.Popen[str]):
    """A command that the server runs. In a pipe, it says first its process, and at its end how the process ended."""

    def __init__(self, server: Server, arguments: Sequence[str], environ: Mapping[str, str], **options: Any) -> None:
        self._server = server
        self._said = b""
        self._ended: int | None = None
        self._reports = -1
        super().__init__(["e2i", *arguments], env=environ, text=True, **options)

    def _execute_child(self, args: Any, *given: Any) -> None:  # as all Pythons from 3.11 on call it
        cwd, environ, streams = given[4], given[5], given[9:15]
        self._reports, theirs = os.pipe()
        ours = [own if own != -1 else number for number, own in enumerate((streams[0], streams[3], streams[5]))]
        order = {"arguments": list(args[1:]), "cwd": str(cwd), "environ": dict(environ)}
        try:
            self._server.send(order, [*ours, theirs])
        finally:
            os.close(theirs)
            self._close_pipe_fds(*streams)  # type: ignore[attr-defined]
        while b"\n" not in self._said:
            self._hear()
        self.pid = int(self._said.partition(b"\n")[0])
        self._child_created = True

    def _hear(self) -> None:
        """Waits for what the server says next."""
        said = os.read(self._reports, 100)
        self._said += said
        ended = self._said.partition(b"\n")[2]
        if not said:
            os.close(self._reports)
            self._ended = int(ended or signal.SIGKILL)  # the server itself was killed

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        while self._ended is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._reports, selectors.EVENT_READ)
                if wait_flags == os.WNOHANG and not selector.select(0):
                    return 0, 0
            self._hear()
        return self.pid, self._ended

    def _internal_poll(self, _deadstate: int | None = None, **_: Any) -> int | None:
        if self.returncode is None and self._waitpid_lock.acquire(False):  # type: ignore[attr-defined]
            try:
                if self.returncode is None and self._try_wait(os.WNOHANG)[0]:
                    self._handle_exitstatus(self._ended)  # type: ignore[attr-defined]
            finally:
                self._waitpid_lock.release()  # type: ignore[attr-defined]
        return self.returncode


class Server:
    """The server, as the tests see it: started by its first order, ended with the tests' process."""

    def __init__(self, command: Sequence[str]) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self._ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST)
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
            )
        atexit.register(self.close)

    def send(self, order: Mapping[str, Any], streams: Sequence[int]) -> None:
        with self._lock:
            socket.send_fds(self._ours, [json.dumps(order).encode()], streams)

    def close(self) -> None:
        self._ours.close()
        self._process.wait()


def serve(control: int, command: Callable[[], None]) -> None:
    """Runs the command in a new process for each order, until the other end of the socket is closed."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()
    running: dict[int, tuple[int, int]] = {}
    with socket.socket(fileno=control) as orders, selectors.DefaultSelector() as selector:
        selector.register(orders, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is orders:
                    text, streams, *_ = socket.recv_fds(orders, LARGEST, STREAMS + 1)
                    if not text:
                        return
                    *streams, reports = streams
                    pid = os.fork()
                    if pid == 0:
                        _execute(json.loads(text), streams, command)
                    for stream in streams:
                        os.close(stream)
                    os.write(reports, f"{pid}\n".encode())
                    ends = os.pidfd_open(pid)
                    running[ends] = pid, reports
                    selector.register(ends, selectors.EVENT_READ)
                else:
                    pid, reports = running.pop(key.fd)
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
                        os.write(reports, str(os.waitpid(pid, 0)[1]).encode())
                    os.close(reports)


def _execute(order: Mapping[str, Any], streams: Sequence[int], command: Callable[[], None]) -> None:
    """Makes this process what one would be that was started with these arguments; it ends with the command."""
    code = 1
    try:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for standard, stream in enumerate(streams):
            os.dup2(stream, standard)
        os.closerange(STREAMS, os.sysconf("SC_OPEN_MAX"))
        os.chdir(order["cwd"])
        os.umask(0o022)
        os.environ.clear()
        os.environ.update(order["environ"])
        sys.argv[1:] = order["arguments"]
        sys.path[0] = order["cwd"]
        sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False))  # noqa: SIM115
        sys.stdout = _writer(1, "strict", line_buffering=os.isatty(1))
        sys.stderr = _writer(2, "backslashreplace", line_buffering=True)
        command()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for written in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                written.flush()
        os._exit(code)


def _writer(number: int, errors: str, *, line_buffering: bool) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        open(number, "wb", closefd=False), encoding="utf-8", errors=errors, line_buffering=line_buffering
    )


if __name__ == "__main__":
    from importlib import import_module

    from e2i.cli import main

    for name in {*main.COMMANDS.values()}:
        import_module(f"e2i.cli.commands.{name}")
    for name in ("run_command", "sync_command", "progress", "attempts"):
        import_module(f"e2i.cli.{name}")
    import_module("e2i.execution.session")
    sys.argv[0] = str(Path(main.__file__))
    serve(int(sys.argv.pop(1)), main.main)

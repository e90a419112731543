"""A command goes in; it is run, and the process that makes the N-th sync or rename of it all is killed before the call.

Run as ``python tracer.py REPORT AT -- COMMAND…``; AT 0 kills nothing. REPORT becomes JSON: the calls that were made and
by whom, and who was killed. Ends with the command's exit code when the command and all that it started have ended.

What ``strace -f -e inject=…:signal=KILL:when=N`` does, with two differences: N counts the calls of all processes
together (strace counts each process and each call for itself), and a seccomp filter stops at these calls only (strace's
own filter, ``--seccomp-bpf``, loses the injected signal), which makes a traced run as quick as any other.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import platform
import signal
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

CALLS = {
    "x86_64": {74: "fsync", 75: "fdatasync", 82: "rename", 264: "renameat", 316: "renameat2"},
    "aarch64": {82: "fsync", 83: "fdatasync", 38: "renameat", 276: "renameat2"},
}
ROLES = {"e2i.workers.worker": "worker", "e2i.execution.delivery": "delivery"}
"""The module that a process runs, and what it is called in reports."""
POLL_TIMEOUT = 800
"""Seconds until what still runs is killed, and reported as left over."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_SEIZE, _CONT, _LISTEN, _GETEVENTMSG = 0x4206, 7, 0x4208, 0x4201
_OPTIONS = 0x2 | 0x4 | 0x8 | 0x10 | 0x80 | 0x100000  # fork, vfork, clone, exec, seccomp, exit-kill
_EVENT_SECCOMP, _EVENT_STOP = 7, 128
_WALL = 0x40000000
_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


@dataclass(slots=True)
class Report:
    """What was seen."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    """Who made a call, and which, in order."""
    killed: str | None = None
    """The role of the process that was killed."""
    left: int = 0
    """How many processes had to be ended because they did not end by themselves."""
    code: int = 0


def trace(command: list[str], at: int) -> Report:
    """Runs the command to its end, and kills the process that is about to make call number ``at``."""
    report = Report()
    names = CALLS[platform.machine()]
    root, go = _start(command, names)
    _ptrace(_SEIZE, root, _OPTIONS)
    os.write(go, b"x")
    os.close(go)
    alive = {root}

    def end(number: int, frame: object) -> None:
        for process in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
                report.left += 1

    signal.signal(signal.SIGALRM, end)
    signal.alarm(POLL_TIMEOUT)
    while True:
        try:
            process, status = os.waitpid(-1, _WALL)
        except ChildProcessError:
            signal.alarm(0)
            return report
        if not os.WIFSTOPPED(status):
            alive.discard(process)
            if process == root:
                report.code = os.waitstatus_to_exitcode(status)
            continue
        alive.add(process)
        event, number = status >> 16, os.WSTOPSIG(status)
        if event == _EVENT_SECCOMP:
            role = _role(process, root)
            if report.killed is None and len(report.calls) + 1 == at:
                report.killed = role
                os.kill(process, signal.SIGKILL)
            else:
                report.calls.append((role, names[_message(process)]))
        if event == _EVENT_STOP and number in _STOPS:
            _ptrace(_LISTEN, process)
        else:
            _ptrace(_CONT, process, 0 if event else number)


def _start(command: list[str], names: dict[int, str]) -> tuple[int, int]:
    """A child that waits for a byte on a pipe, then filters its calls and becomes the command."""
    waits, go = os.pipe()
    child = os.fork()
    if not child:
        os.close(go)
        os.read(waits, 1)
        _become(command, names)
    os.close(waits)
    return child, go


def _become(command: list[str], names: dict[int, str]) -> NoReturn:
    """Filters the calls of this process and of all that it will start, and becomes the command."""
    # struct sock_filter: load the call's number; for each call of ours: if equal, stop and tell the number; else allow.
    program = struct.pack("HBBI", 0x20, 0, 0, 0)
    for call in names:
        program += struct.pack("HBBI", 0x15, 0, 1, call) + struct.pack("HBBI", 0x06, 0, 0, 0x7FF00000 | call)
    program += struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000)
    held = ctypes.create_string_buffer(program)
    filters = struct.pack("HP", len(program) // 8, ctypes.addressof(held))
    if _libc.prctl(38, 1, 0, 0, 0) or _libc.prctl(22, 2, filters, 0, 0):
        os.write(2, b"seccomp filters are not allowed here\n")
        os._exit(126)
    os.execvp(command[0], command)


def _role(process: int, root: int) -> str:
    """Which part of the program a process or a thread is."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
        arguments = Path(f"/proc/{process}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return "other"
    if int(status.partition("Tgid:")[2].split()[0]) == root:
        return "engine"
    return next((role for module, role in ROLES.items() if module in arguments), "other")


def _message(process: int) -> int:
    reported = ctypes.c_ulong()
    _ptrace(_GETEVENTMSG, process, ctypes.addressof(reported))
    return reported.value & 0xFFFF


def _ptrace(request: int, process: int, data: int = 0) -> None:
    """Raises OSError, unless the process has just gone."""
    if _libc.ptrace(request, process, None, data) < 0 and ctypes.get_errno() != errno.ESRCH:
        raise OSError(ctypes.get_errno(), f"ptrace request {request:#x}: {os.strerror(ctypes.get_errno())}")


def main() -> int:
    report_file, at, _, *command = sys.argv[1:]
    report = trace(command, int(at))
    reported = {"calls": report.calls, "killed": report.killed, "left": report.left, "code": report.code}
    Path(report_file).write_text(json.dumps(reported))
    return report.code if report.code >= 0 else 128 - report.code


if __name__ == "__main__":
    sys.exit(main())

"""A user's project in a temporary folder: specs go in; plans, runs and commands of the real program come out."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Self, TypeVar

from e2i import api
from e2i.execution.events import Event, RunEvent
from e2i.execution.record import RunRecord
from e2i.planning.model import Plan
from forked import Forked, Server

E = TypeVar("E", bound=RunEvent)
ENGINE = Path(api.__file__).parents[1]
WITHIN = 60.0
"""Seconds that a test waits for something that takes far less, unless others keep the machine busy."""
LONGEST = 200.0
"""Seconds that one command may take before its test gives it up."""
HOLD = """
import time
from pathlib import Path

def hold(value=None, until="go"):
    while not Path(until).exists():
        time.sleep(0.01)
    return value
"""
"""A module of the user: a step that lasts until a test says so, and no longer, however slow the machine is."""


class Project:
    """A folder with ``config/default.yaml`` (no sinks) and whatever a test writes into it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = root / ".e2i"
        self.events: list[Event] = []
        self.write("config/default.yaml", "sinks: []\nflush: 5\n")

    @classmethod
    def opened(cls, root: Path) -> Self:
        """A project that is there, with the configuration that it has."""
        made = cls.__new__(cls)
        made.root, made.store, made.events = root, root / ".e2i", []
        return made

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def hold(self) -> str:
        """What a step has to say that is executed until ``let_go``."""
        self.write("hold.py", HOLD)
        return "uses: python.call, with: {file: hold.py, function: hold}"

    def let_go(self) -> None:
        """Lets the steps that are held come to their end."""
        self.write("go", "")

    @property
    def workspace(self) -> api.Workspace:
        return api.Workspace.open(root=self.root, environ={})

    def plan(self, spec: api.Spec, params: Mapping[str, Any] | None = None, **options: Any) -> Plan:
        return api.plan(spec, params, workspace=self.workspace, **options)

    def run(self, spec: api.Spec, params: Mapping[str, Any] | None = None, **options: Any) -> RunRecord:
        """Runs in this process, with real workers. Its events are in ``events``."""
        self.events.clear()
        return api.run(spec, params, workspace=self.workspace, listen=self.events.append, **options)

    def happened(self, kind: type[E], step: str | None = None) -> list[E]:
        """The events of that type of the last run; of one step or of all."""
        return [event for event in self.events if isinstance(event, kind) and step in (None, event.step)]

    def statuses(self, spec: api.Spec, params: Mapping[str, Any] | None = None, **options: Any) -> dict[str, str]:
        record = self.run(spec, params, **options)
        return {name: step.status.value for name, step in record.steps.items()}

    def start(
        self, *arguments: str, env: Mapping[str, str] | None = None, under: Sequence[str] = (), **options: Any
    ) -> subprocess.Popen[str]:
        """Starts ``e2i ARGUMENTS`` in the project: forked from a process that has imported it (see ``forked``); started
        again with ``options`` or ``under`` another command, such as ``env``, that is given its command line.
        """
        environ = {**os.environ, "PYTHONPATH": str(ENGINE), "COLUMNS": "200", **(env or {})}
        environ.pop("E2I_STORE", None)
        if not under and not options and not any(name.startswith(("LANG", "LC_", "PYTHON")) for name in env or {}):
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            return Forked(_server(), arguments, environ, cwd=self.root, **pipes)
        streams: dict[str, Any] = {
            "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "preexec_fn": _with_signals, **options
        }  # fmt: skip
        return subprocess.Popen(
            [*under, sys.executable, "-m", "e2i.cli.main", *arguments], cwd=self.root, env=environ, text=True, **streams
        )

    def cli(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Carries out ``e2i ARGUMENTS`` in the project."""
        with self.start(*arguments, env=env) as process:
            out, err = process.communicate(timeout=LONGEST)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def listing(self) -> dict[str, tuple[int, int]]:
        """Every file with its size and time of change, to tell whether anything was written."""
        return {
            str(path.relative_to(self.root)): (path.stat().st_size, path.stat().st_mtime_ns)
            for path in sorted(self.root.rglob("*"))
        }

    def processes(self, word: str = "") -> list[int]:
        """The processes whose working directory is in this project and whose arguments hold ``word``. A worker's guardian
        is not the worker, though its arguments hold the worker's command.
        """
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    here = (entry / "cwd").readlink().is_relative_to(self.root)
                    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                    arguments = (entry / "cmdline").read_bytes().decode("utf-8", "replace").replace("\0", " ")
                    named = word in arguments and not (word and "guardian.py" in arguments and word != "guardian.py")
                    if here and state != "Z" and named:
                        found.append(int(entry.name))
        return found


@cache
def _server() -> Server:
    return Server([sys.executable, str(Path(__file__).with_name("forked.py"))])


def _with_signals() -> None:
    """As a shell in the foreground starts a command, also when the tests run in the background or under nohup."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


class Stopwatch:
    """Seconds in its context that this machine was at work for us: those in which it let us wait count for nothing.

    For promises such as "at most ten seconds after its time limit", which a busy machine must not break.
    """

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._lost = 0.0
        self._over = threading.Event()
        self._looks = threading.Thread(target=self._look, daemon=True)
        self._looks.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._looks.join()
        self.seconds = time.monotonic() - self._began - self._lost

    def _look(self) -> None:
        began = time.monotonic()
        while not self._over.wait(0.01):
            late = time.monotonic() - began - 0.01
            self._lost += late if late > 0.01 else 0.0
            began = time.monotonic()


@contextlib.contextmanager
def held_port() -> Iterator[int]:
    """A port on the loopback device that nobody else is given until a server, with SO_REUSEADDR, listens there."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def lines(text: str) -> list[dict[str, Any]]:
    """JSON lines as documents; anything else on the stream is an error."""
    return [json.loads(line) for line in text.splitlines()]


def until(condition: Callable[[], object], within: float = WITHIN) -> bool:
    """Waits until the condition holds. False when it does not within the time."""
    ends = time.monotonic() + within
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.02)
    return True

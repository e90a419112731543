"""A spec and options go in; the console script runs it as a user would, in a folder of its own; what it did comes out.

Nothing here uses e2i: a run is judged by what it printed, by what ``e2i show`` says and by the files in the store.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
BIN = Path(sys.executable).parent
LONGEST = 800.0
"""Seconds that one command may take."""
POLL_TIMEOUT = {r"(?<=    deadline: )[\d.]+": "60", r"(?<=flush: )\d+": "300"}
"""What the shipped configuration says, and what suits a busy machine."""
UNREPORTED = ("--profile", "unreported")
"""For runs that no tracker need hear of: no process imports the trackers to deliver to them."""
ONE_WORKER = {r"(?<=workers: )null": "1"}
"""The libraries of all tools are loaded once instead of once per core."""


@dataclass(frozen=True)
class Sandbox:
    """A user's machine in a folder: a workspace with the shipped specs, a HOME, a place for temporary files, a store.

    What runs in it is the engine of this repository, whatever is installed.
    """

    root: Path

    @classmethod
    def make(cls, root: Path, *, one_worker: bool = False) -> Sandbox:
        sandbox = cls(root)
        shutil.copytree(REPOSITORY / "specs", sandbox.workspace / "specs")
        sandbox.configure(ONE_WORKER if one_worker else {})
        for folder in (sandbox.home, sandbox.temporary):
            folder.mkdir()
        shutil.copytree(HERE / "watch", sandbox.watch)
        return sandbox

    def configure(self, changes: Mapping[str, str]) -> None:
        """Puts the shipped configuration there, but for ``changes`` and for deadlines that a busy machine would miss."""
        shutil.copytree(REPOSITORY / "config", self.workspace / "config")
        file = self.workspace / "config" / "default.yaml"
        text = file.read_text("utf-8")
        for shipped, suits in (POLL_TIMEOUT | dict(changes)).items():
            text, changed = re.subn(shipped, suits, text)
            assert changed, shipped
        file.write_text(text, "utf-8")
        file.with_name("unreported.yaml").write_text("sinks: []\n", "utf-8")

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def temporary(self) -> Path:
        return self.root / "tmp"

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def watch(self) -> Path:
        """The folder of ``sitecustomize.py`` and of its logs."""
        return self.root / "watch"

    @property
    def environ(self) -> dict[str, str]:
        """Little of ours; HOME is unique, and every process of a run inherits it."""
        return {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANG": "C.UTF-8",
        }

    @cached_property
    def python(self) -> Path:
        """An environment of its own over this one: every process of a run starts with the ``sitecustomize.py`` of
        ``watch``, without a variable that workers would have to inherit.
        """
        packages = self.root / "env" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        packages.mkdir(parents=True)
        ours = sysconfig.get_path("purelib")
        (packages / "sandbox.pth").write_text(
            f"{self.watch}\n{REPOSITORY / 'engine'}\nimport site; site.addsitedir({ours!r})\n"
        )
        (self.root / "env" / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
        python = self.root / "env" / "bin" / "python"
        python.parent.mkdir()
        python.symlink_to(Path(sys.executable).resolve())
        return python

    def command(
        self, *command: str, launcher: tuple[str, ...] = (), **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a console script of this environment in the workspace."""
        return subprocess.run(
            [*launcher, str(self.python), str(BIN / command[0]), *command[1:]],
            cwd=self.workspace,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )

    def run(self, spec: str, *options: str, launcher: tuple[str, ...] = (), exit_code: int = 0) -> Run:
        """Runs a spec of the workspace by ``e2i-run``. Fails the test when it ends with another exit code."""
        began, before = time.monotonic(), cpu()
        done = self.command("e2i-run", spec, *options, "--store", str(self.store), "--json", launcher=launcher)
        seconds, used = time.monotonic() - began, cpu() - before
        assert done.returncode == exit_code, f"exit code {done.returncode}\n{done.stderr}\n{done.stdout[-4000:]}"
        return Run(self, seconds, used, tuple(json.loads(line) for line in done.stdout.splitlines()))

    def files(self) -> set[str]:
        """Everything outside the store: in the workspace, in HOME, and among the temporary files."""
        folders = (self.workspace, self.home, self.temporary)
        return {str(path.relative_to(self.root)) for folder in folders for path in folder.rglob("*")}

    def processes(self) -> dict[int, str]:
        """The living processes that were started in this sandbox, with their command lines."""
        mark = f"HOME={self.home}".encode()
        found: dict[int, str] = {}
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (
                        (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                    )
            except OSError:  # it has ended meanwhile
                continue
        return found


def cpu() -> float:
    """Seconds of CPU of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True)
class Run:
    """A run that has ended: how long the whole command took, its seconds of CPU with all that it started, and the
    events that it printed.
    """

    sandbox: Sandbox
    seconds: float
    cpu: float
    events: tuple[Mapping[str, Any], ...]

    @property
    def id(self) -> str:
        return str(self.events[0]["run"])

    @property
    def store(self) -> Path:
        return self.sandbox.store

    @property
    def end(self) -> Mapping[str, Any]:
        """The last line: ``status``, ``steps`` and ``outputs`` of the run."""
        return self.events[-1]

    @cached_property
    def record(self) -> dict[str, Any]:
        """What ``e2i show`` says of the run; ``steps`` by their ids."""
        shown = self.sandbox.command("e2i", "show", self.id, "--store", str(self.store), "--json")
        document: dict[str, Any] = json.loads(shown.stdout)
        return {**document, "steps": {step["step"]: step for step in document["steps"]}}

    def outputs(self, step: str) -> dict[str, Any]:
        found: dict[str, Any] = self.record["steps"][step]["outputs"]
        return found

    def path(self, artifact: Mapping[str, Any]) -> Path:
        """The file or folder of a stored artifact."""
        digest = str(artifact["digest"]).removeprefix("sha256:")
        return self.store / "objects" / digest[:2] / digest[2:]

    def frame(self, step: str, output: str = "table") -> pd.DataFrame:
        """A table that a step gave."""
        with pa.memory_map(str(self.path(self.outputs(step)[output]))) as file:
            frame: pd.DataFrame = pa.ipc.open_file(file).read_all().to_pandas()
        return frame

"""The same no-op steps as files of other programs: a shape goes in; the commands that run them come out.

Peers are looked for in an environment of their own, which this makes, outside of any repository:

    python3 -m venv DIR && DIR/bin/pip install doit luigi

These are two of the fastest. Neither makes a finished step durable before it goes on (no fsync); each remembers what is
done in its usual way.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

INSTALL = ("doit", "luigi")

DOIT = """
from doit.tools import run_once
DOIT_CONFIG = {{"verbosity": 0}}

def nothing():
    return True

def task_all():
    for number, above in enumerate({needs}):
        needs = [f"all:s{{i}}" for i in above]
        yield {{"name": f"s{{number}}", "actions": [nothing], "uptodate": [run_once], "task_dep": needs}}
"""

LUIGI = """
import luigi
NEEDS = {needs}

class Step(luigi.Task):
    number = luigi.IntParameter()

    def requires(self):
        return [Step(number=above) for above in NEEDS[self.number]]

    def output(self):
        return luigi.LocalTarget(f"done/{{self.number}}")

    def run(self):
        with self.output().open("w"):
            pass

class All(luigi.WrapperTask):
    def requires(self):
        return [Step(number=number) for number in range(len(NEEDS))]

if __name__ == "__main__":
    if not luigi.build([All()], local_scheduler=True, log_level="CRITICAL"):
        raise SystemExit(1)
"""


def install(folder: Path) -> None:
    """Makes the environment of the peers, from the package registry that pip is set to."""
    subprocess.run(["python3", "-m", "venv", str(folder)], check=True)
    subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", *INSTALL], check=True)


def commands(environment: Path, folder: Path, needs: Sequence[Sequence[int]]) -> Mapping[str, list[str]]:
    """Writes the steps into ``folder`` for each peer that is installed. The command of each that carries them out."""
    found = {}
    for name, write in WRITERS.items():
        python = environment / "bin" / "python"
        tried = [str(python), "-c", f"import {name}"]
        if python.exists() and subprocess.run(tried, capture_output=True, check=False).returncode == 0:
            location = folder / name
            (location / "done").mkdir(parents=True)
            found[name] = write(environment / "bin", location, [list(above) for above in needs])
    return found


def _doit(bin_: Path, location: Path, needs: list[list[int]]) -> list[str]:
    (location / "dodo.py").write_text(DOIT.format(needs=needs), "utf-8")
    return [str(bin_ / "doit"), "run", "-f", str(location / "dodo.py"), "--dir", str(location), "--reporter", "zero"]


def _luigi(bin_: Path, location: Path, needs: list[list[int]]) -> list[str]:
    (location / "tasks.py").write_text(LUIGI.format(needs=needs), "utf-8")
    return [str(bin_ / "python"), str(location / "tasks.py")]


WRITERS: Mapping[str, Callable[[Path, Path, list[list[int]]], list[str]]] = {
    "doit": _doit,
    "luigi": _luigi,
}

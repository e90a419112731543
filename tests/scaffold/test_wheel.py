"""The wheel in an environment of its own, with the core's requirements and then with all: what e2i ships with is in it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement

from project import LONGEST

ROOT = Path(__file__).parents[2]
SITE = Path("lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")


class Installed:
    """An environment with the wheel, and an empty folder to use it in."""

    def __init__(self, root: Path) -> None:
        self.bin, self.site, self.folder = root / "env" / "bin", root / "env" / SITE, root / "folder"
        (built,) = WheelBuilder(str(ROOT)).build(directory=str(root), versions=["standard"])
        self.wheel = Path(built)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / "env"], check=True)
        offline = ["--no-index", "--no-deps", "--no-compile", "--quiet", "--disable-pip-version-check"]
        pip = [sys.executable, "-m", "pip", "--python", self.bin / "python"]
        subprocess.run([*pip, "install", *offline, self.wheel], check=True)
        self.folder.mkdir()

    def add(self, *requirements: str) -> None:
        """Links these distributions, and what they require, from the environment of the tests."""
        for found in required(requirements, set()):
            for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
                if not (self.site / top).exists():
                    (self.site / top).symlink_to(Path(str(found.locate_file(top))))

    def add_all(self) -> None:
        """Shows it every distribution of the tests' environment, but for the e2i there: its ``.pth`` is not read."""
        (self.site / "all.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "E2I_"))}
        return subprocess.run(
            [self.bin / program, *arguments],
            cwd=self.folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )

    def does(self, *arguments: str) -> str:
        """What a command prints, which must be done without a word on standard error."""
        done = self.run("e2i", *arguments)
        assert (done.returncode, done.stderr) == (0, ""), (arguments, done.stdout, done.stderr)
        return done.stdout


def required(requirements: tuple[str, ...], seen: set[str]) -> Iterator[Distribution]:
    """Yields the distributions that these requirements name, and all that those require."""
    for text in requirements:
        needed = Requirement(text)
        if needed.name not in seen and (needed.marker is None or needed.marker.evaluate({"extra": ""})):
            seen.add(needed.name)
            found = distribution(needed.name)
            yield found
            yield from required(tuple(found.requires or ()), seen)


@pytest.mark.slow
def test_a_wheel_is_all_that_a_project_needs(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    assert shipped(ROOT / "engine") <= set(zipfile.ZipFile(installed.wheel).namelist())

    installed.add(*(distribution("e2i").requires or ()))
    assert str(installed.site) in installed.run("python", "-c", "import e2i; print(e2i.__file__)").stdout
    assert "No module named 'numpy'" in installed.run("python", "-c", "import numpy").stderr
    for command in ("init", "validate specs/starter.yaml", "catalog model.train", "explain bad-option"):
        assert installed.does(*command.split())
    schema = (installed.folder / "specs" / "starter.yaml").read_text().partition("$schema=")[2].split()[0]
    assert json.loads((installed.folder / "specs" / schema).read_text())["title"] == "e2i pipeline, version 1"
    for form in ("text", "html", "svg"):
        assert installed.does("plan", "specs/starter.yaml", "--format", form)
    failed = installed.run("e2i-run", "specs/starter.yaml")
    assert (failed.returncode, "[tool-missing]" in failed.stderr) == (1, True)
    assert 'pip install "e2i[examples]"' in failed.stderr and 'pip install "e2i[mlflow]"' in failed.stderr
    assert "report.html" in installed.does("report", "last")
    rows = "\n".join(f"{(x := random.Random(i).random()):.4f},{int(x > 0.5)}" for i in range(200))
    (installed.folder / "own.csv").write_text(f"x,y\n{rows}\n")
    missing = installed.run("e2i", "init", "--from", "own.csv", "--target", "y")
    assert (missing.returncode, 'pip install "e2i[data]"' in missing.stderr) == (4, True), missing.stderr

    installed.add_all()
    (installed.folder / "config" / "default.yaml").write_text("sinks: []\nworkers: 1\n")
    assert "next: e2i-run specs/own.yaml" in installed.does("init", "--from", "own.csv", "--target", "y")
    ran = installed.run("e2i-run", "specs/own.yaml", "--json")
    assert json.loads(ran.stdout.splitlines()[-1])["status"] == "succeeded", ran.stderr
    assert "report.html" in installed.does("report", "last")


def shipped(engine: Path) -> set[str]:
    """Every file of the program, as a wheel names it."""
    files = (path for path in (engine / "e2i").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(engine).as_posix() for path in files}

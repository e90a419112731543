"""Every row of ``rows.yaml``: a hostile spec has its stated outcome, in bounded time and memory; no canary sings."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ENGINE = Path(__file__).parents[2] / "engine"
ROWS: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("rows.yaml").read_text("utf-8"))["rows"]
CPU_SECONDS = 0.9
"""Processor time of the command and all that it starts, on top of a tenth of a second for importing the program. Wall
time would measure the machine's load.
"""
TRIES = 10
"""A busy machine makes processor time longer, never shorter: the quickest of these counts."""
RSS_MB = 200
CANARY = "tweet-c4n4ry-5d1e0f"
HOME = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}

Launcher = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Ended:
    """What came of one command."""

    code: int
    out: str
    cpu: float
    rss_mb: float


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    """Runs commands one after another: see ``launcher.py``."""
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("launcher.py")],
        env={**HOME, "PYTHONPATH": str(ENGINE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        to, back = process.stdin, process.stdout

        def launched(**order: Any) -> dict[str, Any]:
            print(json.dumps(order), file=to, flush=True)
            ended: dict[str, Any] = json.loads(back.readline())
            return ended

        yield launched
        to.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A port that everything would be sent through that is sent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace with what hostile specs look for, beside a file that is none of their business."""
    outside, workspace = tmp_path / "outside", tmp_path / "workspace"
    for folder in (outside, workspace / "config", workspace / "data"):
        folder.mkdir(parents=True)
    (tmp_path / "canary.txt").write_text(f"a,b\n{CANARY},1\n")
    (outside / "canary.txt").write_text(f"a,b\n{CANARY},1\n")
    (workspace / "link").symlink_to(outside)
    (workspace / "canary.csv").symlink_to(outside / "canary.txt")
    (workspace / "loop.csv").symlink_to("loop.csv")
    (workspace / ".env").write_text(f"TOKEN={CANARY}\n")
    os.mkfifo(workspace / "pipe.csv")
    (workspace / "a.py").write_text("def f(**given):\n    return len(given)\n")
    (workspace / "steps.py").write_text("def escape():\n    raise ValueError('\\x1b[2J\\x1b]0;pwn\\x07')\n")
    (workspace / "config" / "default.yaml").write_text("sinks: []\nworkers: 1\nsecrets: {TOKEN: CANARY_TOKEN}\n")
    return workspace


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['id']} {row['about']}")
def test_the_row_has_its_outcome(
    row: dict[str, Any], folder: Path, listener: socket.socket, launcher: Launcher
) -> None:
    spec = folder / "spec.yaml"
    spec.write_bytes(text_of(row).encode(row.get("encoding", "utf-8")))
    for name, text in row.get("files", {}).items():
        (folder / name).write_text(text, "utf-8")
    before = tree(folder.parent)
    command = row.get("command", "validate")
    form = ["--json"] if "gives" in row or "json" in row else []
    origin = row.get("origin", "human")
    words = (command, "spec.yaml", *row.get("arguments", ()), "--origin", origin, *form)
    ended = execute(folder, listener, launcher, *words)
    cpu = ended.cpu
    for _ in range(TRIES - 1):
        if cpu >= CPU_SECONDS:
            shutil.rmtree(folder / ".e2i", ignore_errors=True)
            cpu = min(cpu, execute(folder, listener, launcher, *words).cpu)

    assert ended.code == row.get("exit", 2), ended.out
    assert "Traceback (most recent call last)" not in ended.out
    if "code" in row:
        assert f"[{row['code']}]" in ended.out or re.search(rf'"code": ?"{row["code"]}"', ended.out), ended.out
    if "says" in row:
        assert row["says"] in ended.out, ended.out
    if "hides" in row:
        assert row["hides"] not in ended.out
    if "gives" in row:
        assert json.loads(ended.out.splitlines()[-1])["outputs"] == {"value": row["gives"]}
    assert cpu < CPU_SECONDS
    assert ended.rss_mb < RSS_MB

    assert "\x1b" not in ended.out and "\u202e" not in ended.out
    assert CANARY not in ended.out
    assert tree(folder.parent) == before, "only the store may have been written"
    assert command == "run" or not (folder / ".e2i").exists()
    assert [
        path for path in (folder / ".e2i").rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()
    ] == []
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert survivors(folder) == []


def test_every_row_has_an_id_of_its_own_and_an_outcome() -> None:
    assert len({row["id"] for row in ROWS}) == len(ROWS)
    assert all({"code", "says", "gives"} & row.keys() for row in ROWS)


def text_of(row: dict[str, Any]) -> str:
    """The spec's text. Where only a part is given, it is the one step of a pipeline."""
    if "spec" in row:
        return str(row["spec"])
    if "parts" in row:
        return "".join(
            "".join(part["text"].replace("{n}", str(number)) for number in range(part["times"]))
            if "{n}" in part["text"] else part["text"] * part["times"]
            for part in row["parts"]
        )  # fmt: skip
    given = {"value": "${{ " + row["value"] + " }}"} if "value" in row else row.get("with", {})
    held = f"{{value: {row['literal']}}}" if "literal" in row else json.dumps(given)
    outputs = 'outputs: {value: "${{ steps.a.value }}"}\n' if "gives" in row else ""
    return f"version: 1\nname: x\nsteps:\n  a:\n    uses: {row.get('uses', 'debug.echo')}\n    with: {held}\n{outputs}"


def execute(folder: Path, listener: socket.socket, launcher: Launcher, *arguments: str) -> Ended:
    """One command in the workspace."""
    proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
    environ = {
        **HOME, "HOME": str(folder.parent), "PYTHONPATH": str(ENGINE),
        "CANARY_VALUE": CANARY, "CANARY_TOKEN": CANARY, "http_proxy": proxy, "https_proxy": proxy, "ALL_PROXY": proxy,
    }  # fmt: skip
    out = folder.parent / "out"
    out.write_bytes(b"")
    ended = launcher(arguments=arguments, folder=str(folder), environ=environ, out=str(out))
    said = out.read_text("utf-8")
    out.unlink()
    return Ended(ended["code"], said, ended["cpu"], ended["rss_mb"])


def tree(folder: Path) -> dict[str, str]:
    """Every file but those of the store, with its content's digest."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if ".e2i" not in path.parts and path.is_file() and not path.is_symlink():
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def survivors(folder: Path) -> list[str]:
    """Processes that still stand in the workspace."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and (process / "cwd").readlink() == folder:
                found.append(process.name)
        except OSError:  # it has gone, or is somebody else's
            continue
    return found

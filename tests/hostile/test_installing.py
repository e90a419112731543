"""V02: nothing that a spec or a setting names is ever installed: no installer starts, and nothing is sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[2] / "engine"
WATCHED = """
import json, os, sys

NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "urllib.Request", "http.client.connect")
PROGRAMS = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system")
out = os.open("seen", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

def watch(event, arguments):
    inside = event == "socket.connect" and arguments[0].family.name == "AF_UNIX"
    installs = event == "import" and arguments[0] in ("pip", "ensurepip", "uv")
    if (event in NETWORK and not inside) or event in PROGRAMS or installs:
        os.write(out, (json.dumps([event, repr(arguments)[:300]]) + "\\n").encode())

sys.addaudithook(watch)
from e2i.cli.main import main
main()
"""
INSTALLERS = ("pip", "pip3", "uv", "uvx", "pipx", "conda", "mamba", "poetry", "easy_install", "git", "curl", "wget")
SPEC = "version: 1\nname: x\n{more}steps:\n  a: {{uses: {uses}, with: {{value: 1}}{step}}}\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace, and installers on the path that leave a mark."""
    (tmp_path / "bin").mkdir()
    for name in INSTALLERS:
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/installed\n')
        program.chmod(0o755)
    folder = tmp_path / "workspace"
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "default.yaml").write_text("sinks: []\nworkers: 1\n")
    return folder


def e2i(workspace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command with an audit hook; what it saw is in ``seen``."""
    environ = {
        "PATH": f"{workspace.parent}/bin:/usr/bin:/bin",
        "HOME": str(workspace.parent),
        "PYTHONPATH": str(ENGINE),
        "PIP_NO_INDEX": "1",
    }
    return subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments],
        cwd=workspace, env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def seen(workspace: Path) -> list[list[str]]:
    return [json.loads(line) for line in (workspace / "seen").read_text().splitlines()]


@pytest.mark.parametrize(
    "command", [*(pytest.param(name, marks=pytest.mark.slow) for name in ("validate", "plan")), "run"]
)
@pytest.mark.parametrize(
    "given",
    [
        {"uses": "evil_tool.run"},
        {"uses": "evil-tool.run"},
        {"uses": "debug.echo", "more": "plugins: [evil-tool]\n"},
        {"uses": "debug.echo", "more": "dependencies: [evil-tool==1.0]\n"},
        {"uses": "debug.echo", "step": ", requirements: [evil-tool]"},
        {"uses": "pip.install"},
        {"uses": "'evil_tool @ https://127.0.0.1:9/evil.whl'"},
    ],
)
def test_a_spec_cannot_have_anything_installed(workspace: Path, command: str, given: dict[str, str]) -> None:
    (workspace / "spec.yaml").write_text(SPEC.format(**{"more": "", "step": "", **given}))
    done = e2i(workspace, command, "spec.yaml")
    assert done.returncode == 2, done.stdout + done.stderr
    assert seen(workspace) == []
    assert not (workspace.parent / "installed").exists()


@pytest.mark.parametrize("command", ["validate", "plan", "run"])
def test_a_plug_in_of_the_settings_that_is_missing_is_an_error(workspace: Path, command: str) -> None:
    (workspace / "config" / "default.yaml").write_text("sinks: []\nplugins: [evil_tool]\n")
    (workspace / "spec.yaml").write_text(SPEC.format(uses="evil_tool.run", more="", step=""))
    done = e2i(workspace, command, "spec.yaml")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "evil_tool" in done.stdout + done.stderr
    assert seen(workspace) == []
    assert not (workspace.parent / "installed").exists()


def test_a_run_that_succeeds_starts_no_installer_and_sends_nothing(workspace: Path) -> None:
    (workspace / "spec.yaml").write_text(SPEC.format(uses="debug.echo", more="", step=""))
    done = e2i(workspace, "run", "spec.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [one for one in seen(workspace) if not one[0].startswith(("subprocess", "os."))] == []
    assert not (workspace.parent / "installed").exists()


def test_the_watch_sees_what_it_looks_for(workspace: Path) -> None:
    code = WATCHED.partition("from e2i")[0] + (
        "import subprocess, socket\nsubprocess.run(['pip', 'install', 'x'])\n"
        "try:\n    socket.create_connection(('127.0.0.1', 9), timeout=1)\nexcept OSError:\n    pass\n"
    )
    environ = {**os.environ, "PATH": f"{workspace.parent}/bin"}
    subprocess.run([sys.executable, "-c", code], cwd=workspace, env=environ, check=True, timeout=60)
    assert {event for event, _ in seen(workspace)} >= {"subprocess.Popen", "socket.connect"}
    assert (workspace.parent / "installed").read_text() == "pip install x\n"

"""Services outlive their step and nothing else: each dies with the engine, with every process that it started."""

from __future__ import annotations

import os
import sys
import urllib.request
from pathlib import Path

import pytest

from context import LocalContext
from e2i.errors import StepError
from project import WITHIN, Project, held_port, until

DIGEST = "sha256:" + "0" * 64
SERVER = """
import http.server, subprocess, sys
children = [subprocess.Popen(["sleep", "600"], start_new_session=True) for _ in range(2)]
print(*[child.pid for child in children], flush=True)
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
        self.wfile.write(b"ready")
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_service_answers_and_ends_with_the_engine_and_so_do_its_children(tmp_path: Path) -> None:
    context = LocalContext(tmp_path)
    with held_port() as port:
        service = context.serve(
            [sys.executable, "-c", SERVER, str(port)], port=port, ready="/readyz", env={}, digest=DIGEST, keep=False
        )
    try:
        assert urllib.request.urlopen(f"{service.url}/readyz", timeout=WITHIN).read() == b"ready"
        (log,) = (tmp_path / "store").rglob("*.service.log")
        children = [int(pid) for pid in log.read_text().split()]
        assert len(children) == 2 and all(map(alive, [service.pid, *children]))
    finally:
        context.close()
    assert until(lambda: not any(map(alive, children)))  # they were killed, and are going
    assert until(lambda: not alive(service.pid))  # its guardian has let go of the pipe and is ending


def test_a_service_imports_nothing_from_the_workspace_or_from_where_a_variable_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, planted = LocalContext(tmp_path), tmp_path / "planted"
    planted.mkdir()
    for name in ("bentoml", "http", "json", "sitecustomize", "usercustomize", "subprocess"):
        (planted / f"{name}.py").write_text(
            f"open({str(planted / 'ran')!r}, 'a').write(__name__)\nraise SystemExit(3)\n"
        )
    monkeypatch.chdir(planted)
    for variable in ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE"):
        monkeypatch.setenv(variable, str(planted))
    with held_port() as port:
        context.serve(
            [sys.executable, "-c", SERVER, str(port)], port=port, ready="/readyz", env={}, digest=DIGEST, keep=False
        )
    context.close()
    assert not (planted / "ran").exists()


def test_a_service_that_is_kept_stays_until_it_is_ended(tmp_path: Path) -> None:
    context = LocalContext(tmp_path)
    with held_port() as port:
        service = context.serve(
            [sys.executable, "-c", SERVER, str(port)], port=port, ready="/readyz", env={}, digest=DIGEST, keep=True
        )
    context.close()
    assert alive(service.pid)
    (log,) = (tmp_path / "store").rglob("*.service.log")
    children = [int(pid) for pid in log.read_text().split()]
    os.kill(service.pid, 15)
    os.waitpid(service.pid, 0)
    assert until(lambda: not any(map(alive, children)))


def test_a_service_that_ends_at_once_is_a_fault_with_its_last_words(ctx: LocalContext) -> None:
    with held_port() as port, pytest.raises(StepError, match="exit code 3: the model is missing") as raised:
        ctx.serve(
            [sys.executable, "-c", "import sys; print('the model is missing'); sys.exit(3)"],
            port=port,
            ready="/",
            env={},
            digest=DIGEST,
            keep=False,
        )
    assert raised.value.code == "service-ended"


def test_what_a_step_starts_in_the_background_does_not_outlive_the_run(project: Project) -> None:
    project.write(
        "start.py",
        "import subprocess\ndef start():\n    return subprocess.Popen(['sleep', '600']).pid\n",
    )
    spec = """
version: 1
name: s
steps: {a: {uses: python.call, with: {file: start.py, function: start}}}
outputs: {pid: '${{ steps.a.value }}'}
"""
    pid = project.run(spec).outputs["pid"]
    assert until(lambda: not alive(pid))

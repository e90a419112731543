"""No secret and no credential is in the command line of a process, which all users of a machine can read."""

from __future__ import annotations

import base64
import contextlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from context import LocalContext
from live.echoing import Echo, forms
from project import Project, held_port, until

TOKEN = "tok/9fK2xLq7+Vt4Zw8RmB3nY=c5Jd6&H"
PASSWORD = "s3cr3tDatabaseWord77"
MINE = "declared-Secret-41x"
VARIABLES = {"MLFLOW_TRACKING_TOKEN": TOKEN, "OPIK_API_KEY": TOKEN, "MINE": MINE, "PGPASSWORD": PASSWORD}
SPEC = """
version: 1
name: watched
steps:
  told: {uses: python.call, with: {file: use.py, function: use, arguments: {token: "${{ secrets.MINE }}"}}}
  held: {HOLD, needs: [told]}
"""
USE = """
import time

def use(token):
    time.sleep(0.5)
    return len(token)
"""
CONFIG = """
sinks: [mlflow, opik]
flush: 5
secrets: {MINE: MINE}
tools:
  mlflow: {tracking_uri: 'URL'}
  opik: {url: 'URL/api', api_key: '${OPIK_API_KEY:-}'}
  database: {connections: {main: {url: 'postgresql://bob:${PGPASSWORD}@127.0.0.1:9/shop'}}}
"""


class Watch:
    """Reads the command lines of all processes again and again."""

    def __init__(self, secrets: list[str]) -> None:
        self._wanted = [form.encode() for secret in secrets for form in forms(secret)]
        self.seen: set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(0.03):
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    with contextlib.suppress(OSError):
                        self.seen.add((entry / "cmdline").read_bytes())

    def found(self) -> list[bytes]:
        self._over.set()
        self._thread.join()
        return [line for line in self.seen if any(form in line for form in self._wanted)]


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


@pytest.mark.slow
def test_no_secret_is_in_the_command_line_of_a_process_of_a_run(project: Project, echo: Echo) -> None:
    project.write("use.py", USE)
    project.write("s.yaml", SPEC.replace("HOLD", project.hold()))
    project.write("config/default.yaml", CONFIG.replace("URL", echo.url))
    watch = Watch([TOKEN, PASSWORD, MINE])
    with project.start("run", "s.yaml", "--json", env=VARIABLES, under=["env"]) as process:
        kinds = ("e2i.execution.delivery", "guardian.py", "e2i.workers.worker")
        all_run = until(lambda: all(any(kind.encode() in line for line in watch.seen) for kind in kinds), 100)
        reached = until(lambda: bool(echo.heard), 100)
        project.let_go()
        out, err = process.communicate()
    for command in (["sync"], ["doctor"], ["outbox", "list"]):
        project.cli(*command, env=VARIABLES)
    assert all_run and reached, (out, err, [line for line in watch.seen if b"e2i" in line])
    assert process.returncode == 0, err
    assert watch.found() == []


def test_what_a_service_is_given_is_not_in_its_command_line(tmp_path: Path) -> None:
    server = """
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
    watch, context = Watch([TOKEN]), LocalContext(tmp_path)
    with held_port() as port:
        command = [sys.executable, "-c", server, str(port)]
        context.serve(
            command, port=port, ready="/readyz", env={"TOKEN": TOKEN}, digest="sha256:" + "0" * 64, keep=False
        )
    try:
        assert until(lambda: any(str(port).encode() in line for line in watch.seen))
    finally:
        context.close()
    assert watch.found() == []


def test_the_watch_finds_a_secret_that_is_there(project: Project) -> None:
    watch = Watch([TOKEN])
    shown = base64.b64encode(TOKEN.encode()).decode()
    with project.start("run", "missing.yaml", "-p", f"a={shown}", under=["env"]) as process:
        process.communicate()
    assert process.returncode == 2
    assert any(shown.encode() in line for line in watch.found())

"""Endpoints of real services: what is deployed, redeployed, moved, killed and undeployed."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import socketserver
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2i.errors import StepError, ToolUnavailable
from e2i.tools.bentoml import records
from e2i.tools.bentoml.connector import GuardedBentoML
from e2i.tools.bentoml.endpoints import Endpoint
from e2i.tools.bentoml.resources import Resources, read
from foreign_requests import check_foreign, routes
from project import ENGINE, LONGEST, until
from routed_endpoint import request, sent
from served_models import client, ended, processes, using

pytestmark = pytest.mark.skipif(find_spec("bentoml") is None, reason="BentoML is not installed")
ROW = [[2.0, 0.0, 2.0]]
NO_LIMITS = Resources()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with the Bentos hcp:v1 and hcp:v2, which answers the opposite. Built apart: a process has one home."""
    root = tmp_path_factory.mktemp("endpoints")
    script = (
        "import sys, conftest\nfrom pathlib import Path\nfrom served_models import bento, linear\n"
        "root = Path(sys.argv[1])\n"
        "for version in ('v1', 'v2'):\n"
        "    print(bento(root / 'bentoml', linear(root / version, version == 'v2'), 'hcp', version))\n"
    )
    tests = Path(__file__).parents[2]
    environ = {**os.environ, "PYTHONPATH": f"{ENGINE}:{tests}"}
    done = subprocess.run([sys.executable, "-c", script, str(root)], env=environ, capture_output=True, timeout=LONGEST)
    assert done.returncode == 0, done.stderr.decode()[-800:]
    yield root / "bentoml"
    for name in sorted(path.name for path in (root / "bentoml" / "endpoints").iterdir()):
        client(root / "bentoml").endpoints.stop(name)
    assert using(root / "bentoml") == set()


@pytest.fixture
def bentoml(home: Path) -> GuardedBentoML:
    return client(home)


def deployed(
    bentoml: GuardedBentoML, tag: str, name: str, replicas: int = 1, limits: Resources = NO_LIMITS
) -> Endpoint:
    return asyncio.run(bentoml.deploy(tag, name, replicas, limits, "test"))


def asked(url: str, **headers: str) -> tuple[int, list[Any], str]:
    answer = httpx.post(f"{url}/predict", json={"input": ROW}, headers=headers, timeout=60)
    return answer.status_code, answer.json().get("predictions"), answer.headers.get("E2I-Bento", "")


class Load:
    """Requests without a pause, from several threads, while its block runs. ``answers`` counts status and Bento."""

    def __init__(self, url: str, threads: int = 3) -> None:
        self.url = url
        self.answers: Counter[tuple[int, str]] = Counter()
        self.errors: list[str] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(threads)]

    def _ask(self) -> None:
        with httpx.Client(timeout=60) as http:
            while not self._over.is_set():
                try:
                    answer = http.post(f"{self.url}/predict", json={"input": ROW})
                    self.answers[answer.status_code, answer.headers.get("E2I-Bento", "")] += 1
                except httpx.HTTPError as error:
                    self.errors.append(repr(error))

    def goes_on(self, number: int) -> bool:
        return sum(self.answers.values()) >= number

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [1, pytest.param(2, marks=pytest.mark.sweep)])
def test_an_endpoint_outlives_its_program_and_is_changed_and_ended_by_another(home: Path, replicas: int) -> None:
    with ended(home, "lasting"):
        first = deployed(client(home), "hcp:v1", "lasting")
        assert asked(first.url) == (200, [1], "hcp:v1")
        assert httpx.post(f"{first.url}/metadata", json={}).json()["environment"] == "test"
        for path in ("/livez", "/readyz", "/healthz", "/metrics", "/docs.json"):
            assert httpx.get(first.url + path).status_code == 200, path
        assert len(processes(home, "lasting")) == 2  # the router and a replica
        again = deployed(client(home), "hcp:v1", "lasting")
        assert again == first
        other = client(home)
        with Load(first.url) as load:
            second = deployed(other, "hcp:v2", "lasting", replicas)
            assert second == Endpoint("lasting", first.url, "hcp:v2", replicas)
            assert asked(second.url) == (200, [0], "hcp:v2")
            back = asyncio.run(other.move("lasting", 25, "hcp:v1"))
            assert back.url == first.url
        assert load.errors == [] and {status for status, _ in load.answers} == {200}
        assert {tag for _, tag in load.answers} == {"hcp:v1", "hcp:v2"}
        asyncio.run(other.undeploy("lasting"))
        assert processes(home, "lasting") == set()
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{first.url}/livez")
        asyncio.run(client(home).undeploy("lasting"))  # safe to repeat


@pytest.mark.slow
def test_a_share_of_the_requests_is_moved_exactly_and_by_key_for_good(bentoml: GuardedBentoML, home: Path) -> None:
    with ended(home, "canary"):
        url = deployed(bentoml, "hcp:v1", "canary").url
        asyncio.run(bentoml.move("canary", 10, None))  # the newest is v2
        with httpx.Client(timeout=60) as http:

            def by(key: str | None = None) -> str:
                headers = {} if key is None else {"E2I-Key": key}
                return http.post(f"{url}/predict", json={"input": ROW}, headers=headers).headers["E2I-Bento"]

            assert Counter(by() for _ in range(200)) == {"hcp:v1": 180, "hcp:v2": 20}
            keys = {key: by(key) for key in map(str, range(300))}
            assert 10 <= sum(tag == "hcp:v2" for tag in keys.values()) <= 55
            assert {key: by(key) for key in list(keys)[:100]} == dict(list(keys.items())[:100])
        asyncio.run(bentoml.move("canary", 100, None))
        assert asked(url)[2] == "hcp:v2"
        assert until(lambda: len(processes(home, "canary")) == 2)  # the one that answers nothing any more has ended
        asyncio.run(bentoml.move("canary", 0, None))  # back: the rest goes to the one before
        assert asked(url)[2] == "hcp:v1"


@pytest.mark.slow
def test_a_replica_that_is_killed_is_started_again_and_no_request_is_lost(bentoml: GuardedBentoML, home: Path) -> None:
    with ended(home, "crashing"):
        url = deployed(bentoml, "hcp:v1", "crashing", replicas=2).url
        before = processes(home, "crashing")
        status = records.status(home / "endpoints" / "crashing")
        assert status is not None and status.pid in before and len(before) == 3

        def is_replaced(killed: int, number: int) -> bool:
            found = processes(home, "crashing")
            return killed not in found and len(found) == number

        with Load(url) as load:
            for replica in sorted(before - {status.pid}):
                os.kill(replica, signal.SIGKILL)
                assert until(partial(is_replaced, replica, 3))
                assert until(partial(load.goes_on, sum(load.answers.values()) + 20))
        assert load.errors == [] and set(load.answers) == {(200, "hcp:v1")}


@pytest.mark.slow
def test_nothing_survives_a_killed_router_and_the_next_deployment_has_its_address(
    bentoml: GuardedBentoML, home: Path
) -> None:
    with ended(home, "beheaded"):
        first = deployed(bentoml, "hcp:v1", "beheaded")
        status = records.status(home / "endpoints" / "beheaded")
        assert status is not None
        os.kill(status.pid, signal.SIGKILL)
        assert until(lambda: processes(home, "beheaded") == set())
        assert deployed(bentoml, "hcp:v1", "beheaded") == first
        assert asked(first.url)[0] == 200


@pytest.mark.slow
def test_the_router_of_an_endpoint_takes_what_its_service_has_and_nothing_else(
    bentoml: GuardedBentoML, home: Path
) -> None:
    """Also its files are its user's only, and its logs stay short while it runs."""
    before = os.umask(0o022)
    try:
        with ended(home, "guarded"), socketserver.TCPServer(("127.0.0.1", 0), None) as other:  # type: ignore[arg-type]
            url = deployed(bentoml, "hcp:v1", "guarded").url
            folder = home / "endpoints" / "guarded"
            for method, path in routes(url):
                invented = "readyz" in path
                assert (httpx.request(method, url + path, json={}).status_code == 404) == invented, path
            check_foreign(url)
            port = other.server_address[1]
            for line in (f"CONNECT @127.0.0.1:{port}", f"GET http://127.0.0.1:{port}/", "OPTIONS *"):
                assert asyncio.run(sent(url, request(line))).split()[1] == b"400", line
            for named in ("Host", "Origin", "Sec-Fetch-Site"):
                foreign = ("Origin: http://evil.example", "Content-Type: application/json", "Content-Length: 9")
                raw = request("POST /predict", *foreign, f"Connection: close, {named}", host="evil.example")
                assert asyncio.run(sent(url, raw)).split()[1] == b"400", named
            raw = request("POST /predict", "Content-Type: application/json", "E2I-Key: \xff", "Content-Length: 0")
            assert asyncio.run(sent(url, raw)).split()[1] == b"400"
            assert (folder / "log").read_text() == ""
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path.is_file()}
            assert {"endpoint.json", "status.json", "alive", "lock", "log"} < set(modes)
            assert set(modes.values()) == {0o600} and stat.S_IMODE(folder.stat().st_mode) == 0o700
            for log in (folder / "log", next(folder.glob("replica-*.log"))):
                with log.open("ab") as file:
                    file.write(bytes(records.KEPT_LOG) + b"the end")
                assert until(lambda log=log: 0 < log.stat().st_size <= records.KEPT_LOG)  # type: ignore[misc]
                assert until(lambda log=log: log.read_bytes().endswith(b"the end"))  # type: ignore[misc]
    finally:
        os.umask(before)


@pytest.mark.slow
def test_a_replica_has_the_limits_that_were_set(bentoml: GuardedBentoML, home: Path) -> None:
    with ended(home, "limited"):
        deployed(bentoml, "hcp:v1", "limited", limits=read({"cpu": "1", "memory": "3Gi"}))
        status = records.status(home / "endpoints" / "limited")
        assert status is not None
        (replica,) = processes(home, "limited") - {status.pid}
        assert len(os.sched_getaffinity(replica)) == 1
        assert f"{3 << 30}" in next(
            line
            for line in Path(f"/proc/{replica}/limits").read_text().splitlines()
            if line.startswith("Max data size")
        )
        environ = Path(f"/proc/{replica}/environ").read_bytes().split(b"\0")
        assert {b"OMP_NUM_THREADS=1", b"E2I_ENVIRONMENT=test"} <= set(environ)


@pytest.fixture
def broken(home: Path) -> Iterator[None]:
    """The Bento hcp:broken in the home, whose service does not start."""
    folder = home / "bentos" / "hcp" / "broken"
    shutil.copytree(home / "bentos" / "hcp" / "v1", folder)
    (folder / "src" / "flavours.py").write_text("raise RuntimeError('no such thing')")
    yield
    shutil.rmtree(folder)


@pytest.mark.slow
def test_a_bento_that_cannot_start_changes_nothing(home: Path, broken: None) -> None:
    with ended(home, "steady"):
        first = deployed(client(home), "hcp:v1", "steady")
        with pytest.raises(ToolUnavailable, match=r"did not start: .*exit code .*no such thing") as caught:
            deployed(client(home), "hcp:broken", "steady")
        assert caught.value.code == "endpoint-failed" and "hcp:v1 answers as before" in str(caught.value.hint)
        assert asked(first.url) == (200, [1], "hcp:v1")
        assert until(lambda: len(processes(home, "steady")) == 2)


def test_a_bento_that_cannot_start_leaves_no_new_endpoint(home: Path, broken: None) -> None:
    with ended(home, "new"), pytest.raises(ToolUnavailable, match="did not start"):
        deployed(client(home), "hcp:broken", "new")
    assert processes(home, "new") == set() and client(home).endpoints.names() == []


@pytest.mark.slow
def test_an_endpoint_whose_store_is_removed_ends(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "bentoml"
    shutil.copytree(home / "bentos", other / "bentos")
    shutil.copytree(home / "models", other / "models")
    deployed(client(other), "hcp:v1", "forgotten")
    alive = other / "endpoints" / "forgotten" / "alive"
    pids = processes(other, "forgotten")
    assert len(pids) == 2 and alive.is_file()
    shutil.rmtree(other)
    assert until(lambda: using(other) == set())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.deploy("hcp:v9", "x", 1, NO_LIMITS, "test"), "no Bento hcp:v9"),
        (lambda c: c.deploy("hcp:../v1", "x", 1, NO_LIMITS, "test"), "is not the tag"),
        (lambda c: c.deploy("hcp:v1", "../x", 1, NO_LIMITS, "test"), "is not a name"),
        (lambda c: c.deploy("hcp:v1", "x", 0, NO_LIMITS, "test"), "from 1 to 64"),
        (lambda c: c.move("nobody", 10, None), "no endpoint nobody"),
        (lambda c: c.move("nobody", 101, None), "from 0 to 100"),
        (lambda c: c.undeploy("nobody2"), "no endpoint nobody2"),
    ],
)
def test_a_mistake_is_named(bentoml: GuardedBentoML, call: Any, message: str) -> None:
    with pytest.raises(StepError, match=message):
        asyncio.run(call(bentoml))


PROGRAM = """
import asyncio, sys, conftest
from pathlib import Path
from e2i.tools.bentoml.resources import Resources
from served_models import client

bentoml = client(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
asyncio.run(bentoml.deploy(sys.argv[2], "mortal", int(sys.argv[3]), Resources(), "test"))
print("deployed", flush=True)
"""


@pytest.mark.parametrize("turns", [pytest.param(3, marks=pytest.mark.slow), pytest.param(10, marks=pytest.mark.sweep)])
def test_a_program_that_is_killed_while_it_deploys_leaves_one_state_and_no_orphan(home: Path, turns: int) -> None:
    """At another moment each time; every third time the next program undeploys instead."""
    moments = random.Random(12)
    tests = Path(__file__).parents[2]
    environ = {**os.environ, "PYTHONPATH": f"{ENGINE}:{tests}"}
    with ended(home, "mortal"):
        for turn in range(turns):
            tag, replicas = f"hcp:v{1 + turn % 2}", 1 + turn % 3 // 2
            arguments = [sys.executable, "-c", PROGRAM, str(home), tag, str(replicas)]
            with subprocess.Popen(
                arguments, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as program:
                assert program.stdin is not None and program.stdout is not None
                assert program.stdout.readline() == "ready\n"
                program.stdin.write("\n")
                program.stdin.flush()
                time.sleep(moments.choice((0.02, 0.1, 0.5, 2.0, 5.0)) * moments.random())  # it takes some 4 s
                program.kill()
            if turn % 3 == 2 and (home / "endpoints" / "mortal").is_dir():
                asyncio.run(client(home).undeploy("mortal"))
                assert processes(home, "mortal") == set() and using(home) == set()
        endpoint = deployed(client(home), "hcp:v1", "mortal")
        assert asked(endpoint.url) == (200, [1], "hcp:v1")
        assert until(lambda: len(processes(home, "mortal")) == 2)  # the router and one replica: nothing of the others
        assert using(home) == processes(home, "mortal")
    assert using(home) == set()

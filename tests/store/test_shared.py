from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from e2i.execution.events import RunFinished, ToolDegraded
from e2i.machines import Shared
from e2i.store.artifacts import ArtifactStore
from e2i.store.digests import digest_of
from e2i.store.history import digests_of
from e2i.store.rows import Result
from e2i.store.shared import SharedResults, SharedStore
from project import WITHIN, Project, held_port, until
from store import written

FINGERPRINT = "sha256:" + "f" * 64


def shared(url: str, origin: str = "human", **settings: Any) -> SharedStore:
    return SharedStore(Shared(url=url, **{"deadline": WITHIN, **settings}), origin)


def finished(store: ArtifactStore, folder: Path) -> Result:
    """A result with a file and a folder in the store."""
    (folder / "model" / "a").mkdir(parents=True)
    (folder / "model" / "a" / "weights").write_text("1 2 3")
    (folder / "model" / "schema.json").write_text("{}")
    (folder / "table").write_bytes(b"rows" * 1_000)
    outputs = {
        "model": {"type": "model", "digest": store.put(folder / "model")},
        "table": {"type": "table", "digest": store.put(folder / "table")},
    }
    return written.result(fingerprint=FINGERPRINT, outputs=outputs, telemetry=[("metric", {"name": "m", "value": 1.5})])


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "one")


@pytest.fixture
def other(tmp_path: Path) -> ArtifactStore:
    (tmp_path / "two").mkdir()
    return ArtifactStore(tmp_path / "two")


@pytest.fixture
def net(tmp_path: Path) -> str:
    return f"file://{tmp_path}/net"


def digests(result: Result) -> list[str]:
    return [output["digest"] for output in result.outputs.values()]


def test_artifacts_in_the_telemetry_of_a_result_are_shared_too(
    store: ArtifactStore, other: ArtifactStore, tmp_path: Path, net: str
) -> None:
    digest = store.put(_written(tmp_path / "page.html", b"a page"))
    page = {"type": "report", "digest": digest, "media_type": "text/html", "title": "A page"}
    reported = written.result(fingerprint=FINGERPRINT, telemetry=[("artifact", {"pages": [page]})])
    assert digests_of(reported) == [digest]
    assert shared(net).push(reported, store)
    found = shared(net).result(FINGERPRINT)
    assert found == reported
    assert digests_of(found) == [digest] and shared(net).fetch(digest, other)


def test_a_result_and_its_artifacts_come_to_another_store(
    store: ArtifactStore, other: ArtifactStore, tmp_path: Path, net: str
) -> None:
    result = finished(store, tmp_path)
    assert shared(net).push(result, store)
    assert shared(net).result(FINGERPRINT) == result
    assert all(shared(net).fetch(digest, other) for digest in digests(result))
    assert [digest_of(other.path(digest)) for digest in digests(result)] == digests(result)
    assert not list((other.root / "tmp").iterdir())


def test_nothing_there_is_a_plain_miss(net: str, other: ArtifactStore) -> None:
    remote = shared(net)
    assert remote.result(FINGERPRINT) is None
    assert not remote.fetch(FINGERPRINT, other)
    assert remote.problem is None


def test_domains_of_trust_do_not_see_each_other(store: ArtifactStore, tmp_path: Path, net: str) -> None:
    """K06: results of agents are not used for humans, unless the operator allows it."""
    result = finished(store, tmp_path)
    shared(net, "agent").push(result, store)
    assert shared(net, "human").result(FINGERPRINT) is None
    assert shared(net, "human", trust="agent").result(FINGERPRINT) == result


@pytest.mark.parametrize("which", ["results", "objects", "folders"])
@pytest.mark.parametrize(
    "how", [lambda b: b[:-1], lambda b: b"", lambda b: bytes([b[0] ^ 1]) + b[1:], lambda b: b"[" * 99_999]
)
def test_corruption_there_is_a_miss_and_is_repaired_by_the_next_push(
    store: ArtifactStore, other: ArtifactStore, tmp_path: Path, net: str, which: str, how: Any
) -> None:
    result = finished(store, tmp_path)
    shared(net).push(result, store)
    for file in (tmp_path / "net").rglob(f"{which}/*"):
        file.write_bytes(how(file.read_bytes()))
    remote = shared(net)
    found = remote.result(FINGERPRINT)
    fetched = [remote.fetch(digest, other) for digest in (digests(found) if found else [])]
    assert found is None or not all(fetched)
    assert "corrupt" in str(remote.problem)
    assert shared(net).push(result, store)
    assert shared(net).result(FINGERPRINT) == result
    assert all(shared(net).fetch(digest, other) for digest in digests(result))


@pytest.mark.parametrize(
    "names",
    [
        ["/etc/passwd"],
        ["../out"],
        ["a/../../out"],
        ["a//b"],
        ["a\0b"],
        ["a\nb"],
        ["a\\b"],
        ["c:x"],
        ["a."],
        ["a", "A"],
        ["a", "a"],
        ["x" * 5_000],
        [""],
    ],
)
def test_a_list_of_files_that_leads_elsewhere_is_refused(
    names: list[str], other: ArtifactStore, tmp_path: Path, net: str
) -> None:
    """Z02, Z08, Z09: anybody who can write there chooses the names, and their digest."""
    from e2i.store.digests import folder_digest

    content = digest_of(_written(tmp_path / "x", b"evil")).removeprefix("sha256:")
    files = [(name, content) for name in names]
    digest = folder_digest(files)
    base = tmp_path / "net" / "v1" / "human"
    _written(base / "objects" / content, b"evil")
    _written(base / "folders" / f"{digest.removeprefix('sha256:')}.json", json.dumps(files).encode())
    assert not shared(net).fetch(digest, other)
    assert not other.has(digest)
    assert not (tmp_path / "two" / "out").exists()


def _written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_place_that_does_not_answer_costs_two_deadlines_and_no_error(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = shared("memory://slow", deadline=0.1)
    ended = threading.Event()
    asked: list[None] = []

    def hang() -> None:
        asked.append(None)
        ended.wait(WITHIN)

    monkeypatch.setattr(remote, "_system", hang)
    assert [remote.result(FINGERPRINT) for _ in range(50)] == [None] * 50
    assert not remote.push(finished(store, tmp_path), store)
    assert len(asked) == 2
    assert "did not answer" in str(remote.problem)
    ended.set()


@pytest.mark.parametrize("url", ["nosuch://place", "file:///proc/nowhere", "s3://127.0.0.1:9/x y"])
def test_a_place_that_cannot_be_used_is_reported_and_fails_nothing(
    url: str, store: ArtifactStore, tmp_path: Path
) -> None:
    options = {"endpoint_override": "127.0.0.1:9", "scheme": "http", "region": "x"} if url.startswith("s3") else {}
    remote = shared(url, options=options)
    assert not remote.push(finished(store, tmp_path), store)
    assert remote.problem


def test_what_is_absent_is_asked_for_once(net: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        def outputs(self, fingerprint: str) -> None: ...

        def last(self, pipeline: str, step: str) -> str:
            return f"{pipeline}.{step}"

    remote = shared(net)
    asked: list[str] = []
    monkeypatch.setattr(remote, "result", asked.append)
    history = SharedResults(Nothing(), remote, lambda result: True)
    assert [history.outputs(FINGERPRINT) for _ in range(3)] == [None] * 3
    assert asked == [FINGERPRINT]
    assert history.last("p", "s") == "p.s"


def test_many_may_give_the_same_at_once(store: ArtifactStore, other: ArtifactStore, tmp_path: Path, net: str) -> None:
    result = finished(store, tmp_path)
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(lambda _: shared(net).push(result, store), range(16)))
    assert all(shared(net).fetch(digest, other) for digest in digests(result))
    assert not [path for path in (tmp_path / "net").rglob("*") if path.is_file() and path.suffix not in ("", ".json")]


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, Any]]:
    """The options of a bucket on a real HTTP server on this machine."""
    pytest.importorskip("moto")
    with held_port() as port:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        options = {"endpoint_override": f"127.0.0.1:{port}", "scheme": "http", "region": "us-east-1"}
        options |= {"access_key": "key", "secret_key": "secret", "allow_bucket_creation": True}
        try:
            assert until(lambda: listens(port))
            from pyarrow.fs import S3FileSystem

            S3FileSystem(**options).create_dir("bucket")
            yield options
        finally:
            server.kill()
            server.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_s3_is_a_shared_store(
    store: ArtifactStore, other: ArtifactStore, tmp_path: Path, bucket: dict[str, Any]
) -> None:
    result = finished(store, tmp_path)
    remote = shared("s3://bucket/e2i", options=bucket)
    assert remote.result(FINGERPRINT) is None
    assert remote.push(result, store), remote.problem
    assert shared("s3://bucket/e2i", options=bucket).result(FINGERPRINT) == result
    assert all(shared("s3://bucket/e2i", options=bucket).fetch(digest, other) for digest in digests(result))
    assert shared("s3://bucket/e2i", "agent", options=bucket).result(FINGERPRINT) is None


STEPS = """
import pandas as pd
def make(n):
    with open("made", "a") as file:
        print(n, file=file)
    return pd.DataFrame({"n": range(n)})
def size(table):
    return len(table)
"""
SPEC = """
version: 1
name: shared
steps:
  make: {uses: python.call, with: {file: steps.py, function: make, arguments: {n: 7}}}
  size: {uses: python.call, with: {file: steps.py, function: size, arguments: {table: "${{ steps.make.table }}"}}}
outputs: {size: "${{ steps.size.value }}"}
"""


def test_a_second_machine_takes_what_the_first_one_finished(tmp_path: Path) -> None:
    first, second = Project(tmp_path / "first"), Project(tmp_path / "second")
    for project in (first, second):
        project.write("steps.py", STEPS)
        project.write("config/default.yaml", f"sinks: []\nshared: {{url: 'file://{tmp_path}/net', deadline: 60}}\n")
    assert first.statuses(SPEC) == {"make": "succeeded", "size": "succeeded"}
    assert [step.verdict.value for step in second.plan(SPEC).steps] == ["reuse", "reuse"]
    assert not second.store.exists(), "a plan takes nothing"
    record = second.run(SPEC)
    assert [step.status.value for step in record.steps.values()] == ["reused", "reused"]
    assert record.outputs == {"size": 7}
    assert not (second.root / "made").exists()
    second.write("config/default.yaml", "sinks: []\n")
    assert second.statuses(SPEC) == {"make": "reused", "size": "reused"}, "what was taken is its own"


def test_a_shared_store_that_is_down_fails_no_run_and_is_reported_once(project: Project) -> None:
    project.write("steps.py", STEPS)
    project.write("config/default.yaml", "sinks: []\nshared: {url: 'file:///proc/nowhere', deadline: 1}\n")
    assert project.statuses(SPEC) == {"make": "succeeded", "size": "succeeded"}
    degraded = project.happened(ToolDegraded)
    assert [(event.tool, event.refused) for event in degraded] == [("shared store", 2)]
    assert isinstance(project.events[-1], RunFinished)

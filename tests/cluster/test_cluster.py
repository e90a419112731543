"""Runs on a real cluster: the same results as at home, on other machines' terms."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_ntop

import pytest

from e2i.cluster import local, messages
from e2i.cluster.local import LocalCluster
from e2i.cluster.messages import Finished
from e2i.documents import OutputValues
from e2i.machines import Shared
from e2i.workers.executor import Ended
from live import servers
from live.servers import ObjectStore
from project import Project, held_port, until

pytestmark = pytest.mark.slow

CODE = """
import os
from pathlib import Path

def where(n, secret=None):
    print("working on", n)
    return {"cwd": os.getcwd(), "files": sorted(path.name for path in Path(".").iterdir()), "n": n}

def hold(until, name):
    Path(until + ".begun-" + str(os.getpid())).write_text("")
    while not Path(until).exists():
        import time
        time.sleep(0.02)
    return Path(until).read_text()
"""
WORK = """
version: 1
name: work
steps:
  hcp: {uses: dataset.hcp, with: {rows: 400}}
  load: {uses: data.load, with: {path: data.csv}}
  sorted: {uses: table.sort, with: {table: "${{ steps.load.table }}", by: [b]}}
  call: {uses: python.call, with: {file: calc.py, function: where, arguments: {n: 4}}}
  written: {uses: data.write, with: {table: "${{ steps.sorted.table }}", path: out.csv}}
"""


def held(project: Project, go: Path, *names: str, more: str = "") -> str:
    """A spec of steps that last until a file outside the project exists."""
    project.write("calc.py", CODE)
    steps = [
        f"  {name}: {{uses: python.call, with: {{file: calc.py, function: hold, arguments: {{until: '{go}', name: {name}}}}}{more}}}"
        for name in names
    ]
    return "\n".join(["version: 1", "name: held", "steps:", *steps, ""])


@contextmanager
def started(project: Project, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that does not outlive its test."""
    with project.start(*arguments) as running:
        try:
            yield running
        finally:
            if running.poll() is None:
                running.kill()


def begun(go: Path, count: int = 1) -> list[int]:
    """The processes of steps that have begun, once there are so many."""

    def found() -> list[int]:
        return [int(path.name.rpartition("-")[2]) for path in go.parent.glob(f"{go.name}.begun-*")]

    assert until(lambda: len(found()) >= count)
    return found()


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and ") Z " not in Path(f"/proc/{pid}/stat").read_text()


def test_nodes_give_the_results_of_this_machine(clustered: Project, cluster: LocalCluster) -> None:
    clustered.write("data.csv", "a,b\n1,3\n2,1\n3,2\n")
    clustered.write("other.csv", "not,declared\n")
    clustered.write("calc.py", CODE)
    there = clustered.run(WORK)
    assert {step.status.value for step in there.steps.values()} == {"succeeded"}
    result = there.steps["call"].outputs["value"]
    assert "node-" in result["cwd"] and "dask-scratch-space" in result["cwd"]
    assert result["files"] == ["calc.py"]
    assert (clustered.root / "out.csv").read_text() == "a,b\n2,1\n3,2\n1,3\n"  # an effect: on this machine
    log = (clustered.store / "runs" / there.run / "logs" / "call.log").read_text()
    assert "working on 4" in log
    assert not list(Path(result["cwd"]).parents[1].rglob("call.log"))
    clustered.write("config/default.yaml", "sinks: []\n")
    here = clustered.run(WORK, fresh=True)
    for step in ("hcp", "load", "sorted", "written"):
        assert there.steps[step].outputs == here.steps[step].outputs, step
    assert {step.status.value for step in clustered.run(WORK).steps.values()} == {"reused"}


def test_engine_and_nodes_share_nothing_but_s3(clustered: Project, cluster: LocalCluster) -> None:
    with servers.folder("s3") as folder, held_port() as port:
        s3 = ObjectStore(folder, port)
        s3.start()
        try:
            bucket = s3.bucket("shared")
            options = {"endpoint_override": f"127.0.0.1:{port}", "scheme": "http", "region": "us-east-1"}
            options |= {"access_key": "tests", "secret_key": "tests-secret"}
            store = Shared(url=f"s3://{bucket}/e2i", options=options, deadline=30)
            base = local.as_yaml(cluster.settings).partition("  store:")[0]
            clustered.write("config/default.yaml", f"sinks: []\n{base}  store: {store.model_dump_json()}\n")
            there = clustered.run(MODEL)
            assert any("/objects/" in key for key in s3.keys(bucket))
        finally:
            s3.kill()
    assert there.steps["model"].status.value == "succeeded", there.steps["model"].error
    clustered.write("config/default.yaml", "sinks: []\n")
    here = clustered.run(MODEL, fresh=True)
    assert here.steps["model"].outputs == there.steps["model"].outputs


MODEL = """
version: 1
name: model
steps:
  hcp: {uses: dataset.hcp, with: {rows: 400}}
  model:
    uses: model.train
    with: {table: "${{ steps.hcp.history }}", algorithm: LightGBM, target: rx_volume, exclude: [event_timestamp, created, hcp_id]}
"""


def test_a_client_without_a_certificate_is_refused(cluster: LocalCluster) -> None:
    import asyncio
    import socket
    import ssl

    host, _, port = cluster.settings.address.removeprefix("tls://").rpartition(":")
    context = ssl.create_default_context(cafile=cluster.settings.tls.ca)
    context.check_hostname = False
    with (
        pytest.raises((ssl.SSLError, ConnectionError)),
        socket.create_connection((host, int(port)), 10) as plain,
        context.wrap_socket(plain) as encrypted,
    ):
        encrypted.settimeout(10)
        if not encrypted.recv(1):  # TLS 1.3 refuses after the handshake
            raise ConnectionError("closed")

    async def greeting() -> bytes:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"\0" * 64)
        try:
            return await asyncio.wait_for(reader.read(64), 10)
        except ConnectionError:
            return b""
        finally:
            writer.close()

    answer = asyncio.run(greeting())
    assert not answer or answer[0] == 21  # nothing but a TLS alert


def test_nothing_is_served_without_encryption_nor_to_other_machines(cluster: LocalCluster) -> None:
    import http.client

    pids = {pid for guardian in cluster.processes.values() for pid in below(guardian.pid)}
    open_at = {at for pid in pids for at in listening(pid)}
    assert len(open_at) >= 5  # two of the scheduler, three of each node
    assert {host for host, _ in open_at} == {"127.0.0.1"}
    pages = 0
    for host, port in open_at:
        for path in ("/info/main/workers.html", "/json/identity.json", "/metrics", "/eventstream"):
            asked = http.client.HTTPConnection(host, port, timeout=10)
            try:
                asked.request("GET", path)
                assert asked.getresponse().status == 404
                pages += 1
            except (http.client.HTTPException, ConnectionError):  # TLS
                pass
            finally:
                asked.close()
    assert pages >= 4  # HTTP is spoken, and has nothing


def below(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from below(int(child))


def listening(pid: int) -> Iterator[tuple[str, int]]:
    """The addresses at which a process accepts connections."""
    sockets = {str(found.readlink()) for found in Path(f"/proc/{pid}/fd").iterdir() if found.is_symlink()}
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                host, _, port = fields[1].partition(":")
                family, size = (AF_INET, 4) if name == "tcp" else (AF_INET6, 16)
                raw = b"".join(bytes.fromhex(host[at : at + 8])[::-1] for at in range(0, 2 * size, 8))
                yield inet_ntop(family, raw), int(port, 16)


def test_secrets_reach_the_child_and_nothing_on_a_disk(clustered: Project, cluster: LocalCluster) -> None:
    secret = "kX9-canary-77-vQ2"
    base = (clustered.root / "config/default.yaml").read_text()
    clustered.write("config/default.yaml", base + "secrets: {token: CANARY}\n")
    clustered.write("calc.py", "def leak(token):\n    print('token', token)\n    return len(token)\n")
    spec = (
        "version: 1\nname: s\nsteps:\n  a: {uses: python.call, with: {file: calc.py, function: leak, "
        'arguments: {token: "${{ secrets.token }}"}}}\n'
    )
    clustered.write("s.yaml", spec)
    ran = clustered.cli("run", "s.yaml", env={"CANARY": secret})
    assert ran.returncode == 0, ran.stderr
    logs = list(clustered.store.glob("runs/*/logs/a.log"))
    assert "token ***" in logs[0].read_text()
    folder = Path(cluster.settings.tls.ca).parent
    for root in (folder, clustered.store):
        found = [path for path in root.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
        assert not found
    for entry in Path("/proc").iterdir():  # the child is gone with what it was given
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                assert secret.encode() not in (entry / "cmdline").read_bytes()
                assert secret.encode() not in (entry / "environ").read_bytes()
            except OSError:
                continue


def test_a_time_limit_and_a_stop_end_the_child(clustered: Project, tmp_path: Path) -> None:
    record = clustered.run(held(clustered, tmp_path / "never", "slow", more=", timeout: 1s"))
    assert record.steps["slow"].error is not None and record.steps["slow"].error.code == "timeout"
    assert until(lambda: not any(map(alive, begun(tmp_path / "never"))), within=10)
    clustered.write("s.yaml", held(clustered, tmp_path / "go", "a", "b"))
    with started(clustered, "run", "s.yaml") as running:
        children = begun(tmp_path / "go", 2)
        running.send_signal(signal.SIGTERM)
        assert until(lambda: not any(map(alive, children)), within=10)
        running.communicate(timeout=60)
    assert running.returncode == 143


def test_a_killed_engine_leaves_no_child_and_its_run_is_resumed(clustered: Project, tmp_path: Path) -> None:
    go = tmp_path / "go"
    clustered.write("s.yaml", held(clustered, go, "a") + "  first: {uses: debug.sleep, with: {seconds: 0}}\n")
    with started(clustered, "run", "s.yaml") as running:
        children = begun(go)
        assert until(lambda: '"first"' in clustered.cli("show", "--json", latest(clustered)).stdout)
        running.kill()
        running.communicate(timeout=60)
    assert until(lambda: not any(map(alive, children)), within=20)
    go.write_text("done")
    again = clustered.cli("run", "s.yaml", "--json")
    assert again.returncode == 0, again.stderr
    assert '"value": "done"' in clustered.cli("show", "--json", latest(clustered)).stdout


def latest(project: Project) -> str:
    return project.cli("runs").stdout.split()[0]


def test_a_killed_node_costs_a_try(clustered: Project, tmp_path: Path) -> None:
    go = tmp_path / "go"
    clustered.write("s.yaml", held(clustered, go, "a", "b"))
    with started(clustered, "run", "s.yaml", "--json") as running:
        first = begun(go, 2)
        os.kill(dask_worker_of(first[0]), signal.SIGKILL)
        assert until(lambda: not alive(first[0]), within=20)
        begun(go, 3)  # elsewhere, or on the node that its nanny has started again
        go.write_text("done")
        out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    assert out.count('"event": "step.finished"') == 2 or out.count('"event":"step.finished"') == 2


def dask_worker_of(pid: int) -> int:
    """The Dask worker above a process of a step: worker process, guardian, Dask worker."""
    for _ in range(2):
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid


@pytest.mark.parametrize(
    ("is_its_own", "reason"),
    [(False, "it returned the result of another step"), (True, "it returned sha256:eee")],
    ids=["another step's", "wrong digest"],
)
def test_a_forged_result_is_refused_and_its_node_named(
    clustered: Project, cluster: LocalCluster, tmp_path: Path, is_its_own: bool, reason: str
) -> None:
    from distributed import Client

    from e2i.cluster.connection import security

    go = tmp_path / "go"
    clustered.write("s.yaml", held(clustered, go, "a"))
    (planned,) = clustered.plan(clustered.root / "s.yaml").steps
    secured = security(cluster.settings.tls, tmp_path)
    with (
        Client(cluster.settings.address, security=secured, set_as_default=False) as liar,
        started(clustered, "run", "s.yaml", "--json") as running,
    ):
        begun(go)
        (node, (token, *_)), *_ = [(node, keys) for node, keys in liar.processing().items() if keys]
        joined = [event["client"] for _, event in liar.get_events("all") if event.get("action") == "add-client"]
        topic = next(client for client in reversed(joined) if client != liar.id)
        missing = {"type": "table", "digest": "sha256:" + "e" * 64, "columns": [], "rows": 1}
        forged = Finished(
            token=token,
            node=node,
            run=latest(clustered),
            step="a",
            fingerprint=str(planned.fingerprint) if is_its_own else "sha256:no",
            ended=Ended("a", 0.1, OutputValues(value=missing)),
            artifacts=(),
        )
        liar.log_event(topic, messages.report_bytes(forged))
        begun(go, 2)  # on the other node
        go.write_text("done")
        out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    assert f"is not used any more: {reason}" in out
    assert node in out


def test_a_node_of_other_versions_is_refused_by_name(clustered: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("e2i.cluster.opening.__version__", "9.9.9")
    ran = clustered.cli("run", clustered.write("s.yaml", SLEEP).name)
    assert ran.returncode == 0, ran.stderr
    from e2i.cluster.faults import ClusterGone

    with pytest.raises(ClusterGone, match=r"node-1: its versions differ from the plan's: e2i .*, not 9.9.9") as refused:
        clustered.run(SLEEP, fresh=True)
    assert "node-2" in refused.value.message


SLEEP = "version: 1\nname: s\nsteps:\n  a: {uses: debug.sleep, matrix: {n: [1, 2, 3]}, with: {seconds: 0, value: '${{ matrix.n }}'}}\n"


def test_a_lost_cluster_ends_the_run_with_exit_4_and_it_is_resumed(
    project: Project, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    folder, go = tmp_path_factory.mktemp("lost"), tmp_path / "go"
    with local.running(folder, 1, environ=os.environ) as cluster:
        project.write("config/default.yaml", "sinks: []\n" + local.as_yaml(cluster.settings))
        project.write("s.yaml", held(project, go, "a") + "  b: {uses: debug.sleep, with: {seconds: 0}, needs: [a]}\n")
        with started(project, "run", "s.yaml") as running:
            begun(go)
            guardian = cluster.processes["scheduler"].pid
            (scheduler,) = Path(f"/proc/{guardian}/task/{guardian}/children").read_text().split()
            os.kill(int(scheduler), signal.SIGKILL)
            _, err = running.communicate(timeout=60)
        assert running.returncode == 4 and "cluster-gone" in err and "Traceback" not in err, err
    go.write_text("done")
    with local.running(folder, 1, environ=os.environ) as cluster:
        project.write("config/default.yaml", "sinks: []\n" + local.as_yaml(cluster.settings))
        again = project.cli("run", "s.yaml")
        assert again.returncode == 0, again.stderr
        assert len(project.cli("runs").stdout.splitlines()) == 1  # the same run


def test_doctor_shows_the_nodes(clustered: Project) -> None:
    shown = clustered.cli("doctor").stdout
    assert "reachable, 2 nodes" in shown and "node-1 (tls://" in shown and "1 slot; e2i" in shown


def test_a_step_is_executed_by_a_node_that_has_its_labels_and_gpus(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    wanted = "resources: {gpus: 1, cpus: 1, memory: 500MB, labels: {zone: eu}}"
    spec = SLEEP.replace("uses: debug.sleep", f"uses: debug.sleep, {wanted}")
    folder = tmp_path_factory.mktemp("declared")
    declared = "gpus=1 cpus=1 memory=1e9 zone:eu=1"
    with local.running(folder, 1, resources=declared, slots=2, environ=os.environ) as cluster:
        settings = local.as_yaml(cluster.settings)
        project.write("config/default.yaml", f"sinks: []\n{settings}  wait: 2s\n")
        record = project.run(spec)
        assert {step.status.value for step in record.steps.values()} == {"succeeded"}
        project.write("s.yaml", spec.replace("zone: eu", "zone: us"))
        ran = project.cli("run", "s.yaml", "--fresh")
        assert ran.returncode == 4, ran.stderr
        assert "no-fitting-node" in ran.stderr and "node-1 lacks zone: us" in ran.stderr

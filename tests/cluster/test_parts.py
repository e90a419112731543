"""The parts of a cluster that need no network: messages, placement, the roster of nodes, certificates, settings."""

from __future__ import annotations

import datetime
import stat
import subprocess
from pathlib import Path

import pytest

from e2i import api
from e2i.catalog.context import RunInfo
from e2i.catalog.registry import BUILT_IN
from e2i.cluster import certificates, messages, placement
from e2i.cluster.connection import NodeFacts
from e2i.cluster.demand import Demand
from e2i.cluster.faults import ClusterGone
from e2i.cluster.messages import Assignment, Finished, Logged
from e2i.cluster.roster import Roster
from e2i.documents import OutputValues, ParamValues
from e2i.errors import BadSettings
from e2i.workers.executor import Ended, Failure, StepCall
from project import Project

TABLE = {"type": "table", "digest": "sha256:" + "a" * 64, "columns": [], "rows": 1}
NOW = datetime.datetime.now(datetime.UTC)
SETTINGS = """
executor:
  type: dask
  address: {address}
  tls: {{ca: keys/ca.pem, cert: keys/cert.pem, key: keys/key.pem}}
  store: {{url: "s3://bucket/e2i", options: {{secret_key: swordfish-and-more-81}}}}
"""


def call(uses: str, files: dict[str, str | None] | None = None, **params: object) -> StepCall:
    info = RunInfo(run="r", pipeline="p", step="s")
    return StepCall(
        uses=uses, params=ParamValues(params), info=info, seed=0, threads=1, fingerprint="f", files=files, timeout=9.0
    )


def test_messages_are_the_same_on_the_other_side() -> None:
    wanted = call("debug.sleep", {}, value=[float("inf"), 2**70, "\ud800", {"digest": 3}])
    assignment = Assignment(token="t", topic="c", call=wanted, libraries={"pandas": "2.3", "duckdb": None})
    assert messages.read_assignment(messages.assignment_bytes(assignment)) == assignment
    ended = Ended("s", 1.5, OutputValues(value=2**70), Failure("x", "why", "what", lost=True), memory=7)
    finished = Finished(token="t", node="n", run="r", step="s", fingerprint="f", ended=ended, artifacts=("a",))
    assert messages.read_report(messages.report_bytes(finished)) == (finished, b"")
    log = Logged(token="t", offset=5)
    assert messages.read_report(messages.report_bytes(log, b"one\ntwo\n\xff")) == (log, b"one\ntwo\n\xff")


@pytest.mark.parametrize(
    ("wanted", "portable"),
    [
        (call("table.sort", {}, table=TABLE), True),
        (call("python.call", {"calc.py": "sha256:" + "b" * 64, "missing.py": None}), True),
        (call("data.write", {}, table=TABLE), False),  # it has an effect
        (call("debug.echo", {}), False),  # it needs no process at all
        (call("remote.get", {}), False),  # it looks at the outside
        (call("optuna.tune", {}, table=TABLE), False),
        (call("shap.explain", {}, model={"type": "model_version", "digest": "sha256:" + "a" * 64}), False),
        (call("data.load", {"/net/data.csv": "sha256:" + "b" * 64}), False),
        (call("data.load", {"../data.csv": "sha256:" + "b" * 64}), False),
        (call("data.load"), False),  # what it reads is not known
    ],
)
def test_a_call_leaves_only_if_it_needs_nothing_of_this_machine(wanted: StepCall, portable: bool) -> None:
    assert placement.is_portable(wanted, BUILT_IN) is portable


def test_a_roster_counts_usable_nodes_and_waits_for_none_forever() -> None:
    one, two = (NodeFacts(f"tls://{name}:1", name, 2, 0, {}) for name in ("one", "two"))
    roster = Roster("tls://s:1", 5.0, [one, two], now=100.0)
    roster.learn_pace(3.0)
    assert (roster.capacity(), roster.allowed(Demand())) == (8, [])
    assert roster.refuse(one.address, "it lies")
    assert not roster.refuse(one.address, "it lies again")
    assert (roster.capacity(), roster.allowed(Demand())) == (4, [two.address])
    roster.update([one], now=101.0)
    with pytest.raises(ClusterGone, match="one: it lies") as all_refused:
        roster.require(101.0)
    assert all_refused.value.code == "no-usable-node"
    roster.update([], now=102.0)
    roster.require(104.0)
    with pytest.raises(ClusterGone, match="no node for 5 s"):
        roster.require(106.0)


def test_a_call_goes_to_nodes_that_have_what_it_requests() -> None:
    plain = NodeFacts("tls://plain:1", "plain", 1, 0, {})
    large = NodeFacts("tls://large:1", "large", 1, 0, {"gpus": 2.0, "cpus": 4.0, "memory": 8e9, "zone:eu": 1.0})
    roster = Roster("tls://s:1", 5.0, [plain, large], now=100.0)
    for demand, names, counted in (
        (Demand(gpus=2), ["large"], {"gpus": 2.0}),
        (Demand(labels=(("zone", "eu"),)), ["large"], {}),
        (Demand(labels=(("zone", "us"),)), [], {}),
        (Demand(cpus=8), ["plain"], {}),
        (Demand(memory=10**9), ["plain", "large"], {}),
        (Demand(cpus=4, memory=10**9, gpus=1), ["large"], {"cpus": 4.0, "memory": 1e9, "gpus": 1.0}),
    ):
        assert roster.allowed(demand) == [f"tls://{name}:1" for name in sorted(names, reverse=True)], demand
        assert roster.counted(demand) == counted
    wanted = Demand(gpus=1)
    roster.require_for(wanted, 101.0)
    roster.update([plain], now=103.0)
    roster.require_for(wanted, 106.0)
    with pytest.raises(ClusterGone, match=r"plain lacks gpus: 1 \(it has 0\)") as gone:
        roster.require_for(wanted, 106.5)
    assert gone.value.code == "no-fitting-node"


def test_a_machine_refuses_a_step_whose_resources_it_lacks(project: Project) -> None:
    spec = project.write(
        "s.yaml",
        "version: 1\nname: s\ndefaults: {resources: {labels: {zone: eu}}}\nsteps:\n"
        "  a: {uses: debug.sleep, with: {seconds: 0}, resources: {gpus: 2, labels: {disk: ssd}}}\n",
    )
    (problem,) = api.validate(spec, workspace=project.workspace).problems
    assert (problem.code, problem.location.line) == ("unmet-resources", 5)
    assert "lacks zone: eu, disk: ssd, gpus: 2 (it has 0)" in problem.message
    project.write("config/default.yaml", "sinks: []\nexecutor: {type: local, gpus: 2, labels: {zone: eu, disk: ssd}}\n")
    assert api.validate(spec, workspace=project.workspace).valid


def test_certificates_are_signed_by_their_authority_and_private(tmp_path: Path) -> None:
    made = certificates.make(tmp_path, datetime.datetime.now(datetime.UTC))
    again = certificates.make(tmp_path, datetime.datetime.now(datetime.UTC))
    assert made == again
    verify = ["openssl", "verify", "-CAfile", str(made.ca), str(made.cert)]
    assert subprocess.run(verify, capture_output=True, text=True).stdout.endswith("OK\n")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (made.cert, made.key)] == [0o600, 0o600]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.pem", "cert.pem", "key.pem"]


def private(folder: Path) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def test_a_misspelled_setting_is_named_and_not_the_missing_one(project: Project) -> None:
    text = SETTINGS.format(address="tls://10.0.0.7:8786").replace("address:", "adress:")
    project.write("config/default.yaml", "sinks: []\n" + text)
    with pytest.raises(BadSettings, match=r"executor\.dask\.adress: unknown setting") as refused:
        _ = project.workspace
    assert refused.value.hint == 'did you mean "address"?'


def test_settings_of_a_cluster_are_encrypted_or_refused(project: Project) -> None:
    project.write("config/default.yaml", "sinks: []\n" + SETTINGS.format(address="tcp://10.0.0.7:8786"))
    spec = project.write("s.yaml", "version: 1\nname: s\nsteps: {a: {uses: debug.echo}}\n")
    with pytest.raises(BadSettings, match="not encrypted") as refused:
        api.validate(spec, workspace=project.workspace)
    assert refused.value.code == "cluster-not-encrypted"
    for address in ("tls://10.0.0.7", "tls://10.0.0.7:port", "tls://:8786", "tls://a b:1"):
        project.write("config/default.yaml", "sinks: []\n" + SETTINGS.format(address=address))
        with pytest.raises(BadSettings, match="has no host and port"):
            api.validate(spec, workspace=project.workspace)
    project.write("config/default.yaml", "sinks: []\n" + SETTINGS.format(address="tls://10.0.0.7:8786"))
    assert api.validate(spec, workspace=project.workspace).valid
    settings = project.workspace.settings
    assert "swordfish-and-more-81" in settings.credentials(())
    assert "swordfish" not in settings.model_dump_json()  # steps get no settings of the cluster
    with pytest.raises(BadSettings, match=r"executor: tls: ca: .*keys/ca.pem cannot be read"):
        project.run("version: 1\nname: s\nsteps: {a: {uses: debug.sleep, with: {seconds: 0}}}\n")
    made, other = (certificates.make(private(project.root / name), NOW) for name in ("keys", "others"))
    made.key.write_bytes(other.key.read_bytes())
    with pytest.raises(BadSettings, match=r"executor: tls: cert, key: .*keys/key.pem cannot be used: KEY_VALUES_MISM"):
        project.run("version: 1\nname: s\nsteps: {a: {uses: debug.sleep, with: {seconds: 0}}}\n")
    reading = "version: 1\nname: r\nsteps: {a: {uses: data.load, with: {path: keys/key.pem}}}\n"
    assert [problem.code for problem in api.validate(reading, workspace=project.workspace).problems] == ["policy-path"]

"""The contract of every sink: whatever a server answers, nothing is lost, nothing is there twice, nothing is given up
that could have been delivered.

Behind the front stand a real MLflow server, and the loopback speaker of Opik's routes.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from e2i.catalog.artifacts import Report
from e2i.execution.delivery import sink_opener, tracker_of
from e2i.resilience.breaker import Breaker, Policy
from e2i.resilience.guard import Guard
from e2i.settings import Settings
from e2i.store.artifacts import ArtifactStore
from e2i.telemetry.dispatcher import deliver
from e2i.telemetry.entries import Entry, target_of
from e2i.telemetry.outbox import Outbox, Tally
from e2i.tools.opik.identity import trace_id
from live.servers import MLflow
from live.wrong_answers import WRONG, Front
from project import until
from telemetry.dead import dead_letters
from tools.opik.conftest import telemetry
from tools.opik.stand_in import StandIn

SAMPLE = ("login page", "204", "301 loop", "401", "409", "413", "close in mid body")
"""What the default tests take."""
SLOW = ("slow headers", "drip")
"""What only a deadline ends."""
STAGES = {"from the start": {}, "behind a good check": {"healthy": True}, "half way": {"healthy": True, "first": 3}}


class Served(Struct):
    """One sink, its front, and how to ask its server what it holds of a run."""

    name: str
    front: Front
    tools: Callable[[float], dict[str, Any]]
    held: Callable[[str], dict[str, Any]]


@pytest.fixture
def opik(tmp_path: Path) -> Iterator[Served]:
    stand_in = StandIn(tmp_path / "server" / "traces.db")
    stand_in.start()
    front = Front(int(stand_in.url.rpartition(":")[2].partition("/")[0]))

    def held(run: str) -> dict[str, Any]:
        trace = stand_in.backend.answer("GET", f"v1/private/traces/{trace_id(run)}", None)
        found = stand_in.backend.answer("POST", "v1/private/spans/search", {"trace_id": trace_id(run), "limit": 100})
        return {"trace": _json(trace.content), "spans": sorted(_lines(found.content))}

    url = f"http://127.0.0.1:{front.port}/api"
    yield Served("opik", front, lambda deadline: {"opik": {"url": url, "deadline": deadline}}, held)
    front.close()
    stand_in.close()


@pytest.fixture
def mlflow(mlflow_server: MLflow) -> Iterator[Served]:
    front = Front(mlflow_server.port)
    client = mlflow_server.client()

    def held(run: str) -> dict[str, Any]:
        experiments = [found.experiment_id for found in client.search_experiments()]
        (main,) = client.search_runs(experiments, f"tags.`e2i.run` = '{run}'")
        below = client.search_runs(experiments, f"tags.`mlflow.parentRunId` = '{main.info.run_id}'")
        history = client.get_metric_history(main.info.run_id, "tune/auc")
        return {
            "status": main.info.status,
            "params": main.data.params,
            "tags": {name: text for name, text in main.data.tags.items() if name.startswith("e2i.step")},
            "auc": sorted((item.step, item.value) for item in history),
            "files": [(item.path, item.file_size) for item in client.list_artifacts(main.info.run_id)],
            "children": sorted((child.info.run_name, child.info.status, *child.data.params.items()) for child in below),
        }

    uri = f"http://127.0.0.1:{front.port}"
    yield Served("mlflow", front, lambda deadline: {"mlflow": {"tracking_uri": uri, "deadline": deadline}}, held)
    front.close()


@pytest.fixture(params=["opik", "mlflow"])
def served(request: pytest.FixtureRequest) -> Served:
    found: Served = request.getfixturevalue(request.param)
    return found


def entries(served: Served, store: Path, run: str) -> list[Entry]:
    """What a run tells, with a file."""
    target = target_of(Settings(tools=served.tools(5)).tool(served.name))
    plot = store / "plot.png"
    plot.write_bytes(b"a plot")
    report = Report(digest=ArtifactStore(store).put(plot), media_type="image/png", title="plot")
    reported = [
        replace(entry, body={**entry.body, "artifact": report.model_dump(mode="json")})
        if entry.kind == "attachment"
        else entry
        for entry in telemetry(run)
    ]
    return [replace(entry, sink=served.name, key=f"{run}/{entry.key}", target=target) for entry in reported]


def attempt(served: Served, store: Path, deadline: float, flush: float) -> Tally:
    """One delivery of what waits, as ``e2i sync`` would make it."""
    settings = Settings(tools=served.tools(deadline))
    guard = Guard(served.name, Breaker(served.name, Policy(failures=10_000)), deadline=deadline)
    stop = threading.Event()
    stop.set()
    return deliver(
        lambda: Outbox(store / "state.db"),
        sink_opener(ArtifactStore(store), settings),
        [guard],
        stop,
        flush=flush,
        trackers={served.name: tracker_of(settings.tool(served.name), served.name)},
    )[served.name]


def tell(served: Served, store: Path, run: str) -> int:
    with Outbox(store / "state.db") as outbox:
        reported = entries(served, store, run)
        outbox.put(reported)
        return len(reported)


def check(served: Served, store: Path, wrong: str, stage: str) -> None:
    run = f"20261128-{list(WRONG).index(wrong):03d}{list(STAGES).index(stage):03d}-{served.name}"
    count = tell(served, store, run)
    served.front.answer(wrong, **STAGES[stage])  # type: ignore[arg-type]
    tally = attempt(served, store, deadline=3.0 if wrong in SLOW else 120.0, flush=5.0 if wrong in SLOW else 60.0)
    assert served.front.given > 0, tally
    assert (tally.delivered, tally.dead_lettered, tally.left) == (0, 0, count), tally
    assert tally.problem
    served.front.answer(None)
    assert until(lambda: attempt(served, store, deadline=60.0, flush=60.0).left == 0)
    with Outbox(store / "state.db") as outbox:
        assert dead_letters(outbox) == []
    assert comparable(served, run) == comparable(served, undisturbed(served, store))


def undisturbed(served: Served, store: Path) -> str:
    """A run that was delivered without any trouble."""
    run = f"20261128-000000-{served.name}-{store.name}"
    tell(served, store, run)
    assert until(lambda: attempt(served, store, deadline=60.0, flush=60.0).left == 0)
    return run


def comparable(served: Served, run: str) -> str:
    return str(served.held(run)).replace(run, "RUN").replace(trace_id(run), "TRACE")


@pytest.mark.parametrize("wrong", SAMPLE)
def test_a_wrong_answer_loses_nothing_and_sets_nothing_aside(served: Served, tmp_path: Path, wrong: str) -> None:
    check(served, tmp_path, wrong, "behind a good check")


@pytest.mark.sweep
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("wrong", WRONG)
def test_no_wrong_answer_at_any_stage_loses_or_doubles_anything(
    served: Served, tmp_path: Path, wrong: str, stage: str
) -> None:
    check(served, tmp_path, wrong, stage)


@pytest.mark.parametrize("behind", ["plain", "self-signed"])
@pytest.mark.parametrize("name", ["opik", "mlflow"])
def test_https_that_cannot_be_trusted_loses_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, name: str, behind: str
) -> None:
    served: Served = request.getfixturevalue(name)
    if behind == "self-signed":
        served.front.encrypt(*self_signed(tmp_path))
    secure = replace(served, tools=lambda deadline: _https(served.tools(deadline)))
    count = tell(secure, tmp_path, "20261128-000001-https")
    for _ in range(
        3
    ):  # a busy server may close the connection of the first question, which does not look at certificates
        tally = attempt(secure, tmp_path, deadline=20.0, flush=20.0)
        assert (tally.delivered, tally.dead_lettered, tally.left) == (0, 0, count), tally
        assert tally.problem
        if "closed connection" not in tally.problem:
            break
    assert ("certificate" in tally.problem.lower()) == (behind == "self-signed"), tally.problem


def _https(tools: dict[str, Any]) -> dict[str, Any]:
    return {
        tool: {
            name: str(value).replace("http:", "https:") if "ur" in name else value for name, value in reported.items()
        }
        for tool, reported in tools.items()
    }


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that nobody has signed, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(1))
        .not_valid_after(now + datetime.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def _json(content: bytes) -> dict[str, Any]:
    import json

    reported: dict[str, Any] = json.loads(content)
    return {name: reported.get(name) for name in ("name", "input", "output", "start_time", "end_time", "error_info")}


def _lines(content: bytes) -> list[str]:
    import json

    documents = [json.loads(line) for line in content.splitlines() if line]
    return [str((item["name"], item.get("input"), item.get("output"), item.get("end_time"))) for item in documents]

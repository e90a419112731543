"""Every call out of every tool ends within its deadline, whatever its address leads to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from context import LocalContext
from e2i.catalog.registry import BUILT_IN
from e2i.errors import ToolUnavailable
from e2i.machines import Shared
from e2i.resilience.breaker import Breaker
from e2i.resilience.guard import Guard
from e2i.settings import Settings
from e2i.store.shared import SharedStore
from e2i.telemetry.entries import Entry
from live.unwell import KINDS, unwell
from project import Project, Stopwatch
from tools.feast.feast_case import apply, log
from tools.feast.test_online import lookup, publish

MARGIN = 0.5
"""Seconds beyond its deadline that a call may take."""
AT_ONCE = 3
"""Servers that are asked at a time: more would wait for each other, not for their servers."""
SHORT = 1.0


def guard(tool: str, deadline: float = SHORT) -> Guard:
    declared = BUILT_IN.tool(tool)
    assert declared is not None
    return Guard(tool, Breaker(tool), deadline=deadline, outages=declared.outages, extra=declared.extra)


def mlflow(address: str, home: Path) -> Callable[[], Any]:
    from e2i.tools.mlflow import MLflowSettings
    from e2i.tools.mlflow.connector import GuardedMLflow

    settings = MLflowSettings(tracking_uri=address, deadline=SHORT)
    connector = GuardedMLflow(settings, guard("mlflow"), home)
    return lambda: asyncio.run(connector.get_or_create_experiment("x"))


def optuna(address: str, home: Path) -> Callable[[], Any]:
    from e2i.tools.optuna import OptunaSettings, search
    from e2i.tools.optuna.connector import GuardedOptuna

    settings = OptunaSettings.model_validate({"study_storage": address, "deadline": SHORT})
    plan = search.Plan(space={}, trials=1, directions=("maximize",))
    tuner = GuardedOptuna(settings, guard("optuna"), home)
    return lambda: asyncio.run(tuner.optimize("s", lambda trial: 1.0, plan))


def opik(address: str, home: Path) -> Callable[[], Any]:
    from e2i.tools.opik import OpikSettings
    from e2i.tools.opik.sink import open_sink

    settings = OpikSettings(url=address, deadline=SHORT)
    sink = open_sink(settings, home, lambda artifact: home)
    body = {"pipeline": "p", "params": {}, "spec": "", "started_ms": 1, "profile": "default"}
    return lambda: guard("opik").call(sink.deliver, [Entry("r/s", "opik", "r", "run.started", body)])


def bentoml(address: str, home: Path) -> Callable[[], Any]:
    from e2i.tools.bentoml import BentoMLSettings
    from e2i.tools.bentoml.connector import GuardedBentoML

    service = GuardedBentoML(BentoMLSettings(deadline=SHORT), guard("bentoml"), home)
    return lambda: asyncio.run(service.ask(address, [{"a": 1}]))


CASES: dict[str, tuple[str, str, Callable[[str, Path], Callable[[], Any]], float]] = {
    "mlflow server": ("http", "http://127.0.0.1:{port}", mlflow, 2 * SHORT),
    "mlflow postgresql": ("postgresql", "postgresql://u:p@127.0.0.1:{port}/d", mlflow, 2 * SHORT),
    "opik": ("http", "http://127.0.0.1:{port}/api", opik, SHORT),
    "optuna": ("postgresql", "postgresql://u:p@127.0.0.1:{port}/d", optuna, SHORT),
    "bentoml": ("http", "http://127.0.0.1:{port}", bentoml, SHORT),
}
"""By what is called: protocol, address, the call, and its deadlines together (a knock, then a question)."""


@contextmanager
def in_time(seconds: float) -> Iterator[None]:
    with Stopwatch() as watch:
        yield
    assert watch.seconds <= seconds + MARGIN


def load() -> None:
    """Imports what a call would import: that is no part of its time."""
    import great_expectations  # noqa: F401
    import httpx  # noqa: F401
    import mlflow
    import optuna.storages  # noqa: F401
    import psycopg  # noqa: F401
    import redis  # noqa: F401
    import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401
    from opik.rest_api.client import OpikApi  # noqa: F401

    import e2i.tools.feast.retrieval
    import e2i.tools.opik.writing  # noqa: F401

    mlflow.MlflowClient("http://127.0.0.1:1")


def each_kind(check: Callable[[str], None]) -> None:
    """Checks all kinds of servers, some at a time: they have little to do but to wait. Raises what a check raises."""
    load()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        checks = {kind: pool.submit(check, kind) for kind in KINDS}
    for kind, done in checks.items():
        if (error := done.exception()) is not None:
            error.add_note(f"the server is {kind}")
            raise error


@pytest.mark.parametrize("case", CASES)
def test_a_call_ends_within_its_deadline(case: str, tmp_path: Path) -> None:
    protocol, address, make, seconds = CASES[case]

    def check(kind: str) -> None:
        home = tmp_path / kind
        home.mkdir()
        with unwell(kind, protocol) as port:
            call = make(address.format(port=port), home)
            with in_time(seconds), pytest.raises(Exception) as caught:  # garbage may be an answer that is none
                call()
        assert kind == "garbage" or isinstance(caught.value, ToolUnavailable)

    each_kind(check)


def test_a_registry_of_feast_ends_within_its_deadline(tmp_path: Path) -> None:
    def check(kind: str) -> None:
        with unwell(kind, "postgresql") as port:
            url = f"postgresql+psycopg://u:p@127.0.0.1:{port}/d"
            feast = {"registry": {"type": "sql", "url": url}, "registry_deadline": SHORT}
            ctx = LocalContext(tmp_path / kind, settings=Settings(tools={"feast": feast}))
            with in_time(2 * SHORT), pytest.raises(ToolUnavailable):  # reading what is there, then registering it
                apply(ctx, log())
            ctx.close()

    each_kind(check)


@pytest.mark.parametrize("store", ["redis", "postgresql"])
def test_an_online_store_of_feast_ends_within_its_deadline(store: str, tmp_path: Path) -> None:
    embedded = LocalContext(tmp_path, settings=Settings())
    repo = apply(embedded, log())

    def check(kind: str) -> None:
        with unwell(kind, store) as port:
            online: dict[str, Any] = {"type": "redis", "host": "127.0.0.1", "port": port}
            if store == "postgresql":
                online = {"type": "postgres", "host": "127.0.0.1", "port": port, "database": "d"}
                online |= {"user": "u", "password": "p", "sslmode": "disable"}
            feast = {"online_store": online, "deadline": SHORT, "write_deadline": SHORT}
            ctx = LocalContext(tmp_path, settings=Settings(tools={"feast": feast}))
            for call in (lambda: publish(ctx, repo), lambda: lookup(ctx, repo, "a")):
                with in_time(SHORT + 1), pytest.raises(ToolUnavailable):  # the join before it takes its time too
                    call()
            ctx.close()

    each_kind(check)
    embedded.close()


def test_a_shared_store_ends_within_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    import pyarrow.fs  # noqa: F401

    def check(kind: str) -> None:
        with unwell(kind, "http") as port:
            options = {"endpoint_override": f"127.0.0.1:{port}", "scheme": "http", "region": "eu-west-1"}
            store = SharedStore(Shared(url="s3://bucket/e2i", deadline=SHORT, options=options), "human")
            with in_time(SHORT):
                assert store.result("sha256:" + "0" * 64) is None
        assert store.problem is not None

    each_kind(check)


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_a_run_end_within_their_deadline(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from e2i.tools.mlflow import MLflowSettings
    from e2i.tools.mlflow.connector import GuardedMLflow

    load()
    import boto3  # noqa: F401

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    file = tmp_path / "file.txt"
    file.write_text("content")
    with unwell(kind, "http") as port:
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        connector = GuardedMLflow(MLflowSettings(artifact_root="s3://bucket/x"), guard("mlflow"), tmp_path / "home")

        async def ask() -> None:
            run = await connector.ensure_run("r", "p", 1)
            connector.settings = connector.settings.model_copy(update={"transfer_deadline": SHORT})
            with in_time(SHORT), pytest.raises(ToolUnavailable):
                await connector.transfer(lambda tracking: tracking.client.log_artifact(run.id, str(file)))

        asyncio.run(ask())


CONFIGURATION = """
sinks: []
tools:
  mlflow: {{tracking_uri: "http://127.0.0.1:{http}", deadline: 2}}
  opik: {{url: "http://127.0.0.1:{http}/api", deadline: 2}}
  optuna: {{study_storage: "postgresql://u:p@127.0.0.1:{postgresql}/d", deadline: 2}}
  feast:
    deadline: 2
    registry_deadline: 2
    registry: {{type: sql, url: "postgresql+psycopg://u:p@127.0.0.1:{postgresql}/d"}}
    online_store: {{type: redis, host: 127.0.0.1, port: {redis}}}
"""


def test_doctor_ends_within_the_longest_deadline(tmp_path: Path) -> None:
    from e2i.cli.doctor import examine

    def check(kind: str) -> None:
        project = Project(tmp_path / kind)
        with unwell(kind, "http") as http, unwell(kind, "postgresql") as postgresql, unwell(kind, "redis") as redis:
            project.write("config/default.yaml", CONFIGURATION.format(http=http, postgresql=postgresql, redis=redis))
            with in_time(2 * 2.0):  # Feast has two services
                found = examine(project.workspace)
        services = {f"{tool.tool} {one.service}": one for tool in found.tools for one in tool.services}
        assert sorted(services) == [
            "feast online store", "feast registry", "mlflow tracking", "opik api", "optuna storage"
        ]  # fmt: skip
        assert not any(one.reachable for one in services.values()), services
        assert "tool-auth" not in {one.code for one in services.values()}

    each_kind(check)

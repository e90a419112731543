"""A server that falls silent, or drips one byte a second, in the middle of a conversation: each call ends in time.

``test_deadlines`` has servers that never were any good. Here the connection is open and has been used.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from context import LocalContext
from e2i.errors import ToolUnavailable
from e2i.machines import Shared
from e2i.settings import Settings
from e2i.store.shared import SharedStore
from live.faucet import Faucet, Flow, faucet
from live.google_storage import GoogleStorage
from live.servers import MLflow, ObjectStore, Postgres, Server
from live.test_deadlines import guard, load
from project import Stopwatch, until
from tools.feast.feast_case import apply, log
from tools.feast.test_online import lookup, publish
from tools.opik.stand_in import StandIn

DEADLINE = 1.0
"""Seconds of each call's own deadline."""
MARGIN = 2.0
"""Seconds beyond it."""
Call = Callable[[], object]


class Bench(ExitStack):
    """What a case is made with: servers by name, a folder, a deadline for calls. On exit, what was made is closed."""

    def __init__(self, server: Callable[[str], Any], home: Path, deadline: float = DEADLINE) -> None:
        super().__init__()
        self.server = server
        self.home = home
        self.deadline = deadline

    def step(self, settings: Settings) -> LocalContext:
        made = LocalContext(self.home, settings=settings)
        self.callback(made.close)
        return made


def redirected(url: str, port: int) -> str:
    """The URL with another port."""
    return url.replace(f":{urlsplit(url).port}", f":{port}")


def mlflow_with(bench: Bench, port: int, url: str) -> Call:
    from e2i.tools.mlflow import MLflowSettings
    from e2i.tools.mlflow.connector import GuardedMLflow

    settings = MLflowSettings(tracking_uri=redirected(url, port), deadline=bench.deadline)
    client = GuardedMLflow(settings, guard("mlflow", bench.deadline), bench.home)
    return lambda: asyncio.run(client.get_or_create_experiment("x"))


def mlflow_server(bench: Bench) -> tuple[int, Callable[[int], Call]]:
    server: MLflow = bench.server("mlflow_server")
    return server.port, lambda port: mlflow_with(bench, port, server.uri)


def mlflow_database(bench: Bench) -> tuple[int, Callable[[int], Call]]:
    server: Postgres = bench.server("postgres")
    return server.port, lambda port: mlflow_with(bench, port, server.database())


def optuna_storage(bench: Bench) -> tuple[int, Callable[[int], Call]]:
    from e2i.tools.optuna import OptunaSettings, search
    from e2i.tools.optuna.connector import GuardedOptuna

    server: Postgres = bench.server("postgres")

    def make(port: int) -> Call:
        address = redirected(server.database(), port)
        settings = OptunaSettings.model_validate({"study_storage": address, "deadline": bench.deadline})
        tuner = GuardedOptuna(settings, guard("optuna", bench.deadline), bench.home)
        plan = search.Plan(space={}, trials=1, directions=("maximize",))
        made_to_succeed(lambda: asyncio.run(tuner.optimize("s", lambda trial: 1.0, plan)))
        return lambda: asyncio.run(tuner.count_trials("s"))

    return server.port, make


def feast_registry(bench: Bench) -> tuple[int, Callable[[int], Call]]:
    server: Postgres = bench.server("postgres")

    def make(port: int) -> Call:
        url = redirected(server.database(), port).replace("postgresql:", "postgresql+psycopg:")
        feast = {"registry": {"type": "sql", "url": url}, "registry_deadline": bench.deadline}
        ctx = bench.step(Settings(tools={"feast": feast}))
        changed = iter(range(1, 100))
        return lambda: apply(ctx, log().assign(calls=float(next(changed))))

    return server.port, make


def feast_online(
    bench: Bench, server: Server, online: dict[str, Any], *, writes: bool = False
) -> tuple[int, Callable[[int], Call]]:
    def make(port: int) -> Call:
        feast = {"online_store": {**online, "port": port}, "deadline": bench.deadline, "write_deadline": bench.deadline}
        ctx = bench.step(Settings(tools={"feast": feast}))
        repo = apply(ctx, log())
        made_to_succeed(lambda: publish(ctx, repo))
        return lambda: publish(ctx, repo) if writes else lookup(ctx, repo, "a")

    return server.port, make


def feast_redis(bench: Bench, *, writes: bool = False) -> tuple[int, Callable[[int], Call]]:
    return feast_online(bench, bench.server("redis"), {"type": "redis", "host": "127.0.0.1"}, writes=writes)


def feast_postgres(bench: Bench, *, writes: bool = False) -> tuple[int, Callable[[int], Call]]:
    server: Postgres = bench.server("postgres")
    database = urlsplit(server.database()).path.strip("/")
    account = {"database": database, "user": "e2i", "password": "none", "sslmode": "disable"}
    return feast_online(bench, server, {"type": "postgres", "host": "127.0.0.1", **account}, writes=writes)


def database_read(bench: Bench) -> tuple[int, Callable[[int], Call]]:
    from e2i.tools.database import ReadParams, actions

    server: Postgres = bench.server("postgres")

    def make(port: int) -> Call:
        shop = {"url": redirected(server.database(), port), "statement_timeout": bench.deadline}
        ctx = bench.step(Settings(tools={"database": {"connections": {"shop": shop}}}))
        return lambda: actions.read(ReadParams(connection="shop", query="SELECT 1 AS x"), ctx)

    return server.port, make


def artifact_root(bench: Bench) -> tuple[int, Callable[[int], Call]]:
    from e2i.tools.mlflow import MLflowSettings
    from e2i.tools.mlflow.connector import GuardedMLflow
    from e2i.tools.mlflow.tracking import Tracking

    s3: ObjectStore = bench.server("s3")
    bucket = s3.bucket(f"silent-{abs(hash(bench.home)):x}")
    file = bench.home / "file.txt"
    file.write_text("content")

    def make(port: int) -> Call:
        monkeypatch = bench.server("monkeypatch")
        for name, value in s3.environ.items():
            monkeypatch.setenv(name, redirected(value, port) if value == s3.url else value)
        settings = MLflowSettings(artifact_root=f"s3://{bucket}/x", transfer_deadline=bench.deadline)
        client = GuardedMLflow(settings, guard("mlflow", bench.deadline), bench.home / "mlflow")

        def put(tracking: Tracking, run: str) -> None:
            tracking.client.log_artifact(run, str(file))

        async def ask() -> None:
            run = await client.ensure_run("r", "p", 1)
            await client.transfer(put, run.id)

        return lambda: asyncio.run(ask())

    return s3.port, make


def shared_results(bench: Bench) -> tuple[int, Callable[[int], Call]]:
    s3: ObjectStore = bench.server("s3")
    bucket = s3.bucket(f"shared-{abs(hash(bench.home)):x}")

    def make(port: int) -> Call:
        options = {
            "endpoint_override": f"127.0.0.1:{port}", "scheme": "http", "region": "us-east-1", "access_key": "tests",
            "secret_key": "tests-secret",
        }  # fmt: skip
        store = SharedStore(Shared(url=f"s3://{bucket}/e2i", deadline=bench.deadline, options=options), "human")

        def ask() -> None:
            store.problem = None
            assert store.result("sha256:" + "0" * 64) is None
            if store.problem is not None:  # a run goes on without it
                raise ToolUnavailable("shared store", store.problem)

        return ask

    return s3.port, make


def remote_get(bench: Bench) -> tuple[int, Callable[[int], Call]]:
    from e2i.tools.remote import GetParams, actions

    s3: ObjectStore = bench.server("s3")
    bucket = s3.bucket(f"remote-{abs(hash(bench.home)):x}")
    s3.client().put_object(Bucket=bucket, Key="a.txt", Body=b"content")

    def make(port: int) -> Call:
        account = {"access_key": "tests", "secret_key": "tests-secret", "region": "us-east-1", "private": True}
        place = {
            "kind": "s3",
            "root": bucket,
            "endpoint": f"http://127.0.0.1:{port}",
            "timeout": bench.deadline,
            **account,
        }
        ctx = bench.step(Settings(tools={"remote": {"deadline": bench.deadline, "locations": {"here": place}}}))
        return lambda: actions.get(GetParams(location="here", key="a.txt"), ctx)

    return s3.port, make


def remote_get_of_google(bench: Bench) -> tuple[int, Callable[[int], Call]]:
    from e2i.tools.remote import GetParams, actions

    storage = GoogleStorage("data")
    storage.buckets["data"]["a.txt"] = b"content"
    bench.callback(storage.close)

    def make(port: int) -> Call:
        place = {
            "kind": "gcs",
            "root": "data",
            "endpoint": f"http://127.0.0.1:{port}",
            "timeout": bench.deadline,
            "private": True,
            "anonymous": True,
        }
        ctx = bench.step(Settings(tools={"remote": {"deadline": bench.deadline, "locations": {"here": place}}}))
        return lambda: actions.get(GetParams(location="here", key="a.txt"), ctx)

    return urlsplit(storage.url).port or 0, make


def bentoml_service(bench: Bench) -> tuple[int, Callable[[int], Call]]:
    from e2i.tools.bentoml import BentoMLSettings
    from e2i.tools.bentoml.connector import GuardedBentoML

    server = ThreadingHTTPServer(("127.0.0.1", 0), Predictor)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    bench.callback(server.shutdown)

    def make(port: int) -> Call:
        service = GuardedBentoML(BentoMLSettings(deadline=bench.deadline), guard("bentoml", bench.deadline), bench.home)
        return lambda: asyncio.run(service.ask(f"http://127.0.0.1:{port}", [{"a": 1}]))

    return server.server_port, make


class Predictor(BaseHTTPRequestHandler):
    """Answers as a service of BentoML does."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"predictions": [1.0], "probabilities": None}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Says nothing."""


def opik_server(bench: Bench) -> tuple[int, Callable[[int], Call]]:
    from e2i.telemetry.entries import Entry
    from e2i.tools.opik import OpikSettings
    from e2i.tools.opik.sink import open_sink

    server = StandIn(bench.home / "opik.db")
    server.start()
    bench.callback(server.close)
    keys = iter(range(100))

    def make(port: int) -> Call:
        settings = OpikSettings(url=redirected(server.url, port), deadline=bench.deadline)
        sink = open_sink(settings, bench.home, lambda artifact: bench.home)
        guarded = guard("opik", bench.deadline)

        def deliver() -> None:
            body = {"pipeline": "p", "params": {}, "spec": "", "started_ms": 1, "profile": "default"}
            run = f"r{next(keys)}"
            guarded.call(sink.deliver, [Entry(f"{run}/s", "opik", run, "run.started", body)])

        return deliver

    return urlsplit(server.url).port or 0, make


CASES: dict[str, Callable[[Bench], tuple[int, Callable[[int], Call]]]] = {
    "mlflow server": mlflow_server,
    "mlflow postgresql": mlflow_database,
    "mlflow artifacts in s3": artifact_root,
    "opik": opik_server,
    "optuna postgresql": optuna_storage,
    "feast registry in postgresql": feast_registry,
    "feast online store in redis": feast_redis,
    "feast online store in postgresql": feast_postgres,
    "feast.materialize to redis": partial(feast_redis, writes=True),
    "feast.materialize to postgresql": partial(feast_postgres, writes=True),
    "database.read of postgresql": database_read,
    "remote.get of s3": remote_get,
    "remote.get of google": remote_get_of_google,
    "shared store in s3": shared_results,
    "bentoml": bentoml_service,
}
ALLOWED = {"database.read of postgresql": DEADLINE + 2}
"""Deadlines of calls that differ: a database keeps ``statement_timeout`` by itself, and is waited for 2 s longer."""


SERVERS = ("mlflow_server", "postgres", "redis", "s3", "monkeypatch")
"""The fixtures that cases ask for."""


@contextmanager
def flowing(bench: Bench, case: str) -> Iterator[tuple[Faucet, Call]]:
    """The call of a case through a faucet, after it has succeeded once, however long the imports took."""
    import boto3  # noqa: F401
    import fsspec.implementations.arrow  # noqa: F401
    import pyarrow.fs  # noqa: F401

    load()
    with bench:
        target, make = CASES[case](bench)
        with faucet(target) as tap:
            call = made_to_succeed(make(tap.port))
            yield tap, call


def made_to_succeed(call: Call) -> Call:
    def succeeds() -> bool:
        try:
            call()
        except ToolUnavailable:
            return False
        return True

    assert until(succeeds)
    return call


def assert_ends_in_time(case: str, tap: Faucet, call: Call) -> None:
    """With the connection that was in use, and with a new one; when the server is silent, and when it drips."""
    flows: tuple[Flow, ...] = ("silent", "dripping")
    for flow in flows:
        tap.flow = "flowing"
        made_to_succeed(call)
        tap.flow = flow
        for _ in range(2):
            with Stopwatch() as watch, pytest.raises(ToolUnavailable):
                call()
            assert watch.seconds <= ALLOWED.get(case, DEADLINE) + MARGIN, flow


@pytest.mark.slow
def test_a_server_that_stops_answering_is_unavailable_within_the_deadline(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """All cases at once, each in a thread: they have little to do but to wait. They are made one after the other."""
    servers = {name: request.getfixturevalue(name) for name in SERVERS}
    made, one_by_one = threading.Barrier(len(CASES)), threading.Lock()

    def check(number: int, case: str) -> None:
        home = tmp_path / str(number)
        home.mkdir()
        with ExitStack() as stack:
            try:
                with one_by_one:
                    tap, call = stack.enter_context(flowing(Bench(servers.__getitem__, home), case))
            except BaseException:
                made.abort()  # the others need not wait
                raise
            made.wait()
            assert_ends_in_time(case, tap, call)

    with ThreadPoolExecutor(len(CASES)) as pool:
        checks = {case: pool.submit(check, number, case) for number, case in enumerate(CASES)}
    errors = {case: error for case, done in checks.items() if (error := done.exception()) is not None}
    for case, error in sorted(errors.items(), key=lambda item: isinstance(item[1], threading.BrokenBarrierError)):
        error.add_note(f"the case is {case}")
        raise error

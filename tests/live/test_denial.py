"""A wrong password or key is an error of the configuration: no outage, no breaker counts it, telemetry is kept."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis as redis_client

from context import LocalContext
from e2i.errors import AuthenticationFailed, Exit
from e2i.execution import delivery
from e2i.resilience.breaker import State
from e2i.resilience.circuits import circuit_files
from e2i.resilience.state_file import peek
from e2i.settings import Settings
from e2i.store.database import FILE
from e2i.store.runs import RunStore
from e2i.telemetry.entries import Entry, target_of
from e2i.telemetry.outbox import Outbox
from e2i.workers.context import guard_of
from live.servers import Postgres, Server
from project import Project
from tools.feast.feast_case import apply, log
from tools.feast.test_online import lookup

PASSWORD = "right-password"
MISSING = """
version: 1
name: s
steps:
  find: {uses: mlflow.load, on_unavailable: defer, with: {name: x, stage: production}}
  read: {uses: database.read, with: {connection: sales, query: select 1 as x}}
"""


class Refusal(BaseHTTPRequestHandler):
    """Answers all but MLflow's health check with the server's status."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))  # else the connection is reset
        status = 200 if self.path == "/health" else self.server.status  # type: ignore[attr-defined]
        body = json.dumps({"error_code": "UNAUTHENTICATED", "message": "who are you?"}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def http(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of a server that refuses everybody."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
    server.status = getattr(request, "param", 401)  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture
def locked_postgres(postgres: Postgres) -> tuple[str, str]:
    """The addresses of a database with the right and with a wrong password."""
    address = postgres.database()
    rules = postgres._folder / "data" / "pg_hba.conf"
    rule = "host all locked 127.0.0.1/32 scram-sha-256\n"
    with psycopg.connect(address, autocommit=True) as connection:
        if rule not in (text := rules.read_text()):
            rules.write_text(rule + text)
            connection.execute(f"CREATE ROLE locked SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
            connection.execute("SELECT pg_reload_conf()")
    parts = urlsplit(address)
    right = f"postgresql://locked:{PASSWORD}@127.0.0.1:{parts.port}{parts.path}"
    return right, right.replace(PASSWORD, "wrong-password")


@pytest.fixture
def locked_redis(redis: Server) -> Iterator[int]:
    """The port of a Redis that wants a password."""
    with closing(redis_client.Redis("127.0.0.1", redis.port)) as client:
        client.config_set("requirepass", PASSWORD)
    yield redis.port
    with closing(redis_client.Redis("127.0.0.1", redis.port, password=PASSWORD)) as client:
        client.config_set("requirepass", "")


def driver(address: str) -> str:
    return address.replace("postgresql:", "postgresql+psycopg:")


def circuit_is_closed(store: Path, settings: Settings, tool: str) -> bool:
    circuit = peek(circuit_files(store, tool, settings.tool(tool))[""])
    return circuit is None or (circuit.state is State.CLOSED and circuit.failed == 0)


def test_doctor_tells_a_refused_password_from_an_outage(
    project: Project, locked_postgres: tuple[str, str], locked_redis: int, http: int
) -> None:
    _, wrong = locked_postgres
    project.write(
        "config/default.yaml",
        f"""
sinks: []
tools:
  mlflow: {{tracking_uri: "http://127.0.0.1:{http}", deadline: 60}}
  opik: {{url: "http://127.0.0.1:{http}/api", api_key: wrong-key, deadline: 60}}
  optuna: {{study_storage: "{wrong}", deadline: 60}}
  feast:
    registry_deadline: 60
    registry: {{type: sql, url: "{driver(wrong)}"}}
    online_store: {{type: redis, host: 127.0.0.1, port: {locked_redis}, password: wrong-password}}
""",
    )
    said = project.cli("doctor")
    assert said.returncode == Exit.BAD_INPUT, said.stdout
    assert said.stdout.count("[tool-auth]") == 5, said.stdout
    assert "wrong-password" not in said.stdout and "wrong-key" not in said.stdout
    assert "correct the credentials of feast" in said.stdout
    ready = project.cli("doctor", "--ready", "--json")
    found = json.loads(ready.stdout)
    assert (ready.returncode, found["ready"]) == (Exit.BAD_INPUT, False)
    assert [service["code"] for service in found["services"]] == [None, *["tool-auth"] * 5]
    assert "wrong-password" not in ready.stdout and "wrong-key" not in ready.stdout


@pytest.mark.slow
def test_doctor_says_what_it_found_where_the_password_is_right(
    project: Project, locked_postgres: tuple[str, str], locked_redis: int
) -> None:
    right, _ = locked_postgres
    project.write(
        "config/default.yaml",
        f"""
sinks: []
tools:
  mlflow: {{tracking_uri: "{right}", deadline: 60}}
  optuna: {{study_storage: "{right}", deadline: 60}}
  feast:
    registry_deadline: 60
    registry: {{type: sql, url: "{driver(right)}"}}
    online_store: {{type: redis, host: 127.0.0.1, port: {locked_redis}, password: {PASSWORD}}}
""",
    )
    assert project.cli("doctor", "--ready").returncode == 0
    done = project.cli("doctor")
    assert done.returncode == 0, done.stdout
    for said in ("tracking: select 1", "storage: select 1", "registry: select 1", "online store: ping"):
        assert said in done.stdout


def test_a_wrong_password_of_a_database_opens_no_circuit(
    tmp_path: Path, locked_postgres: tuple[str, str], locked_redis: int
) -> None:
    from e2i.tools.mlflow.connector import GuardedMLflow
    from e2i.tools.optuna import search
    from e2i.tools.optuna.connector import GuardedOptuna

    _, wrong = locked_postgres
    online = {"type": "redis", "host": "127.0.0.1", "port": locked_redis, "password": "wrong"}
    settings = Settings(
        tools={
            "mlflow": {"tracking_uri": wrong, "deadline": 60},
            "optuna": {"study_storage": wrong, "deadline": 60},
            "feast": {"online_store": online, "deadline": 60},
        }
    )
    ctx = LocalContext(tmp_path, settings=settings)
    repo = apply(ctx, log())
    plan = search.Plan(space={}, trials=1, directions=("maximize",))
    calls = {
        "mlflow": lambda: asyncio.run(ctx.connect(GuardedMLflow).get_or_create_experiment("x")),
        "optuna": lambda: asyncio.run(ctx.connect(GuardedOptuna).optimize("s", lambda trial: 1.0, plan)),
        "feast": lambda: lookup(ctx, repo, "a"),
    }
    for tool, call in calls.items():
        for _ in range(6):
            with pytest.raises(AuthenticationFailed) as caught:
                call()
            assert (caught.value.code, caught.value.exit_code) == ("tool-auth", Exit.BAD_INPUT)
        assert circuit_is_closed(tmp_path / "store", settings, tool)
    ctx.close()


@pytest.mark.slow
def test_a_database_that_does_not_exist_is_an_error_of_the_configuration(project: Project, postgres: Postgres) -> None:
    """For MLflow, Optuna, Feast, Great Expectations and `database`; a step that needs it fails, with exit code 2."""
    nowhere = urlsplit(postgres.database())._replace(path="/nodb").geturl()
    project.write(
        "config/default.yaml",
        f"""
sinks: []
tools:
  mlflow: {{tracking_uri: "{nowhere}", deadline: 60}}
  optuna: {{study_storage: "{nowhere}", deadline: 60}}
  feast: {{registry_deadline: 60, registry: {{type: sql, url: "{driver(nowhere)}"}}}}
  great_expectations: {{datasources: {{sales: {{type: postgresql, url: "{nowhere}"}}}}}}
  database: {{connections: {{sales: {{url: "{nowhere}"}}}}}}
""",
    )
    asked = project.cli("doctor", "--ready", "--json")
    found = {service["tool"]: service for service in json.loads(asked.stdout)["services"] if not service["ready"]}
    assert asked.returncode == Exit.BAD_INPUT
    for tool in ("mlflow", "optuna", "feast", "great_expectations", "database"):
        assert found[tool]["code"] == "tool-database", found[tool]
        assert found[tool]["problem"] == f'{tool} cannot be used: database "nodb" does not exist'
        assert "correct its name" in found[tool]["hint"]
    project.write("s.yaml", MISSING)
    ran = project.cli("run", "s.yaml", "--json")
    errors = {name: end["error"]["code"] for name, end in json.loads(ran.stdout.splitlines()[-1])["steps"].items()}
    assert (ran.returncode, errors) == (Exit.BAD_INPUT, {"find": "tool-database", "read": "tool-database"}), ran.stdout


@pytest.mark.parametrize(("sink", "http"), [("mlflow", 401), ("opik", 401), ("opik", 403)], indirect=["http"])
def test_telemetry_waits_for_the_right_key(tmp_path: Path, sink: str, http: int) -> None:
    address = {"mlflow": {"tracking_uri": f"http://127.0.0.1:{http}"}, "opik": {"url": f"http://127.0.0.1:{http}/api"}}
    settings = Settings(sinks=(sink,), tools={sink: {**address[sink], "deadline": 60}})
    RunStore(tmp_path, lambda digest: True).close()
    body = {"pipeline": "p", "params": {}, "spec": "", "started_ms": 1, "profile": "default"}
    entries = [Entry(f"r/{number}", sink, "r", "run.started", body) for number in range(3)]
    entries = [_meant_for(entry, settings.tool(sink)) for entry in entries]
    with Outbox(tmp_path / FILE) as outbox:
        outbox.put(entries)
    stop = threading.Event()
    stop.set()
    for _ in range(6):
        (tally,) = delivery.sync(tmp_path, settings, stop, flush=60).values()
        assert (tally.delivered, tally.dead_lettered, tally.left) == (0, 0, 3)
        assert tally.problem is not None and "refuses" in tally.problem
    assert circuit_is_closed(tmp_path, settings, sink)


def _meant_for(entry: Entry, settings: Any) -> Entry:
    """The entry, for the tracker of the settings."""
    from msgspec.structs import replace

    return replace(entry, target=target_of(settings))


def test_an_open_circuit_is_open_for_whoever_opens_the_store_next_but_not_for_a_person_who_asks(tmp_path: Path) -> None:
    settings = Settings(tools={"mlflow": {"tracking_uri": "http://127.0.0.1:1"}})
    first = guard_of("mlflow", settings, tmp_path)
    for _ in range(5):
        with pytest.raises(Exception, match="refused"):
            first.call(_refuse)
    other = guard_of("mlflow", settings, tmp_path)
    with pytest.raises(Exception, match="circuit open, next attempt in") as caught:
        other.call(list)
    assert 0 < caught.value.details["retry_in"] <= 30  # type: ignore[attr-defined]
    elsewhere = Settings(tools={"mlflow": {"tracking_uri": "http://127.0.0.1:2"}})
    assert guard_of("mlflow", elsewhere, tmp_path).call(list) == []
    assert guard_of("mlflow", Settings(), tmp_path).call(list) == []
    asked = guard_of("mlflow", settings, tmp_path, patient=False)
    for _ in range(3):
        assert asked.call(list) == []
    assert guard_of("mlflow", settings, tmp_path).call(list) == []


def _refuse() -> None:
    raise ConnectionRefusedError("refused")

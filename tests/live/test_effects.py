"""Effects on real servers: on a fresh one, on the same, and on one that was emptied, a run that succeeds has them there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import optuna
import psycopg
import pytest
import yaml

from e2i import api
from e2i.execution.record import RunRecord
from effects_case import (
    SPEC,
    assert_packaged,
    assert_registered,
    assert_served,
    assert_tuned,
    prepare,
    statuses,
)
from live.servers import MLflow, ObjectStore, Postgres, Server
from project import Project

REMOTE = ("apply", "publish", "tune", "register", "promote")
"""The steps whose effects are on servers; BentoML's store is always in e2i's."""


class Servers:
    """Where one profile's effects are, asked and emptied by the tools' own clients."""

    def __init__(self, mlflow: str, registry: str, online: dict[str, Any], studies: str) -> None:
        self.mlflow = mlflow
        self.registry = registry
        self.online = online
        self.studies = studies

    def settings(self, **mlflow: Any) -> dict[str, Any]:
        registry = {"type": "sql", "url": self.registry}
        return {
            "mlflow": {"tracking_uri": self.mlflow, "deadline": 60, **mlflow},
            "feast": {"registry": registry, "online_store": self.online, "deadline": 60},
            "optuna": {"study_storage": self.studies.replace("+psycopg", "")},
        }

    def assert_there(self, project: Project, record: RunRecord) -> None:
        assert record.status == "succeeded", record.to_json()
        assert_registered(self.mlflow, record)
        assert_tuned(self.studies, record)
        online = {"type": "redis", "connection_string": f"127.0.0.1:{self.online['port']}"}
        store = online if self.online["type"] == "redis" else self.online
        registry = {"registry_type": "sql", "path": self.registry}
        serialization = {"entity_key_serialization_version": 3, "provider": "local", "offline_store": {"type": "file"}}
        config = {"project": "demo", "registry": registry, "online_store": store, **serialization}
        assert_served(project.store / "feast" / "demo", config)
        if "package" in record.steps:
            assert_packaged(project.store / "bentoml", record)

    def empty(self, *what: str) -> None:
        """Takes away what runs left; only ``models``, ``studies``, ``registry`` or ``online``, where these are named."""
        from mlflow import MlflowClient

        what = what or ("models", "studies", "registry", "online")
        if "models" in what:
            client = MlflowClient(self.mlflow, registry_uri=self.mlflow)
            for model in client.search_registered_models():
                client.delete_registered_model(model.name)
        if "studies" in what:
            for study in optuna.get_all_study_names(self.studies):
                optuna.delete_study(study_name=study, storage=self.studies)
        if "registry" in what:
            _drop_tables(self.registry)
        if "online" in what:
            self._empty_online()

    def _empty_online(self) -> None:
        address = self._online_database()
        if address is not None:
            _drop_tables(address)
        else:
            import redis

            redis.Redis(port=self.online["port"]).flushall()

    def _online_database(self) -> str | None:
        if self.online["type"] == "redis":
            return None
        return f"postgresql://e2i@127.0.0.1:{self.online['port']}/{self.online['database']}"


def _drop_tables(address: str) -> None:
    with psycopg.connect(address.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")


def databases(postgres: Postgres) -> tuple[str, str]:
    """Addresses of two new databases, as Feast and Optuna want them."""
    registry, studies = (postgres.database().replace("postgresql:", "postgresql+psycopg:") for _ in range(2))
    return registry, studies


@pytest.fixture
def over_http(postgres: Postgres, redis: Server, mlflow_server: MLflow) -> Servers:
    """MLflow's server, Redis, PostgreSQL."""
    registry, studies = databases(postgres)
    return Servers(mlflow_server.uri, registry, {"type": "redis", "host": "127.0.0.1", "port": redis.port}, studies)


@pytest.fixture
def in_postgres(postgres: Postgres) -> Servers:
    """Everything in PostgreSQL, MLflow's artifacts apart."""
    registry, studies = databases(postgres)
    database = urlsplit(postgres.database()).path.strip("/")
    address = {"host": "127.0.0.1", "port": postgres.port, "database": database, "sslmode": "disable"}
    online = {"type": "postgres", **address, "db_schema": "public", "user": "e2i", "password": "none"}
    return Servers(postgres.database().replace("postgresql:", "postgresql+psycopg:"), registry, online, studies)


def configure(project: Project, profile: str, tools: dict[str, Any]) -> None:
    project.write(f"config/{profile}.yaml", yaml.safe_dump({"sinks": [], "tools": tools}))


def run(project: Project, profile: str, spec: str = SPEC) -> RunRecord:
    workspace = api.Workspace.open(root=project.root, environ={}, profile=profile)
    project.events.clear()
    return api.run(spec, workspace=workspace, listen=project.events.append)


EMBEDDED_ALSO = SPEC.rpartition("  package:")[0]
"""Without BentoML, whose store is no server."""


@pytest.mark.slow
def test_a_run_under_another_profile_acts_on_its_servers_and_fills_those_again_that_were_emptied(
    project: Project, over_http: Servers
) -> None:
    prepare(project)
    configure(project, "prod", over_http.settings())
    fresh = run(project, "prod", EMBEDDED_ALSO)
    assert statuses(fresh, REMOTE) == dict.fromkeys(REMOTE, "succeeded")
    over_http.assert_there(project, fresh)
    plan = project.plan(EMBEDDED_ALSO)
    reasons = {step.id: step.reason for step in plan.steps}
    assert {reasons[name].code.value for name in ("apply", "tune", "register")} == {"server-changed"}
    assert reasons["register"].detail == f"mlflow: {over_http.mlflow} → embedded"
    over_http.empty("online", "models")
    again = run(project, "prod", EMBEDDED_ALSO)
    made = {"publish": "succeeded", "register": "succeeded", "promote": "succeeded"}
    assert statuses(again, REMOTE) == {**dict.fromkeys(REMOTE, "reused"), **made}
    assert again.steps["make"].status.value == again.steps["train"].status.value == "reused"
    over_http.assert_there(project, again)


@pytest.mark.sweep
def test_a_run_under_another_profile_acts_on_its_servers_and_an_emptied_server_is_filled_again(
    project: Project, over_http: Servers
) -> None:
    prepare(project)
    configure(project, "prod", over_http.settings())
    embedded = project.run(SPEC)
    plan = api.plan(SPEC, workspace=api.Workspace.open(root=project.root, environ={}, profile="prod"))
    reasons = {step.id: step.reason for step in plan.steps}
    assert {reasons[name].code.value for name in ("apply", "tune", "register")} == {"server-changed"}
    assert reasons["register"].detail == f"mlflow: embedded → {over_http.mlflow}"
    fresh = run(project, "prod")
    assert statuses(fresh) == {**dict.fromkeys(REMOTE, "succeeded"), "package": "reused"}
    assert fresh.steps["make"].status.value == fresh.steps["train"].status.value == "reused"
    over_http.assert_there(project, fresh)
    same = run(project, "prod")
    assert {step.status.value for step in same.steps.values()} == {"reused"}
    over_http.assert_there(project, same)
    over_http.empty()
    again = run(project, "prod")
    assert statuses(again) == {**dict.fromkeys(REMOTE, "succeeded"), "package": "reused"}
    over_http.assert_there(project, again)
    assert set(statuses(project.run(SPEC)).values()) == {"reused"}
    assert embedded.status == "succeeded"


NEITHER = """
version: 1
name: effects
defaults: {retry: {attempts: 1}}
steps:
  make: {uses: python.call, with: {file: steps.py, function: make}}
  tune:
    uses: optuna.tune
    with:
      train: ${{ steps.make.table }}
      validation: ${{ steps.make.table }}
      target: y
      exclude: [key, at]
      algorithm: LogisticRegression
      trials: 2
  train:
    uses: model.train
    with: {table: "${{ steps.make.table }}", target: y, exclude: [key, at], algorithm: LogisticRegression}
  register:
    uses: mlflow.register
    on_unavailable: defer
    with: {model: "${{ steps.train.model }}", name: demo}
  promote: {uses: mlflow.promote, with: {version: "${{ steps.register.version }}", stage: production}}
  other: {uses: mlflow.register, with: {model: "${{ steps.train.model }}", name: other}}
"""
"""A step that waits for its server, and one that fails without it."""


@pytest.mark.slow
def test_a_server_that_is_down_is_never_taken_for_one_that_has_the_effect(
    project: Project, mlflow_server: MLflow
) -> None:
    prepare(project)
    configure(project, "prod", {"mlflow": {"tracking_uri": mlflow_server.uri, "deadline": 60}})
    names = ("register", "promote", "other", "tune")
    assert statuses(run(project, "prod", NEITHER), names) == dict.fromkeys(names, "succeeded")
    mlflow_server.kill()
    down = run(project, "prod", NEITHER)
    gone = {"register": "deferred", "promote": "skipped", "other": "failed", "tune": "reused"}
    assert (down.status, statuses(down, names)) == ("failed", gone)
    mlflow_server.start()
    shutil.rmtree(project.store / "breakers")  # not to wait for the recovery time of the open circuit
    assert statuses(run(project, "prod", NEITHER), names) == dict.fromkeys(names, "reused")


@pytest.mark.sweep
def test_a_server_that_is_down_is_not_taken_for_one_that_has_the_effect_beside_all_other_tools(
    project: Project, mlflow_server: MLflow
) -> None:
    prepare(project)
    spec = SPEC.replace("name: demo}}\n  promote:", "name: demo}, on_unavailable: defer}\n  promote:")
    assert spec != SPEC
    configure(project, "prod", {"mlflow": {"tracking_uri": mlflow_server.uri, "deadline": 60}})
    names = ("register", "promote", "tune")
    assert statuses(run(project, "prod", spec), names) == dict.fromkeys(names, "succeeded")
    mlflow_server.kill()
    down = run(project, "prod", spec)
    assert statuses(down, names) == {"register": "deferred", "promote": "skipped", "tune": "reused"}
    failed = run(project, "prod")
    assert (failed.status, failed.steps["register"].status.value) == ("failed", "failed")
    mlflow_server.start()
    shutil.rmtree(project.store / "breakers")  # not to wait for the recovery time of the open circuit
    assert statuses(run(project, "prod", spec), names) == dict.fromkeys(names, "reused")


@pytest.mark.sweep
def test_another_pair_of_servers_and_the_way_back(project: Project, over_http: Servers, in_postgres: Servers) -> None:
    prepare(project)
    configure(project, "a", over_http.settings())
    configure(project, "b", in_postgres.settings())
    for _ in range(2):
        for profile, servers in (("a", over_http), ("b", in_postgres)):
            servers.assert_there(project, run(project, profile))
            assert set(statuses(run(project, profile)).values()) == {"reused"}
            servers.empty()
            servers.assert_there(project, run(project, profile))


@pytest.fixture
def home(tmp_path: Path, s3: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with Amazon's own files of credentials, for which a worker looks as any client does."""
    folder = tmp_path / "home"
    (folder / ".aws").mkdir(parents=True)
    (folder / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = tests\naws_secret_access_key = tests-secret\n"
    )
    (folder / ".aws" / "config").write_text(f"[default]\nregion = us-east-1\nendpoint_url = {s3.url}\n")
    monkeypatch.setenv("HOME", str(folder))
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    yield folder


REGISTER = """
version: 1
name: effects
steps:
  make: {uses: python.call, with: {file: steps.py, function: make}}
  train:
    uses: model.train
    with: {table: "${{ steps.make.table }}", target: y, exclude: [key, at], algorithm: LogisticRegression}
  register: {uses: mlflow.register, with: {model: "${{ steps.train.model }}", name: demo}}
  promote: {uses: mlflow.promote, with: {version: "${{ steps.register.version }}", stage: production}}
"""


@pytest.mark.slow
def test_a_version_whose_files_are_gone_from_s3_is_registered_again(
    project: Project, s3: ObjectStore, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(project)
    bucket = s3.bucket("models")
    configure(project, "prod", {"mlflow": {"artifact_root": f"s3://{bucket}/mlflow", "deadline": 60}})
    names = ("register", "promote")
    assert statuses(run(project, "prod", REGISTER), names) == dict.fromkeys(names, "succeeded")
    assert s3.keys(bucket)
    s3.empty(bucket)
    again = run(project, "prod", REGISTER)
    assert statuses(again, names) == dict.fromkeys(names, "succeeded")
    assert any(key.endswith("manifest.json") for key in s3.keys(bucket))
    for name, value in s3.environ.items():  # this process may have read another home before
        monkeypatch.setenv(name, value)
    assert_registered(f"sqlite:///{project.store}/mlflow/mlflow.db", again)


@pytest.mark.sweep
def test_a_version_whose_files_are_in_s3_is_reused(project: Project, s3: ObjectStore, home: Path) -> None:
    prepare(project)
    configure(project, "prod", {"mlflow": {"artifact_root": f"s3://{s3.bucket('kept')}/mlflow", "deadline": 60}})
    names = ("register", "promote")
    for status in ("succeeded", "reused"):
        assert statuses(run(project, "prod", REGISTER), names) == dict.fromkeys(names, status)

"""``e2i doctor --ready`` exits with 0 only when the store and each configured service can be used."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from msgspec.structs import replace

from e2i.cli import doctor, readiness, schemas
from e2i.cli.doctor import ServiceState
from e2i.errors import Exit
from e2i.resilience.breaker import Outcome, State
from e2i.resilience.circuits import breaker_of
from project import Project, held_port

VALIDATOR = jsonschema.Draft202012Validator(schemas.schema("doctor"))


def ready(project: Project) -> dict[str, Any]:
    """The document of the command, with the services by tool and name."""
    done = project.cli("doctor", "--ready", "--json")
    found = json.loads(done.stdout)
    VALIDATOR.validate(found)
    assert (done.returncode == 0) == found["ready"]
    return {
        **found,
        "exit": done.returncode,
        "by": {f"{one['tool']} {one['service']}": one for one in found["services"]},
    }


def test_embedded_tools_need_nothing_but_a_store_that_can_be_written(project: Project) -> None:
    found = ready(project)
    assert (found["exit"], list(found["by"])) == (0, ["e2i store"])
    assert project.cli("doctor", "--ready").stdout.startswith("ready      e2i store  a file was written in ")


def test_a_server_that_does_not_answer_is_not_ready(project: Project) -> None:
    with held_port() as port:
        project.write(
            "config/default.yaml", f'sinks: []\ntools: {{mlflow: {{tracking_uri: "http://127.0.0.1:{port}"}}}}\n'
        )
        found = ready(project)
        assert (found["exit"], found["by"]["mlflow tracking"]["ready"]) == (4, False)
        assert found["by"]["e2i store"]["ready"]
        printed = project.cli("doctor", "--ready").stdout
    assert "not ready  mlflow tracking: MLflow at 127.0.0.1" in printed


def test_a_configured_server_without_its_library_is_not_ready(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("config/default.yaml", 'sinks: []\ntools: {opik: {url: "http://127.0.0.1:1/api"}}\n')
    monkeypatch.setattr(readiness, "installed", lambda distribution: None)
    found = readiness.examine(project.workspace)
    (missing,) = [service for service in found.services if not service.ready]
    assert (missing.tool, missing.code, found.exit_code) == ("opik", "tool-missing", Exit.UNAVAILABLE)


def test_a_store_that_others_may_write_to_is_not_ready(project: Project) -> None:
    project.store.mkdir()
    project.store.chmod(0o777)
    found = ready(project)
    assert (found["exit"], found["by"]["e2i store"]["code"]) == (4, "store-not-private")


def test_a_shared_store_counts(project: Project) -> None:
    shared = project.root / "shared"
    project.write("config/default.yaml", f'sinks: []\nshared: {{url: "file://{shared}"}}\n')
    assert ready(project)["by"]["e2i shared store"]["ready"]
    shared.rename(project.root / "away")
    shared.write_text("not a folder")
    assert ready(project)["exit"] == 4


def test_a_service_that_answers_has_its_circuit_closed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("config/default.yaml", 'sinks: []\ntools: {opik: {url: "http://127.0.0.1:1/api"}}\n')
    settings = project.workspace.settings.tool("opik")
    project.store.mkdir(mode=0o700)
    breaker = breaker_of(project.store, "opik", settings)
    for _ in range(5):
        breaker.settle(breaker.acquire().grant, Outcome.FAILED)
    state = ServiceState(service="server", reachable=False, answer=None, code="tool-unavailable", problem="", hint=None)
    monkeypatch.setattr(doctor, "services", lambda *asked: [state])
    assert not readiness.examine(project.workspace).ready
    assert breaker_of(project.store, "opik", settings).state is State.OPEN
    state = replace(state, reachable=True, answer="a project")
    found = readiness.examine(project.workspace)
    assert [service.answer for service in found.services][1:] == ["a project; its circuit was open, and is closed now"]
    assert breaker_of(project.store, "opik", settings).state is State.CLOSED
    found = readiness.examine(project.workspace)
    assert [service.answer for service in found.services][1:] == ["a project"]

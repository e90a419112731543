"""Fixtures of the end-to-end tests: each shipped spec is run once, small, by its console script; all tests look at it.

The flights run in a sandbox of their own, with one worker per core as shipped. The three specs about HCPs share one
store, as on a user's machine, and one worker; the first of them runs without any network. No test may change what another one looks at: a run that a test adds is told
from those below by its id.
"""

from __future__ import annotations

import sys

import pytest

import effects_case
from e2e.offline import NOT_ALLOWED
from e2e.sandbox import HERE, Run, Sandbox
from e2i.execution.record import RunRecord
from project import Project

FLIGHTS = ("specs/flight_delays.yaml", "-p", "rows=6000", "-p", "trials=4")
CONVERSION = (
    "specs/hcp_conversion.yaml",
    *("-p", "rows=4000", "-p", "trials=4", "-p", "explain_rows=200", "-p", "requests=60"),
)
COMPARISON = ("specs/model_comparison.yaml", "-p", "rows=4000")
VOLUME = ("specs/prescription_volume.yaml", "-p", "rows=4000", "-p", "trials=4")
OFFLINE = (sys.executable, str(HERE / "offline.py"))
SLOW = {"comparison", "volume"}
"""Runs that the slow tests look at; the default tests look at those that take the whole route."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what looks at a run of ``SLOW``, by its name or as a parameter."""
    for item in items:
        if isinstance(item, pytest.Function) and item.path.is_relative_to(HERE):
            given = item.callspec.params.values() if hasattr(item, "callspec") else ()
            if SLOW & {*item.fixturenames, *(text for text in given if isinstance(text, str))}:
                item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def flights_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    return Sandbox.make(tmp_path_factory.mktemp("flights"))


@pytest.fixture(scope="session")
def hcp_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    return Sandbox.make(tmp_path_factory.mktemp("hcp"), one_worker=True)


@pytest.fixture(scope="session")
def flights(flights_sandbox: Sandbox) -> Run:
    """``flight_delays``, the first run in its store."""
    return flights_sandbox.run(*FLIGHTS)


@pytest.fixture(scope="session")
def flights_again(flights: Run) -> Run:
    """The same command once more."""
    return flights.sandbox.run(*FLIGHTS)


@pytest.fixture(scope="session")
def no_network(hcp_sandbox: Sandbox) -> bool:
    """Whether a process can be given a network with nothing but the loopback device here."""
    return hcp_sandbox.command("e2i", "--version", launcher=OFFLINE).returncode != NOT_ALLOWED


@pytest.fixture(scope="session")
def conversion(hcp_sandbox: Sandbox, no_network: bool) -> Run:
    """``hcp_conversion``, the first run in its store; without a network where that can be had."""
    return hcp_sandbox.run(*CONVERSION, launcher=OFFLINE if no_network else ())


@pytest.fixture(scope="session")
def comparison(conversion: Run) -> Run:
    return conversion.sandbox.run(*COMPARISON)


@pytest.fixture(scope="session")
def volume(conversion: Run) -> Run:
    return conversion.sandbox.run(*VOLUME)


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, RunRecord]:
    """A project in which the pipeline with all kinds of effects ran once; a test that changes it copies it."""
    project = Project(tmp_path_factory.mktemp("effects") / "project")
    effects_case.prepare(project)
    return project, project.run(effects_case.SPEC)


@pytest.fixture(params=["flights", "conversion"])
def route(request: pytest.FixtureRequest) -> Run:
    """Each of the runs that take the whole route, from data to a service."""
    run: Run = request.getfixturevalue(request.param)
    return run

"""Fixtures for every test: a real step context in a temporary store, and an environment in which nothing phones home."""

from __future__ import annotations

import compileall
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from context import LocalContext
from e2i.workers.environment import QUIET
from project import ENGINE, Project, until

os.environ.update(QUIET)
# Without compiled modules each of the thousands of processes that the tests start would compile the program for itself.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# How long an example takes depends on who else is at work; and whoever runs the tests again gets the same examples.
settings.register_profile("e2i", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("e2i")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # before the processes of ``-n`` start
        compileall.compile_dir(ENGINE, quiet=1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``-n``: whole files, in an order of ours."""
    from units import Units

    config.option.loadscopereorder = False
    return Units(config, log) if config.getoption("dist") == "load" else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    sample(config, items)
    if hasattr(config, "workerinput"):  # one of the processes of ``-n``
        from units import rank

        items.sort(key=lambda item: rank(item.nodeid))


def sample(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps one in ``CHAOS_ONE_IN`` of the slow tests. ``CHAOS_SHIFT``, a number, says which ones."""
    one_in, shift = int(os.environ.get("CHAOS_ONE_IN", "1")), int(os.environ.get("CHAOS_SHIFT", "0"))

    def kept(item: pytest.Item) -> bool:
        return item.get_closest_marker("slow") is None or (zlib.crc32(item.nodeid.encode()) + shift) % one_in == 0

    if left_out := [item for item in items if not kept(item)]:
        config.hook.pytest_deselected(items=left_out)
        items[:] = filter(kept, items)


@pytest.fixture(autouse=True)
def process() -> Iterator[None]:
    """Each test finds the process as the first one did: `e2i run` sets the mask for new files, MLflow its own variables."""
    mask, variables = os.umask(0o022), dict(os.environ)
    yield
    os.umask(mask)
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)


@pytest.fixture
def ctx(tmp_path: Path) -> Iterator[LocalContext]:
    context = LocalContext(tmp_path)
    yield context
    context.close()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project of which no process may be left when the test is over."""
    made = Project(tmp_path / "project")
    yield made
    assert until(lambda: not made.processes()), f"still running: {made.processes()}"

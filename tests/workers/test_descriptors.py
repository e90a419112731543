"""A program with more open files than ``select`` can tell apart runs pipelines, and nothing is left behind."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import pytest

from project import Project, until


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("this machine allows no more open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1200)]
    yield
    for descriptor in held:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_run_ends_all_its_processes_with_a_thousand_open_files(project: Project, many_files: None) -> None:
    project.write("f.py", "def one():\n    return 1\n")
    project.write(
        "s.yaml", "version: 1\nname: s\nsteps:\n  a: {uses: python.call, with: {file: f.py, function: one}}\n"
    )
    assert project.run(str(project.root / "s.yaml")).status == "succeeded"
    assert until(lambda: not project.processes("e2i.workers"))

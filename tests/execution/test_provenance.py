"""What a run keeps of where its results come from."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

from e2i import __version__
from e2i.execution import provenance
from project import Project

SPEC = "version: 1\nname: q\nparams: {seed: {type: integer, default: 5}}\nsteps:\n  a: {uses: data.load, with: {path: x.csv}}\n"


def test_program_machine_libraries_and_seed_are_reported(project: Project) -> None:
    project.write("x.csv", "x\n1\n")
    found = provenance.of(project.plan(SPEC), 5, SPEC, None)
    assert (found.e2i, found.python, found.host) == (__version__, platform.python_version(), platform.node())
    assert (found.libraries or {})["pandas"] == version("pandas")
    assert (found.seed, found.git) == (5, None)
    assert found.cores == len(os.sched_getaffinity(0))


def test_equal_specs_have_equal_digests(project: Project) -> None:
    project.write("x.csv", "x\n1\n")
    plan = project.plan(SPEC)
    digests = [provenance.of(plan, 0, text, None).spec for text in (SPEC, SPEC, SPEC + "# other\n")]
    assert digests[0] == digests[1] != digests[2]

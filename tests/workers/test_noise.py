"""Warnings that only authors of libraries can act on are not in step logs; all others are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2i.workers import noise
from project import Project

LIBRARY = str(Path(pytest.__file__))
PYTHON = str(Path(json.__file__))


@pytest.mark.parametrize(
    ("category", "file", "expected"),
    [
        (DeprecationWarning, LIBRARY, True),
        (FutureWarning, LIBRARY, True),
        (PendingDeprecationWarning, PYTHON, True),
        (type("Own", (DeprecationWarning,), {}), LIBRARY, True),
        (DeprecationWarning, "/srv/project/steps.py", False),
        (UserWarning, LIBRARY, False),
        (RuntimeWarning, LIBRARY, False),
    ],
)
def test_what_is_noise(category: type[Warning], file: str, expected: bool) -> None:
    assert noise.is_noise(category, file) is expected


STEP = f"""
import warnings

def warn():
    warnings.simplefilter("default")
    warnings.warn_explicit("of a library", DeprecationWarning, {LIBRARY!r}, 1)
    warnings.warn_explicit("of a model", UserWarning, {LIBRARY!r}, 1)
    warnings.warn("of this file", DeprecationWarning)
    return 1
"""


def test_a_step_log_has_the_warnings_that_its_author_can_act_on(project: Project) -> None:
    project.write("steps.py", STEP)
    record = project.run(
        "version: 1\nname: w\nsteps: {a: {uses: python.call, with: {file: steps.py, function: warn}}}\n"
    )
    log = (project.store / "runs" / record.run / "logs" / "a.log").read_text()
    assert "of a model" in log and "of this file" in log
    assert "of a library" not in log

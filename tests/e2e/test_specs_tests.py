"""The shipped specs pass their own tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2i.testing import suite

SPECS = Path(__file__).parents[2] / "specs"
FILES = sorted(SPECS.glob("*.test.yaml"))


def test_every_shipped_spec_has_tests() -> None:
    tested = {path.name.removesuffix(".test.yaml") for path in FILES}
    assert tested == {path.stem for path in SPECS.glob("*.yaml") if path not in FILES}


def test_their_test_files_are_valid() -> None:
    _, problems = suite.check(list(map(str, FILES)))
    assert problems == []


@pytest.mark.slow
def test_they_pass() -> None:
    found = suite.run(suite.load([str(SPECS)]))
    failed = [failure for file in found.files for case in file.cases for failure in case.failures]
    assert failed == []

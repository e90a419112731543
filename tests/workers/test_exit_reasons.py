"""Failures of workers that ended without a message."""

from __future__ import annotations

import pytest

from e2i.catalog.context import RunInfo
from e2i.workers import exit_reasons
from e2i.workers.executor import StepCall


@pytest.mark.parametrize("starved", [True, False])
def test_memory_that_was_never_measured_is_not_given_as_none(starved: bool) -> None:
    call = StepCall(
        uses="debug.echo", params={}, info=RunInfo("r", "p", "s"), seed=0, threads=1, fingerprint="f", timeout=60.0
    )  # fmt: skip
    killed = exit_reasons.failure(call, None, 137, 1 << 30, 0, starved=starved).message
    assert "0B" not in killed and "before its memory was measured" in killed
    assert "0B" not in exit_reasons.out_of_memory(1 << 30, 0).message
    assert "used up to" in exit_reasons.failure(call, None, 137, 1 << 30, 5 << 20, starved=starved).message

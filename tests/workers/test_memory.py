"""Memory that a step has freed."""

from __future__ import annotations

import os

import pyarrow as pa

from e2i.workers import memory


def test_what_arrow_has_freed_goes_back_to_the_kernel() -> None:
    held = [pa.array(range(100_000)) for _ in range(100)]
    del held
    memory.give_back()
    kept = memory.held_exactly([os.getpid()])
    again = [pa.array(range(100_000)) for _ in range(100)]
    assert memory.held_exactly([os.getpid()]) > kept + 60_000_000
    del again
    memory.give_back()
    assert memory.held_exactly([os.getpid()]) < kept + 20_000_000
    assert pa.total_allocated_bytes() < 1_000_000

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2i.execution.state import RunState, Status

DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def test_steps_become_ready_once_all_that_they_wait_for_is_over() -> None:
    state = RunState(DIAMOND)
    assert state.take_ready() == ["a"]
    assert state.take_ready() == []
    state.start("a")
    state.finish("a", Status.SUCCEEDED)
    assert state.take_ready() == ["b", "c"]
    state.finish("b", Status.REUSED)
    assert state.take_ready() == []
    state.start("c")
    state.finish("c", Status.FAILED)
    assert state.take_ready() == ["d"]
    assert state.failed_upstream("d") == ["c"]
    assert not state.is_over
    state.finish("d", Status.SKIPPED)
    assert state.is_over


def test_a_step_is_over_once() -> None:
    state = RunState({"a": ()})
    state.finish("a", Status.SKIPPED)
    with pytest.raises(AssertionError, match="already"):
        state.finish("a", Status.SUCCEEDED)
    with pytest.raises(AssertionError):
        state.start("a")


@given(st.data())
def test_whatever_becomes_of_the_steps_every_one_is_ready_exactly_once(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    needs = {
        str(step): tuple(str(upstream) for upstream in range(step) if data.draw(st.booleans())) for step in range(count)
    }
    state = RunState(needs)
    seen: list[str] = []
    waiting: list[str] = []
    while not state.is_over:
        waiting += state.take_ready()
        step = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
        assert all(state.status[upstream] not in (Status.PENDING, Status.RUNNING) for upstream in needs[step])
        seen.append(step)
        if data.draw(st.booleans()):
            state.start(step)
        state.finish(step, data.draw(st.sampled_from([Status.SUCCEEDED, Status.FAILED, Status.SKIPPED])))
    assert sorted(seen) == sorted(needs)


def test_the_last_steps_are_ready_when_all_others_are_over() -> None:
    state = RunState({"a": (), "end": (), "after": ("end",)}, {"end", "after"})
    assert state.take_ready() == ["a"]
    assert state.take_ready() == []
    state.finish("a", Status.FAILED)
    assert state.take_ready() == ["end"]
    state.finish("end", Status.CANCELLED)
    assert state.take_ready() == ["after"]

"""What waits comes out, the longest way to go first, when its time has come; tools are foreseen, but not from afar."""

from __future__ import annotations

import math

from e2i.execution.ready_queue import PREFETCH, Prefetch, ReadyQueue
from e2i.execution.state import RunState, Status
from e2i.planning.model import PlanStep, Verdict
from e2i.workers.executor import FULL_AFFINITY
from plans import step as planned


def steps(*uses: str, verdict: Verdict = Verdict.RUN) -> list[PlanStep]:
    return [planned(f"s{i}", use, verdict=verdict) for i, use in enumerate(uses)]


def is_inline(step: str) -> bool:
    return step in ("s1", "s3")


def test_steps_with_a_longer_critical_path_go_first() -> None:
    needs = {"explain": (), "package": (), "serve": ("package",), "smoke": ("serve",), "old": ("explain",)}
    verdicts = {"old": Verdict.REUSE}
    plan = [planned(step, "a.b", upstream, verdicts.get(step, Verdict.RUN)) for step, upstream in needs.items()]
    queue = ReadyQueue(plan, is_inline)
    for step in ("smoke", "explain", "serve", "package"):
        queue.add(step)
    assert list(queue.waiting) == ["package", "serve", "explain", "smoke"]


def test_of_equals_a_worker_gets_the_one_that_it_is_most_ready_for() -> None:
    queue = ReadyQueue(steps(*["a.b"] * 6), is_inline)
    for step in ("s0", "s2", "s4", "s5"):
        queue.add(step)
    affinity = {"s0": 0, "s2": 1, "s4": FULL_AFFINITY, "s5": FULL_AFFINITY}
    assert [queue.take(affinity.__getitem__) for _ in range(4)] == ["s4", "s5", "s2", "s0"]


def test_who_has_a_longer_way_to_go_is_taken_first_however_ready_a_worker_is_for_another() -> None:
    needs = {"explain": (), "package": (), "serve": ("package",)}
    plan = [planned(step, "a.b", upstream) for step, upstream in needs.items()]
    queue = ReadyQueue(plan, is_inline)
    queue.add("explain")
    queue.add("package")
    assert queue.take(lambda step: FULL_AFFINITY if step == "explain" else 0) == "package"


def test_equals_wait_in_the_order_of_the_plan_whatever_the_order_they_come_in() -> None:
    queue = ReadyQueue(steps(*["a.b"] * 6), is_inline)
    for step in ("s5", "s3", "s0", "s1", "s2"):
        queue.add(step)
    assert list(queue.here) == ["s1", "s3"]
    assert list(queue.waiting) == ["s0", "s2", "s5"]
    assert queue.seconds(0.0) == 0.0


def test_what_is_put_off_comes_back_in_time_and_at_its_place() -> None:
    queue = ReadyQueue(steps(*["a.b"] * 6), is_inline)
    queue.add("s4")
    queue.put_off("s2", until=10.0)
    queue.take_in(9.0)
    assert (list(queue.waiting), queue.seconds(9.0)) == (["s4"], 1.0)
    queue.take_in(10.0)
    assert (list(queue.waiting), queue.seconds(10.0)) == (["s2", "s4"], math.inf)


def test_what_may_not_start_any_more_is_forgotten() -> None:
    queue = ReadyQueue(steps(*["a.b"] * 6), is_inline)
    for step in ("s0", "s1", "s2"):
        queue.add(step)
    queue.put_off("s4", until=1.0)
    queue.keep(lambda step: step == "s2")
    assert queue.steps() == ["s2"]


def test_one_action_of_each_tool_is_foreseen_and_none_that_is_far_ahead_or_under_way() -> None:
    plan = steps("one.a", "here.a", "one.b", "here.b", "two.a", *["two.b"] * PREFETCH, "three.a")
    state = RunState({step.id: () for step in plan})
    foresight = Prefetch(plan, is_inline)
    assert foresight.uses(state, over=0) == ["one.a", "two.a"]
    state.start("s0")
    assert foresight.uses(state, over=6) == ["two.a", "three.a"]
    assert state.status["s0"] is Status.RUNNING


def test_tools_of_steps_that_are_reused_are_not_foreseen() -> None:
    plan = steps("one.a", verdict=Verdict.REUSE)
    assert Prefetch(plan, is_inline).uses(RunState({"s0": ()}), over=0) == []


def test_certain_is_what_the_plan_runs_and_waits_for_nothing() -> None:
    first, second = steps("a.b", "e.echo")
    downstream = planned("s2", "c.d", ("s0",))
    perhaps = planned("s4", "f.g", verdict=Verdict.UNDECIDED)
    done = planned("s5", "h.i", verdict=Verdict.REUSE)
    assert Prefetch([first, second, downstream, perhaps, done], is_inline).certain() == ["a.b"]

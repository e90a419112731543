from __future__ import annotations

import pytest

from e2i.cli.progress import describe
from e2i.cli.screen import Screen
from e2i.execution.events import Event


def event(name: str, step: str | None = None, /, **facts: object) -> Event:
    return Event(name, "r", 0, step, facts)


@pytest.mark.parametrize(
    ("trackers", "attempts", "said"),
    [(["mlflow", "opik"], 1, "delivering to mlflow, opik"), ([], 1, "ending"), (["mlflow"], 0, "ending")],
)
def test_a_delivery_is_told_of_only_where_there_is_one(trackers: list[str], attempts: int, said: str) -> None:
    with Screen() as screen:
        screen.emit(event("run.started", steps=1, name="p", trackers=trackers, resumed=False, note=""))
        if attempts:
            screen.emit(event("step.started", "a", uses="debug.echo", attempt=1))
        screen.emit(
            event("step.finished", "a", status="succeeded", seconds=0.1, attempts=attempts, error=None, note="")
        )
        screen._console.begin_capture()
        screen._console.print(screen._table())
        assert said in screen._console.end_capture()


@pytest.mark.parametrize(
    ("running", "said"),
    [(["a", "b"], "stopping: a, b still runs; Ctrl-C again ends it at once"), ([], "stopping: nothing runs any more")],
)
def test_a_stop_says_what_still_runs(running: list[str], said: str) -> None:
    (line,) = describe(event("run.stopping", running=running))
    assert said in line

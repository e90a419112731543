from __future__ import annotations

import click
import pytest

from e2i.cli.progress import describe
from e2i.cli.screen import Screen
from e2i.execution.events import RunStarted, RunStopping, StepFinished, StepStarted
from e2i.execution.state import Status


@pytest.mark.parametrize(
    ("trackers", "attempts", "shown"),
    [(("mlflow", "opik"), 1, "delivering to mlflow, opik"), ((), 1, "ending"), (("mlflow",), 0, "ending")],
)
def test_a_delivery_is_shown_only_where_there_is_one(trackers: tuple[str, ...], attempts: int, shown: str) -> None:
    with Screen() as screen:
        screen.emit(RunStarted("r", 0.0, steps=1, name="p", trackers=trackers, resumed=False, note=""))
        if attempts:
            screen.emit(StepStarted("r", 0.0, step="a", uses="debug.echo", attempt=1))
        screen.emit(
            StepFinished(
                "r", 0.0, step="a", status=Status.SUCCEEDED, seconds=0.1, attempts=attempts, error=None, note=""
            )
        )
        screen._console.begin_capture()
        screen._console.print(screen._table())
        assert shown in screen._console.end_capture()


@pytest.mark.parametrize(
    ("running", "shown"),
    [(("a", "b"), "stopping: waiting for a, b; press Ctrl-C again to stop now"), ((), "stopping: no step is running")],
)
def test_a_stop_names_the_running_steps(running: tuple[str, ...], shown: str) -> None:
    (line,) = describe(RunStopping("r", 0.0, running=running))
    assert shown in line


@pytest.mark.parametrize(
    ("steps", "resumed", "note", "shown"),
    [
        (1, False, "", "run r of p, 1 step"),
        (2, True, "", "resuming run r of p, 2 steps"),
        (2, True, "its process 4711 has exited", "resuming run r of p, 2 steps (its process 4711 has exited)"),
    ],
)
def test_the_first_line_counts_the_steps_and_names_a_resumed_run(
    steps: int, resumed: bool, note: str, shown: str
) -> None:
    (line,) = describe(RunStarted("r", 0.0, steps=steps, name="p", trackers=(), resumed=resumed, note=note))
    assert click.unstyle(line) == shown

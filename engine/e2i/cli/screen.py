"""Show a run as a live table on the terminal.

In: events of a run. Out: the table.
"""

from __future__ import annotations

import time
from typing import Any, Self

from msgspec import Struct
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from e2i.cli.problems_view import safe
from e2i.cli.progress import describe
from e2i.execution.events import Event, RunStarted, RunStopping, StepFinished, StepProgress, StepStarted


class Screen:
    """A live table on the terminal: running steps with their times, and the number that wait. Finished steps scroll up
    above the table.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._running: dict[str, _Running] = {}
        self._steps = 0
        self._done = 0
        self._began = time.monotonic()
        self._stopping = False
        self._trackers: tuple[str, ...] = ()
        self._is_tracked = False
        """Whether there is something to deliver at the end. Trackers receive a run only once a step is executed."""
        # Last, because creating it draws the table at once.
        self._live = Live(console=self._console, refresh_per_second=8, transient=True, get_renderable=self._table)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._live.__exit__(*error)

    def pause(self) -> None:
        self._console.show_cursor(True)

    def resume(self) -> None:
        self._console.show_cursor(False)

    def emit(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._steps, self._trackers = event.steps, event.trackers
                self._done, self._stopping = 0, False
                self._running.clear()
            case StepStarted():
                self._is_tracked = bool(self._trackers)
                self._running[event.step] = _Running(time.monotonic(), event.uses)
                return
            case StepProgress():
                if (running := self._running.get(event.step)) is not None:
                    running.done, running.total, running.note = event.done, event.total, event.note
            case StepFinished():
                self._running.pop(event.step, None)
                self._done += 1
            case RunStopping():
                self._stopping = True
        for line in describe(event):
            self._console.print(Text.from_ansi(line))

    def _table(self) -> Group:
        table = Table.grid(padding=(0, 2))
        now = time.monotonic()
        for step, running in self._running.items():
            bar: Any = ProgressBar(running.total, running.done, width=24) if running.total else Text("")
            count = f"{running.done}/{running.total}" if running.total else ""
            table.add_row(
                Text("▸", style="cyan"), Text(step, style="bold"), running.uses, f"{now - running.since:6.1f} s", bar,
                count, Text(safe(running.note)[:60], style="dim"),
            )  # fmt: skip
        waiting = self._steps - self._done - len(self._running)
        state = "stopping, press Ctrl-C again to stop now" if self._stopping else f"{waiting} waiting"
        if not self._steps:
            state = "waiting"
        elif not self._running and self._done == self._steps:
            state = f"delivering to {', '.join(self._trackers)}" if self._is_tracked else "ending"
        head = Text(f"{self._done}/{self._steps} done · {state} · {now - self._began:.0f} s", style="dim")
        return Group(table, head)


class _Running(Struct):
    since: float
    uses: str
    done: int = 0
    total: int = 0
    note: str = ""

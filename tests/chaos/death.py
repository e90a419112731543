"""A run that was disturbed goes in; it is judged, resumed, and judged again; every broken promise comes out as text.

Finished is what a ``step.finished`` line was printed of. The promises: what is finished is durable and is not executed
again; at most the steps of one commit are durable and not reported; the run store is intact; the next run ends as an undisturbed
one, with nobody's help.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from chaos import pipelines
from project import Project, until

GOOD = ("succeeded", "reused")
POLL_TIMEOUT = 900
"""Seconds that a run may take on a machine that is busy with chaos."""


class Death:
    """One disturbed run of ``spec.yaml`` in a project, by what it printed.

    ``before``: the death that it resumed. ``together``: how many steps may become durable by one commit; two are one that
    a worker executed and one in the engine meanwhile.
    """

    def __init__(self, project: Project, printed: str, before: Death | None = None, *, together: int = 2) -> None:
        self.project = project
        self._together = together
        self.events = read(printed)
        finished = {event["step"]: event["status"] for event in self.events if event["event"] == "step.finished"}
        self._reported = {step for step, status in finished.items() if status in GOOD}
        self._durable = before._durable if before else set()
        """Steps that were found durable, now or at an earlier death of the same run."""
        self._status = ""
        """Of the run, on disk."""
        known = before.acknowledged if before else set()
        self.acknowledged = known | self._reported
        self.repeated = sorted(step for step in known if finished.get(step, "reused") != "reused")
        self.marks = pipelines.marks(project)

    def failures(self, undisturbed: dict[str, Any], *, by_run: bool = False) -> list[str]:
        """What was promised and is not so. ``by_run``: resumed by ``--resume RUN`` instead of the same command."""
        return [*self.on_disk(), *self._resumed(undisturbed, by_run)]

    def on_disk(self) -> list[str]:
        """Judges what is on disk, on a copy."""
        found = [f"finished, and executed again: {self.repeated}"] if self.repeated else []
        if not (self.project.store / "state.db").exists():
            return (
                [*found, f"reported {sorted(self._reported)}, but there is no run store"] if self._reported else found
            )
        folder = self.project.root / "copy"
        with contextlib.closing(sqlite3.connect(pipelines.copy_state(self.project, folder))) as database:
            intact = database.execute("PRAGMA integrity_check").fetchone()[0]
            tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
            rows: dict[str, str] = {}
            if "steps" in tables and self.events:
                question = "SELECT step, status FROM steps WHERE run = ? AND status IN ('succeeded', 'reused')"
                run = (self.events[0]["run"],)
                rows = dict(database.execute(question, run).fetchall())
                self._status = database.execute("SELECT status FROM runs WHERE run = ?", run).fetchone()[0]
        shutil.rmtree(folder)
        if intact != "ok":
            found.append(f"the run store is not intact: {intact}")
        if lost := self._reported - rows.keys():
            found.append(f"told, but not durable: {sorted(lost)}")
        # What is reused was finished and told by an earlier run: any number of such steps may share a commit.
        known = self._reported | self._durable
        untold = sorted(step for step, status in rows.items() if status == "succeeded" and step not in known)
        self._durable = self._durable | rows.keys()
        if len(untold) > self._together:
            found.append(f"durable, but not told: {untold}")
        return found

    def _resumed(self, undisturbed: dict[str, Any], by_run: bool) -> list[str]:
        run = ["--resume", self.events[0]["run"]] if by_run and self.events else []
        with self.project.start("run", "spec.yaml", "--json", *run) as again:
            out, err = again.communicate(timeout=POLL_TIMEOUT)
        events = read(out)
        if again.returncode != 0 or not events:
            return [f"resumed with exit code {again.returncode}: {err[-500:]} {out[-500:]}"]
        last = events[-1]
        found = []
        if self._status in ("running", "interrupted") and events[0]["run"] != self.events[0]["run"]:
            found.append(f"{self.events[0]['run']} was left, and {events[0]['run']} begun")
        if last["outputs"] != undisturbed:
            found.append(f"outputs {json.dumps(last['outputs'])} instead of {json.dumps(undisturbed)}")
        statuses = {step: facts["status"] for step, facts in last["steps"].items()}
        if repeated := sorted(step for step in self.acknowledged if statuses[step] != "reused"):
            found.append(f"finished, and executed again: {repeated}")
        marks = pipelines.marks(self.project)
        if twice := sorted(step for step in self.acknowledged & marks.keys() if marks[step] != self.marks[step]):
            found.append(f"finished, and its function called again: {twice}")
        if not until(lambda: not self.project.processes(), POLL_TIMEOUT):  # a dead run's courier may still deliver
            found.append(f"still running: {self.project.processes()}")
        return found


def read(printed: str) -> list[dict[str, Any]]:
    """The events of lines that are whole; the last one may have been cut off by death."""
    found = []
    for line in printed.splitlines(keepends=True):
        if line.endswith("\n"):
            event = json.loads(line)
            if "event" in event:
                found.append(event)
    return found


def fresh(template: Path, root: Path, spec: str, **options: Any) -> Project:
    """A project of its own for one death. What ``template`` holds is there already."""
    shutil.rmtree(root, ignore_errors=True)
    if template.exists():
        shutil.copytree(template, root, symlinks=True)
    return pipelines.make(root, spec, **options)

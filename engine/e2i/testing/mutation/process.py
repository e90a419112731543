"""Judge mutants in a process of its own: ``python launch.py e2i.testing.mutation.process``.

In: on standard input, a line with the ``Assignment``, then a line with a ``Task`` for each test file. Out: on standard
output, lines with ``Answer``s: one for each mutant of a task, then one without a mutant.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec
from msgspec import Struct

from e2i.testing import suite
from e2i.testing.mutation.changes import Change
from e2i.testing.mutation.judging import Judge, Judgement
from e2i.testing.mutation.results import BrokenCase
from e2i.testing.running import Runner

PR_SET_PDEATHSIG = 1
"""The kernel ends the process when the command that started it ends."""


class Assignment(Struct, frozen=True):
    """How the test files are read."""

    profile: str | None
    origin: str | None
    only: str


class Task(Struct, frozen=True):
    """The mutants of one test file to judge, each with its number."""

    file: str
    mutants: list[tuple[int, Change]]


class Answer(Struct, frozen=True):
    """What a mutant came to. ``number`` None: the task is done, with the cases that fail on the unchanged spec."""

    number: int | None
    judgement: Judgement | None = None
    broken: list[BrokenCase] = []


def main() -> None:
    """Judges until standard input ends."""
    os.umask(0o077)  # as for a run
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    lines = iter(sys.stdin.buffer)
    assignment = msgspec.json.decode(next(lines), type=Assignment)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what libraries print is no answer
    for line in lines:
        task = msgspec.json.decode(line, type=Task)
        for answer in _judged(task, assignment):
            answers.write(msgspec.json.encode(answer) + b"\n")


def _judged(task: Task, assignment: Assignment) -> Iterator[Answer]:
    """Yields the answers to a task, each when it is there."""
    with ExitStack() as stack:
        (ready,) = suite.load([task.file], profile=assignment.profile, origin=assignment.origin)
        judge = Judge(ready, stack.enter_context(Runner(ready.workspace)))
        broken = list(judge.run_unchanged(assignment.only))
        for number, change in task.mutants if not broken else ():
            yield Answer(number, judge.judge(change))
        yield Answer(None, broken=broken)


if __name__ == "__main__":
    main()

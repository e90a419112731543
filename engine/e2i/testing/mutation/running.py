"""Judge mutants of specs by their tests, in two processes.

In: test files, the number of mutants, a seed. Out: ``MutationDocument``.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

import msgspec

from e2i.errors import E2IError, Exit
from e2i.spec.problems import pointer
from e2i.testing.mutation.choosing import Mutant, choose
from e2i.testing.mutation.judging import Judgement
from e2i.testing.mutation.process import Answer, Assignment, Task
from e2i.testing.mutation.results import BrokenCase, JudgedMutant, MutationDocument, MutationScore
from e2i.testing.suite import ReadyFile
from e2i.workers import launch

PROCESSES = 2
Listener = Callable[[Mutant, Judgement], None]
"""Receives each judgement as soon as it is there, from several threads."""


class JudgeLost(E2IError):
    """Raised when a process that judges mutants has ended early."""

    exit_code = Exit.DEFECT


def run(
    ready: Sequence[ReadyFile],
    most: int,
    seed: int,
    assignment: Assignment,
    listen: Listener = lambda mutant, judgement: None,
) -> MutationDocument:
    """Chooses up to ``most`` mutants and judges them. Nothing is judged in a file with a case that fails by itself."""
    began = time.monotonic()
    mutants = choose(ready, most, seed)
    judged = _Judges(mutants, assignment, listen)
    judged.run(_tasks(mutants))
    listed = [_document(mutant, judged.found[i]) for i, mutant in enumerate(mutants) if i in judged.found]
    specs = [
        MutationScore(
            spec=spec,
            killed=sum(one.killed_by is not None for one in listed if one.spec == spec),
            total=sum(one.spec == spec for one in listed),
        )
        for spec in dict.fromkeys(one.spec for one in listed)
    ]
    killed = sum(one.killed for one in specs)
    return MutationDocument(
        seed=seed,
        killed=killed,
        total=len(listed),
        asked=most,
        few=_few(most, len(mutants), len(listed)),
        score=round(killed / len(listed), 4) if listed else None,
        seconds=round(time.monotonic() - began, 3),
        specs=specs,
        mutants=listed,
        broken=sorted(judged.broken, key=lambda one: (one.file, one.case)),
    )


def _few(asked: int, chosen: int, judged: int) -> str:
    """Returns why fewer mutants were judged than were asked for."""
    reasons = []
    if chosen < asked:
        reasons.append(f"no other change of a value gives a valid spec with another plan ({chosen} do)")
    if judged < chosen:
        reasons.append(f"{chosen - judged} are of test files with a case that fails without a mutant")
    return "; ".join(reasons)


def _tasks(mutants: Sequence[Mutant]) -> list[Task]:
    """Returns a task for each file; the mutants of a single file are divided."""
    files = dict.fromkeys(one.file for one in mutants)
    of_file = {file: [(i, one.change) for i, one in enumerate(mutants) if one.file == file] for file in files}
    if len(of_file) == 1:
        ((file, own),) = of_file.items()
        parts = [own[start::PROCESSES] for start in range(PROCESSES)]
        return [Task(file, part) for part in parts if part]
    return [Task(file, own) for file, own in sorted(of_file.items(), key=lambda item: -len(item[1]))]


class _Judges:
    """The processes, each with a thread that passes tasks on."""

    def __init__(self, mutants: Sequence[Mutant], assignment: Assignment, listen: Listener) -> None:
        self._mutants = mutants
        self._assignment = assignment
        self._listen = listen
        self.found: dict[int, Judgement] = {}
        self.broken: list[BrokenCase] = []
        self._errors: list[E2IError] = []

    def run(self, tasks: Sequence[Task]) -> None:
        """Judges all. Raises JudgeLost when a process ends early."""
        queue: SimpleQueue[Task] = SimpleQueue()
        for task in tasks:
            queue.put(task)
        threads = [threading.Thread(target=self._work, args=(queue,)) for _ in range(min(PROCESSES, len(tasks)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _work(self, queue: SimpleQueue[Task]) -> None:
        command = launch.command("e2i.testing.mutation.process")
        environ = {**os.environ, **launch.SAFE}
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ) as process:
            assert process.stdin is not None and process.stdout is not None
            try:
                process.stdin.write(msgspec.json.encode(self._assignment) + b"\n")
                while not self._errors:
                    task = queue.get_nowait()
                    process.stdin.write(msgspec.json.encode(task) + b"\n")
                    process.stdin.flush()
                    self._take(process.stdout.readline, task)
            except Empty:
                pass
            except (BrokenPipeError, msgspec.DecodeError):
                message = "a process that judges mutants has ended early; its messages are above"
                self._errors.append(JudgeLost(message, code="worker-lost"))
            process.stdin.close()

    def _take(self, read: Callable[[], bytes], task: Task) -> None:
        """Takes the answers to a task. Raises DecodeError when they end early."""
        while (answer := msgspec.json.decode(read(), type=Answer)).number is not None:
            assert answer.judgement is not None
            self.found[answer.number] = answer.judgement
            self._listen(self._mutants[answer.number], answer.judgement)
        for one in answer.broken:
            if one not in self.broken:
                self.broken.append(one)


def _document(mutant: Mutant, judgement: Judgement) -> JudgedMutant:
    change = mutant.change
    return JudgedMutant(
        spec=mutant.spec,
        line=mutant.line,
        column=mutant.column,
        path=pointer(change.path),
        kind=change.kind,
        name=change.name,
        before=change.before,
        after=change.after,
        dropped=change.drop,
        killed_by=judgement.killed_by,
        advice=judgement.advice,
    )

"""Run a search and store it as an Optuna study. In: a search. Out: a study with exactly the requested trials.

The storage is a relational database, both embedded (a SQLite file that Optuna's command line and dashboard can open)
and in production. Only finished trials are written, so a killed search leaves no running trials.
"""

from __future__ import annotations

import asyncio
import copy
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, ClassVar

from e2i.errors import StepError
from e2i.resilience.guard import Guard
from e2i.tools.optuna import OptunaSettings, search
from e2i.tools.optuna.mirror import Mirror
from e2i.tools.optuna.storage import StudyStorage
from e2i.tools.optuna.turns import ServerTurn, Turn

POLL_SECONDS = 0.2


class GuardedOptuna:
    """Studies in Optuna's storage."""

    tool: ClassVar[str] = "optuna"

    def __init__(self, settings: OptunaSettings, guard: Guard, home: Path) -> None:
        self._storage = StudyStorage(settings, home)
        self._guard = guard
        self._home = home
        self._turns: dict[str, Turn] = {}
        """The studies that this client holds the lock of."""

    async def optimize(
        self,
        name: str,
        objective: search.Objective,
        plan: search.Plan,
        *,
        timeout: float | None = None,
        progress: Callable[[int], None] = lambda done: None,
    ) -> list[Any]:
        """Extend the study ``name`` to ``plan.trials`` trials and return them (optuna FrozenTrial), in order.

        A finished study is returned unchanged. After ``timeout`` seconds no new trial starts. ``progress`` receives the
        number of finished trials. Raises ToolUnavailable when the storage fails; trials recorded by then are kept.
        """
        ends = None if timeout is None else time.monotonic() + timeout
        async with self.alone_with(name):
            recorded = await self.open_study(name, plan.direction)
            done = len(recorded)
            progress(done)

            async def record(trials: Sequence[Any]) -> None:
                nonlocal done
                await self.add_trials(name, trials)
                done += len(trials)
                progress(done)

            return await search.run(
                plan,
                objective,
                recorded,
                record,
                lambda: ends is not None and time.monotonic() >= ends,
                threads=len(os.sched_getaffinity(0)),
            )

    async def open_study(self, name: str, direction: str) -> list[Any]:
        """Return the finished trials of the study, in order; create the study if there is none.

        Requires the lock of the study. A running trial was left by a process that has exited; it is marked as failed
        and does not count. Trials that the storage has lost are restored.
        """
        return await self._guard.acall(self._open_study, name, direction)

    async def add_trials(self, name: str, trials: Sequence[Any], *, mirrored: bool = True) -> None:
        """Add finished trials to a study; also to its copy in the store, when it is ``mirrored`` there."""
        await self._guard.acall(self._add_trials, name, trials, mirrored)

    async def claim_study(
        self, name: str, direction: str, about: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the finished trials of a study that a program named, and what it was begun with; create it if needed.

        Requires the lock of the study. ``about`` describes the search, and is kept in a new study. Running trials may
        be those of other clients of Optuna; they are left alone and do not count. The storage is the only copy. Raises
        StepError when the study has another direction.
        """
        return await self._guard.acall(self._claim_study, name, direction, about)

    async def count_trials(self, name: str) -> int:
        """Return the number of finished trials of the study in the storage; 0 when there is no such study."""
        return len(await self.finished_trials(name))

    async def finished_trials(self, name: str) -> list[Any]:
        """Return the finished trials of the study in the storage, in order; none when there is no such study."""
        return await self._guard.acall(self._finished_trials, name, idempotent=True)

    @asynccontextmanager
    async def alone_with(self, name: str, expired: Callable[[], bool] = lambda: False) -> AsyncIterator[bool]:
        """Wait for the lock of the study, so that no trial is run twice. False: ``expired`` before it was free.

        The lock excludes other processes of this store, or of this file, and other stores on the same PostgreSQL.
        """
        with closing(self._storage.file_turn(name)) as turn:
            if not await _taken(lambda: asyncio.to_thread(turn.take), expired):
                yield False
                return
            if self._storage.server is None:
                yield True
                return
            with closing(self._storage.server_turn(f"study/{name}")) as turn_of_all:
                if not await _taken(lambda: self._guard.acall(self._take, turn_of_all), expired):
                    yield False
                    return
                self._turns[name] = turn_of_all
                try:
                    yield True
                finally:
                    del self._turns[name]

    def _finished_trials(self, name: str) -> list[Any]:
        import optuna

        with self._storage.explained():
            try:
                study = optuna.load_study(study_name=name, storage=self._storage.optuna())
            except KeyError:
                return []
            return _finished(study)

    def _open_study(self, name: str, direction: str) -> list[Any]:
        import optuna
        from optuna.trial import TrialState

        with self._storage.explained():
            study = optuna.create_study(
                study_name=name, storage=self._storage.optuna(), direction=direction, load_if_exists=True
            )
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING)):
                study.tell(trial.number, state=TrialState.FAIL)
            found = _finished(study)
            mirror = self._mirror(name)
            kept = mirror.trials()
            if len(kept) < len(found):  # written by an earlier version, or by another store
                mirror.add(found[len(kept) :])
            elif lost := kept[len(found) :]:
                print(f"{len(lost)} trials lost from the study storage are restored", file=sys.stderr)
                study.add_trials(lost)
                found = _finished(study)
            return [_numbered(number, trial) for number, trial in enumerate(found)]

    def _claim_study(self, name: str, direction: str, about: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        import optuna

        with self._storage.explained():
            study = optuna.create_study(
                study_name=name, storage=self._storage.optuna(), direction=direction, load_if_exists=True
            )
            directions = [found.name.lower() for found in study.directions]
            if directions != [direction]:
                raise StepError(
                    f"the study {name!r} exists and is to {' and '.join(directions)}, not to {direction}",
                    code="study-changed",
                    hint="set `study_name` to a new name, or None for a new study",
                )
            known = study.user_attrs
            for key, value in about.items():
                if key not in known:
                    study.set_user_attr(key, value)
            begun = {key: known.get(key, value) for key, value in about.items()}
            return [_numbered(number, trial) for number, trial in enumerate(_finished(study))], begun

    def _add_trials(self, name: str, trials: Sequence[Any], mirrored: bool) -> None:
        import optuna

        with self._storage.explained():
            if name in self._turns:
                self._turns[name].check()
            if mirrored:
                self._mirror(name).add(trials)
            study = optuna.load_study(study_name=name, storage=self._storage.optuna())
            study.add_trials(trials)

    def _mirror(self, name: str) -> Mirror:
        return Mirror(self._home / "trials" / f"{name}.jsonl")

    def _take(self, turn: ServerTurn) -> bool:
        with self._storage.explained():
            return turn.take()


async def _taken(take: Callable[[], Any], expired: Callable[[], bool]) -> bool:
    """Try until the lock is taken; return False once ``expired``."""
    while not await take():
        if expired():
            return False
        await asyncio.sleep(POLL_SECONDS)
    return True


def _finished(study: Any) -> list[Any]:
    """Return the trials that count: ended, and not left by a process that was killed."""
    return [trial for trial in study.trials if trial.state.is_finished() and not _was_left(trial)]


def _was_left(trial: Any) -> bool:
    """Return True for a trial whose process was killed; a trial that failed by itself has a reason."""
    return trial.state.name == "FAIL" and "reason" not in trial.user_attrs


def _numbered(number: int, trial: Any) -> Any:
    """Return the trial by its number in the search, which differs from the study's after an unfinished trial."""
    if trial.number != number:
        trial = copy.copy(trial)
        trial.number = number
    return trial

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
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing, suppress
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from e2i.errors import StepError, ToolUnavailable
from e2i.resilience.guard import Guard
from e2i.tools.optuna import OptunaSettings, search
from e2i.tools.optuna.mirror import Mirror
from e2i.tools.optuna.sharing import NUMBER, Together, numbered
from e2i.tools.optuna.storage import StudyStorage
from e2i.tools.optuna.turns import ServerTurn, Turn

T = TypeVar("T")
POLL_SECONDS = 0.2
KNOWN = "e2i.known"
"""Attribute of a study: how many trials of each other study its sampler knew from the start."""


class GuardedOptuna:
    """Studies in Optuna's storage."""

    tool: ClassVar[str] = "optuna"

    def __init__(self, settings: OptunaSettings, guard: Guard, home: Path) -> None:
        self._storage = StudyStorage(settings, home)
        self._guard = guard
        self._home = home
        self._turns: list[tuple[str, Turn]] = []
        """The studies that this client holds the lock of, with the locks."""

    async def optimize(
        self,
        name: str,
        objective: search.Objective,
        plan: search.Plan,
        *,
        timeout: float | None = None,
        progress: Callable[[int], None] = lambda done: None,
        about: Mapping[str, Any] | None = None,
        known: Mapping[str, Sequence[Any]] | None = None,
    ) -> list[Any]:
        """Extend the study ``name`` to ``plan.trials`` trials and return them (optuna FrozenTrial), in order.

        A finished study is returned unchanged. After ``timeout`` seconds no new trial starts. ``progress`` receives the
        number of finished trials. ``about`` is kept in a new study. ``known`` are trials of other studies for the
        sampler; a resumed search knows those that it began with. Raises ToolUnavailable when the storage fails; trials
        recorded by then are kept.
        """
        ends = None if timeout is None else time.monotonic() + timeout
        threads = len(os.sched_getaffinity(0))
        async with self.alone_with(name, shared=self.is_shared) as turn:
            counts = {other: len(trials) for other, trials in (known or {}).items()}
            recorded, begun = await self.open_study(name, plan.directions, {**(about or {}), KNOWN: counts})
            others = [
                trial for other, trials in (known or {}).items() for trial in trials[: begun[KNOWN].get(other, 0)]
            ]
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
                threads=threads,
                known=others,
                sharing=self.together(name, turn, record, threads),
            )

    @property
    def is_shared(self) -> bool:
        """True when processes evaluate the trials of one search together: their locks are those of a server."""
        return self._storage.server is not None

    def together(
        self, name: str, turn: Turn | None, record: Callable[[Sequence[Any]], Awaitable[None]], threads: int
    ) -> Together | None:
        """Return the trials of a study that several processes evaluate; None where they do not, in a file.

        ``turn`` is the shared lock of the study, which is held.
        """
        if not isinstance(turn, ServerTurn):
            return None

        async def claim(number: int) -> bool:
            return await self._guard.acall(self._explained, turn.take_part, number)

        async def release(number: int) -> None:
            with suppress(ToolUnavailable):  # a session that is lost holds no lock
                await self._guard.acall(self._explained, turn.release_part, number)

        async def finished() -> list[Any]:
            return [_renumbered(*found) for found in numbered(await self.finished_trials(name))]

        async def record_one(trial: Any) -> None:
            await record([trial])

        return Together(claim, release, finished, record_one, threads)

    async def open_study(
        self, name: str, directions: Sequence[str], about: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the finished trials of the study, in order, and what it was begun with; create it if needed.

        Requires the lock of the study. A running trial was left by a process that has exited; it is marked as failed
        and does not count. Trials that the storage has lost are restored.
        """
        return await self._guard.acall(self._open_study, name, directions, about)

    async def add_trials(self, name: str, trials: Sequence[Any], *, mirrored: bool = True) -> None:
        """Add finished trials to a study; also to its copy in the store, when it is ``mirrored`` there."""
        await self._guard.acall(self._add_trials, name, trials, mirrored)

    async def claim_study(
        self, name: str, directions: Sequence[str], about: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the finished trials of a study that a program named, and what it was begun with; create it if needed.

        Requires the lock of the study. ``about`` describes the search, and is kept in a new study. Running trials may
        be those of other clients of Optuna; they are left alone and do not count. The storage is the only copy. Raises
        StepError when the study has another direction.
        """
        return await self._guard.acall(self._claim_study, name, directions, about)

    async def count_trials(self, name: str) -> int:
        """Return the number of finished trials of the study in the storage; 0 when there is no such study."""
        return len(await self.finished_trials(name))

    async def finished_trials(self, name: str) -> list[Any]:
        """Return the finished trials of the study in the storage, in order; none when there is no such study."""
        return await self._guard.acall(self._finished_trials, name, idempotent=True)

    async def trials_of(self, name: str, metric: str, directions: Sequence[str]) -> list[Any]:
        """Return the finished trials of another study, for a search by ``metric`` to know.

        Raises StepError when there is no such study, or when it is of another metric or direction.
        """
        return await self._guard.acall(self._trials_of, name, metric, directions, idempotent=True)

    @asynccontextmanager
    async def alone_with(
        self, name: str, expired: Callable[[], bool] = lambda: False, *, shared: bool = False
    ) -> AsyncIterator[Turn | None]:
        """Wait for the lock of the study, so that no trial is run twice. None: ``expired`` before it was free.

        The lock excludes other processes of this store, or of this file, and other stores on the same PostgreSQL.
        A ``shared`` one excludes only those that are not.
        """
        with closing(self._storage.file_turn(name, shared=shared)) as turn:
            if not await _taken(lambda: asyncio.to_thread(turn.take), expired):
                yield None
                return
            if self._storage.server is None:
                yield turn
                return
            with closing(self._storage.server_turn(f"study/{name}", shared=shared)) as turn_of_all:
                if not await _taken(lambda: self._guard.acall(self._explained, turn_of_all.take), expired):
                    yield None
                    return
                held = (name, turn_of_all)
                self._turns.append(held)
                try:
                    yield turn_of_all
                finally:
                    self._turns.remove(held)

    def _finished_trials(self, name: str) -> list[Any]:
        import optuna

        with self._storage.explained():
            try:
                study = optuna.load_study(study_name=name, storage=self._storage.optuna())
            except KeyError:
                return []
            return _finished(study)

    def _trials_of(self, name: str, metric: str, directions: Sequence[str]) -> list[Any]:
        import optuna

        with self._storage.explained():
            try:
                study = optuna.load_study(study_name=name, storage=self._storage.optuna())
            except KeyError:
                raise StepError(
                    f"the study storage has no study {name!r}, so its trials cannot be known",
                    code="no-such-study",
                    hint="check `warm_start`; it takes names of studies in this storage",
                ) from None
            begun_to = [found.name.lower() for found in study.directions]
            other = study.user_attrs.get("e2i.metric", metric)
            if other != metric or begun_to != list(directions):
                raise StepError(
                    f"the study {name!r} is to {' and '.join(begun_to)} {other}, this search is to "
                    f"{' and '.join(directions)} {metric}, so their values cannot be compared",
                    code="other-study",
                    hint="leave it out of `warm_start`, or search by the same metric",
                )
            return _finished(study)

    def _open_study(
        self, name: str, directions: Sequence[str], about: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        import optuna
        from optuna.trial import TrialState

        with self._storage.explained(), self._storage.opening(name):
            study = optuna.create_study(
                study_name=name, storage=self._storage.optuna(), directions=directions, load_if_exists=True
            )
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING)):
                study.tell(trial.number, state=TrialState.FAIL)
            found = dict(numbered(_finished(study)))
            mirror = self._mirror(name)
            kept = {trial.number: trial for trial in mirror.trials()}
            if unkept := [_renumbered(number, trial) for number, trial in found.items() if number not in kept]:
                mirror.add(unkept)  # written by an earlier version, or by another store
            if lost := [trial for number, trial in kept.items() if number not in found]:
                print(f"{len(lost)} trials lost from the study storage are restored", file=sys.stderr)
                study.add_trials(self._stored(lost))
            every = {**kept, **found}
            return [_renumbered(number, every[number]) for number in sorted(every)], _begun(study, about)

    def _claim_study(
        self, name: str, directions: Sequence[str], about: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        import optuna

        with self._storage.explained(), self._storage.opening(name):
            study = optuna.create_study(
                study_name=name, storage=self._storage.optuna(), directions=directions, load_if_exists=True
            )
            begun_to = [found.name.lower() for found in study.directions]
            if begun_to != list(directions):
                raise StepError(
                    f"the study {name!r} exists and is to {' and '.join(begun_to)}, not to {' and '.join(directions)}",
                    code="study-changed",
                    hint="set `study_name` to a new name, or None for a new study",
                )
            begun = _begun(study, about)
            return [_renumbered(*found) for found in sorted(numbered(_finished(study)), key=itemgetter(0))], begun

    def _add_trials(self, name: str, trials: Sequence[Any], mirrored: bool) -> None:
        import optuna

        with self._storage.explained():
            for held, turn in self._turns:
                if held == name:
                    turn.check()
            if mirrored:
                self._mirror(name).add(trials)
            study = optuna.load_study(study_name=name, storage=self._storage.optuna())
            study.add_trials(self._stored(trials))

    def _stored(self, trials: Sequence[Any]) -> list[Any]:
        """Return the trials as they are stored. On a server, where they may be out of order, with their numbers."""
        return [_with_number(trial) for trial in trials] if self.is_shared else list(trials)

    def _mirror(self, name: str) -> Mirror:
        return Mirror(self._home / "trials" / f"{name}.jsonl")

    def _explained(self, work: Callable[..., T], *arguments: Any) -> T:
        with self._storage.explained():
            return work(*arguments)


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


def _begun(study: Any, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the study was begun with; ``about`` is kept where it has nothing yet."""
    known = study.user_attrs
    for key, value in about.items():
        if key not in known:
            study.set_user_attr(key, value)
    return {key: known.get(key, value) for key, value in about.items()}


def _was_left(trial: Any) -> bool:
    """Return True for a trial whose process was killed; a trial that failed by itself has a reason."""
    return trial.state.name == "FAIL" and "reason" not in trial.user_attrs


def _with_number(trial: Any) -> Any:
    trial = copy.copy(trial)
    trial.user_attrs = {**trial.user_attrs, NUMBER: trial.number}
    return trial


def _renumbered(number: int, trial: Any) -> Any:
    """Return the trial by its number in the search, which differs from the study's after an unfinished trial."""
    if trial.number != number:
        trial = copy.copy(trial)
        trial.number = number
    return trial

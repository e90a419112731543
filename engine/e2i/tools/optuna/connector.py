"""Run a search and store it as an Optuna study. In: a search. Out: a study with exactly the requested trials.

The storage is a relational database, both embedded (a SQLite file that Optuna's command line and dashboard can open)
and in production. Only finished trials are written, so a killed search leaves no running trials.
"""

from __future__ import annotations

import asyncio
import copy
import fcntl
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from e2i.errors import ToolUnavailable
from e2i.resilience.guard import Guard
from e2i.resilience.postgres import engine_options
from e2i.tools.optuna import FILE, Settings, search
from e2i.tools.optuna.mirror import Mirror
from e2i.tools.optuna.turns import CONNECTING, FileTurn, ServerTurn, Turn, with_driver

POLL_SECONDS = 0.2


class OptunaTuner:
    """Studies in Optuna's storage."""

    tool: ClassVar[str] = "optuna"

    def __init__(self, settings: Settings, guard: Guard, home: Path) -> None:
        self._settings = settings
        self._guard = guard
        self._home = home
        self._opened: tuple[Any, int | None] | None = None
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
        async with self._alone_with(name):
            recorded = await self.open_study(name, plan.direction)
            done = len(recorded)
            progress(done)

            async def record(trials: list[Any]) -> None:
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

    async def add_trials(self, name: str, trials: list[Any]) -> None:
        """Add finished trials to a study."""
        await self._guard.acall(self._add_trials, name, trials)

    async def count_trials(self, name: str) -> int:
        """Return the number of finished trials of the study in the storage; 0 when there is no such study."""
        return await self._guard.acall(self._count_trials, name, idempotent=True)

    def _count_trials(self, name: str) -> int:
        import optuna

        with self._explained():
            try:
                study = optuna.load_study(study_name=name, storage=self._storage())
            except KeyError:
                return 0
            trials = study.get_trials(deepcopy=False)
            return len([trial for trial in trials if trial.state.is_finished() and not _was_left(trial)])

    def _open_study(self, name: str, direction: str) -> list[Any]:
        import optuna
        from optuna.trial import TrialState

        with self._explained():
            study = optuna.create_study(
                study_name=name, storage=self._storage(), direction=direction, load_if_exists=True
            )
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING)):
                study.tell(trial.number, state=TrialState.FAIL)
            found = [trial for trial in study.trials if not _was_left(trial)]
            mirror = self._mirror(name)
            kept = mirror.trials()
            if len(kept) < len(found):  # written by an earlier version, or by another store
                mirror.add(found[len(kept) :])
            elif lost := kept[len(found) :]:
                print(f"{len(lost)} trials lost from the study storage are restored", file=sys.stderr)
                study.add_trials(lost)
                found = [trial for trial in study.trials if not _was_left(trial)]
            return [_numbered(number, trial) for number, trial in enumerate(found)]

    def _add_trials(self, name: str, trials: list[Any]) -> None:
        import optuna

        with self._explained():
            if name in self._turns:
                self._turns[name].check()
            self._mirror(name).add(trials)
            study = optuna.load_study(study_name=name, storage=self._storage())
            study.add_trials(trials)

    def _mirror(self, name: str) -> Mirror:
        return Mirror(self._home / "trials" / f"{name}.jsonl")

    def _storage(self) -> Any:
        """Return the storage, opened once. Raises ToolUnavailable when its file was removed or replaced since."""
        if self._opened is None:
            self._opened = self._open()
        storage, opened_inode = self._opened
        if opened_inode != self._inode():
            self._opened = None
            raise ToolUnavailable(
                self.tool,
                f"the study storage {FILE} was removed or replaced while it was in use",
                code="storage-lost",
                hint="run again: the trials are restored and the search resumes; do not clean the store meanwhile",
            )
        return storage

    def _open(self) -> tuple[Any, int | None]:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        if (url := self._server()) is not None:
            seconds = self._settings.deadline
            about: dict[str, Any] = {"pool_pre_ping": True, **engine_options(url, min(CONNECTING, seconds), seconds)}
            with closing(self._server_turn(url, "tables")) as turn:  # two stores must not create the tables at once
                turn.wait()
                return optuna.storages.RDBStorage(url, engine_kwargs=about), None
        with _locked(self._home / "studies.lock"):  # nor two processes
            about = {"connect_args": {"timeout": self._settings.busy}}
            storage = optuna.storages.RDBStorage(f"sqlite:///{self._home / FILE}", engine_kwargs=about)
        return storage, self._inode()

    def _server(self) -> str | None:
        """Return the address of the database server, with its driver; None: studies are in a file of the store."""
        if self._settings.storage is None:
            return None
        return with_driver(self._settings.storage.get_secret_value())

    def _server_turn(self, url: str, name: str) -> ServerTurn:
        try:
            return ServerTurn(url, name, self._settings.deadline)
        except ImportError as error:
            raise ToolUnavailable(
                self.tool,
                "the driver of the study storage's database is not installed",
                code="tool-missing",
                hint='pip install "e2i[servers]"',
            ) from error

    def _inode(self) -> int | None:
        if self._settings.storage is not None:
            return None
        path = self._home / FILE
        return path.stat().st_ino if path.exists() else -1

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Convert Optuna's errors: it reports a locked or dead database as invalid data."""
        import optuna
        import sqlalchemy.exc

        try:
            yield
        except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.DBAPIError) as error:
            cause: BaseException = error
            while cause.__cause__ is not None:
                cause = cause.__cause__
            text = str(cause).strip().splitlines()
            raise ToolUnavailable(
                self.tool,
                f"the study storage cannot be used: {type(cause).__name__}: {text[0][:200] if text else ''}",
                code="storage-unavailable",
                hint=f"check that the database is running, or that no process has locked {FILE}; recorded "
                "trials are kept",
            ) from error

    @asynccontextmanager
    async def _alone_with(self, name: str) -> AsyncIterator[None]:
        """Wait for the lock of the study, so that no trial is run twice.

        The lock excludes other processes of this store, and other stores on the same server.
        """
        with closing(FileTurn(self._home / "locks", name)) as turn:
            while not turn.take():
                await asyncio.sleep(POLL_SECONDS)
            if (url := self._server()) is None:
                yield
                return
            with closing(self._server_turn(url, f"study/{name}")) as turn_of_all:
                while not await self._guard.acall(self._take, turn_of_all):
                    await asyncio.sleep(POLL_SECONDS)
                self._turns[name] = turn_of_all
                try:
                    yield
                finally:
                    del self._turns[name]

    def _take(self, turn: ServerTurn) -> bool:
        with self._explained():
            return turn.take()


def _was_left(trial: Any) -> bool:
    """Return True for a trial whose process was killed; a trial that failed by itself has a reason."""
    return trial.state.name == "FAIL" and "reason" not in trial.user_attrs


def _numbered(number: int, trial: Any) -> Any:
    """Return the trial by its number in the search, which differs from the study's after an unfinished trial."""
    if trial.number != number:
        trial = copy.copy(trial)
        trial.number = number
    return trial


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

"""GuardedOptuna with its storage locked, removed or dead."""

from __future__ import annotations

import asyncio
import sqlite3
from importlib.util import find_spec
from pathlib import Path

import optuna
import pytest

from e2i.errors import ToolUnavailable
from e2i.resilience.breaker import Breaker
from e2i.resilience.guard import Guard
from e2i.tools.optuna import TOOL, OptunaSettings, search
from e2i.tools.optuna.connector import GuardedOptuna

PLAN = search.Plan(space={}, trials=3, directions=("maximize",))


def tuner(home: Path, settings: OptunaSettings | None = None) -> GuardedOptuna:
    return GuardedOptuna(
        settings or OptunaSettings(busy=0.2), Guard("optuna", Breaker("optuna"), outages=TOOL.outages), home
    )


def test_a_locked_storage_says_that_it_is_locked(tmp_path: Path) -> None:
    connector = tuner(tmp_path)
    asyncio.run(connector.open_study("s", ["maximize"], {}))
    holder = sqlite3.connect(tmp_path / "studies.db", isolation_level=None)
    holder.execute("begin exclusive")
    with pytest.raises(ToolUnavailable, match="database is locked"):
        asyncio.run(connector.add_trials("s", [optuna.trial.create_trial(value=1.0)]))
    holder.close()
    assert [trial.value for trial in asyncio.run(connector.open_study("s", ["maximize"], {}))[0]] == [1.0]


def test_a_storage_removed_in_mid_study_is_noticed(tmp_path: Path) -> None:
    connector = tuner(tmp_path)

    def objective(trial: optuna.Trial) -> float:
        if trial.number == 1:
            (tmp_path / "studies.db").unlink()
        return 0.5

    with pytest.raises(ToolUnavailable, match=r"studies\.db was removed or replaced while it was in use"):
        asyncio.run(connector.optimize("s", objective, PLAN))
    asked: list[int] = []
    trials = asyncio.run(connector.optimize("s", lambda trial: asked.append(trial.number) or 0.7, PLAN))
    assert ([trial.value for trial in trials], asked) == ([0.5, 0.5, 0.7], [2])
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'studies.db'}")
    assert [trial.value for trial in study.trials] == [0.5, 0.5, 0.7]


def test_a_storage_removed_between_two_searches_is_given_its_trials_again(tmp_path: Path) -> None:
    before = asyncio.run(tuner(tmp_path).optimize("s", lambda trial: 0.5, PLAN))
    (tmp_path / "studies.db").unlink()
    after = asyncio.run(tuner(tmp_path).optimize("s", lambda trial: 0.1, PLAN))
    assert [(t.number, t.value, t.datetime_start) for t in after] == [
        (t.number, t.value, t.datetime_start) for t in before
    ]


def test_a_half_written_trial_does_not_count(tmp_path: Path) -> None:
    asyncio.run(tuner(tmp_path).optimize("s", lambda trial: 0.5, PLAN))
    (mirror,) = (tmp_path / "trials").iterdir()
    mirror.write_bytes(mirror.read_bytes()[:-9])
    (tmp_path / "studies.db").unlink()
    assert [t.value for t in asyncio.run(tuner(tmp_path).optimize("s", lambda t: 0.1, PLAN))] == [0.5, 0.5, 0.1]
    assert mirror.read_bytes().count(b"\n") == 3


def test_a_dead_server_is_unavailable(tmp_path: Path) -> None:
    settings = OptunaSettings.model_validate({"study_storage": "postgresql://e2i:secret@127.0.0.1:1/studies"})
    with pytest.raises(ToolUnavailable, match=r"(?i)connection") as caught:
        asyncio.run(tuner(tmp_path, settings).open_study("s", ["maximize"], {}))
    assert "secret" not in str(caught.value)


def test_a_missing_driver_is_named(tmp_path: Path) -> None:
    settings = OptunaSettings.model_validate({"study_storage": "postgresql+psycopg2://127.0.0.1:1/studies"})
    if find_spec("psycopg2"):
        pytest.skip("psycopg2 is installed")
    with pytest.raises(ToolUnavailable, match="driver") as caught:
        asyncio.run(tuner(tmp_path, settings).open_study("s", ["maximize"], {}))
    assert caught.value.code == "tool-missing"


def test_an_address_that_is_no_database_is_refused() -> None:
    with pytest.raises(ValueError, match="storage"):
        OptunaSettings.model_validate({"study_storage": "redis://host"})


def test_no_batch_is_begun_after_the_timeout(tmp_path: Path) -> None:
    assert asyncio.run(tuner(tmp_path).optimize("s", lambda trial: 0.5, PLAN, timeout=1e-9)) == []


def test_two_searches_of_one_study_make_no_trial_twice(tmp_path: Path) -> None:
    async def both() -> list[list[optuna.trial.FrozenTrial]]:
        objective = lambda trial: 0.5  # noqa: E731
        return await asyncio.gather(*(tuner(tmp_path).optimize("s", objective, PLAN) for _ in range(2)))

    first, second = asyncio.run(both())
    assert [trial.datetime_start for trial in first] == [trial.datetime_start for trial in second]
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'studies.db'}")
    assert len(study.trials) == 3

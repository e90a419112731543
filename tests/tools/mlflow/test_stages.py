"""The five stages against a model of them: random moves, some interrupted and repeated, on MLflow's own registry."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from e2i.errors import StepError
from e2i.tools.mlflow import EXCLUSIVE_STAGES, FIRST_STAGE, STAGE_TAG, MLflowSettings
from e2i.tools.mlflow.registry import set_stage, version_in_stage
from e2i.tools.mlflow.tracking import Tracking, open_tracking

pytest.importorskip("mlflow")
NAME = "hcp"
STAGES = ("development", "staging", "shadow", "production", "archived")
WRITES = ("set_model_version_tag", "set_registered_model_alias", "delete_registered_model_alias")
MOST = 12
"""Versions, so that few of them compete for each stage."""


class Model:
    """What the stages of one registered model are said to be."""

    def __init__(self) -> None:
        self.stages: dict[int, str] = {}
        self.latest: int | None = None
        """The version that was moved to development last, while it is there."""

    def register(self) -> int:
        number = len(self.stages) + 1
        self.stages[number] = "development"
        return number

    def move(self, version: int, stage: str, archive_existing: bool) -> int | None:
        """The version that is replaced, if there is one."""
        held = [number for number, at in self.stages.items() if at == stage and number != version]
        previous = held[0] if held and stage in EXCLUSIVE_STAGES else None
        if previous is not None:
            self.stages[previous] = "archived" if archive_existing else "development"
        if stage == "development":
            self.latest = version
        elif self.latest == version:
            self.latest = None
        self.stages[version] = stage
        return previous

    @property
    def aliases(self) -> dict[str, int]:
        held = {at: number for number, at in self.stages.items() if at in EXCLUSIVE_STAGES}
        return held if self.latest is None else {**held, FIRST_STAGE: self.latest}


class Interrupted:
    """A client whose connection is lost before one of its writes."""

    def __init__(self, client: Any, before: int) -> None:
        self._client = client
        self._left = before

    def __getattr__(self, name: str) -> Any:
        if name in WRITES:
            self._left -= 1
            if self._left < 0:
                raise ConnectionError("interrupted")
        return getattr(self._client, name)


def registry(tracking: Tracking) -> tuple[dict[int, str], dict[str, int]]:
    """The stage of each version, and the version of each alias."""
    versions = tracking.client.search_model_versions(f"name = '{NAME}'", max_results=100)
    aliases = tracking.client.get_registered_model(NAME).aliases
    stages = {int(version.version): version.tags[STAGE_TAG] for version in versions}
    return stages, {alias: int(number) for alias, number in aliases.items()}


def moved(tracking: Tracking, seed: int, moves: int) -> None:
    """Register versions and move them at random; after each move the registry is as the model says."""
    chance, model = random.Random(seed), Model()
    client = tracking.client
    client.create_registered_model(NAME)
    for number in range(moves):
        if not model.stages or (len(model.stages) < MOST and chance.random() < 0.2):
            source = str(tracking.home / "artifacts" / "none")
            client.create_model_version(NAME, source=source, tags={STAGE_TAG: FIRST_STAGE})
            model.register()
            continue
        version, stage = chance.randint(1, len(model.stages)), chance.choice(STAGES)
        archive_existing = chance.random() < 0.5
        key = f"move {number}" if chance.random() < 0.7 else ""
        about: dict[str, Any] = {"archive_existing": archive_existing, "key": key}
        was_interrupted = chance.random() < 0.3
        if was_interrupted:
            lost = replace(tracking, client=Interrupted(client, chance.randrange(5)))
            with suppress(ConnectionError):
                set_stage(lost, NAME, version, stage, **about)
        replaced = set_stage(tracking, NAME, version, stage, **about)
        expected = model.move(version, stage, archive_existing)
        assert registry(tracking) == (model.stages, model.aliases), (seed, number)
        if key or not was_interrupted:
            assert replaced == expected, (seed, number)
        if key and chance.random() < 0.2:
            assert set_stage(tracking, NAME, version, stage, **about) == expected, (seed, number)
            assert registry(tracking) == (model.stages, model.aliases), (seed, number)
    assert all(list(model.stages.values()).count(stage) <= 1 for stage in EXCLUSIVE_STAGES)


@pytest.fixture
def tracking(tmp_path: Path) -> Tracking:
    return open_tracking(MLflowSettings(), tmp_path / "mlflow")


def test_random_moves_leave_each_version_in_the_stage_that_a_model_of_the_stages_says(tracking: Tracking) -> None:
    moved(tracking, seed=0, moves=30)
    before = registry(tracking)
    with pytest.raises(StepError, match="has no version 99"):
        set_stage(tracking, NAME, 99, "staging")
    assert registry(tracking) == before
    latest = version_in_stage(tracking, NAME, "development")
    in_development = [number for number, stage in before[0].items() if stage == "development"]
    assert latest is None if not in_development else int(latest.version) in in_development


@pytest.mark.sweep
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("seed", range(1, 11))
def test_ten_thousand_random_moves(tracking: Tracking, seed: int) -> None:
    moved(tracking, seed, moves=1_000)

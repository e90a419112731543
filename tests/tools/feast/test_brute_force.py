"""Training joins equal a plain loop on random histories: zones, ties, ttl edges, late rows, duplicate keys, nulls.

With and without the cutoff by ``created``: the store's own repository, and an existing one with Feast's file store.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from context import LocalContext
from e2i.settings import Settings
from e2i.tools.feast import HistoricalFeaturesParams, RepositoryParams, actions, sdk
from tools.feast.feast_case import apply, at, join, run

HOUR = pd.Timedelta("1h")
TTLS = {"never": None, "short": 2, "long": 24}
"""View of the existing repository → ttl in hours, a multiple of the grid of times: rows are exactly that old."""
ZONES = ("UTC", "America/New_York", "Asia/Kolkata", None)
COLUMNS = ["hcp_id", "event_timestamp", "created", "calls"]


def history(seed: int, *, unique: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Source rows and entity rows. ``unique``: no two source rows have one key and time.

    Of such rows Feast's file store keeps an arbitrary one: it sorts by ``created`` and then, not stably, by time.
    """
    r = np.random.default_rng(seed)
    keys = [f"k{number}" for number in range(r.integers(1, 5))]
    count, asked = int(r.integers(1, 40)), int(r.integers(1, 30))
    start = at("2024-03-09 20:00")  # across the change to summer time in New York
    times = start + pd.to_timedelta(r.integers(0, 40, count), unit="h")
    source = pd.DataFrame(
        {
            "hcp_id": r.choice(keys, count),
            "event_timestamp": times,
            "created": times + pd.to_timedelta(r.integers(0, 6, count), unit="h"),
            "calls": np.where(r.random(count) < 0.1, np.nan, r.integers(0, 1000, count)),
        }
    )
    if unique:
        source = source.drop_duplicates(["hcp_id", "event_timestamp"], ignore_index=True)
    rows = pd.DataFrame(
        {
            "hcp_id": r.choice([*keys, "nobody"], asked),
            "when": start + pd.to_timedelta(r.integers(-2, 70, asked), unit="h"),
        }
    )
    rows = pd.concat([rows, rows.sample(asked // 2, random_state=seed)], ignore_index=True)  # duplicate rows
    return _zoned(source, "event_timestamp", r), _zoned(rows, "when", r)


def _zoned(frame: pd.DataFrame, column: str, r: np.random.Generator) -> pd.DataFrame:
    zone = ZONES[r.integers(len(ZONES))]
    times = frame[column].dt.tz_convert(zone) if zone else frame[column].dt.tz_localize(None)
    return frame.assign(**{column: times})


def _utc(times: pd.Series[Any]) -> pd.Series[Any]:
    return times.dt.tz_localize("UTC") if times.dt.tz is None else times.dt.tz_convert("UTC")


def by_loop(source: pd.DataFrame, rows: pd.DataFrame, ttl: int | None, cutoff: bool) -> list[float | None]:
    """The definition: the newest row of the key (by time, created, position) that had happened, and was known, by
    then; nothing when it is older than the ttl.
    """
    happened, known = _utc(source["event_timestamp"]).tolist(), _utc(source["created"]).tolist()
    found: list[float | None] = []
    for key, when in zip(rows["hcp_id"], _utc(rows["when"]), strict=True):
        candidates = [
            (time, created, position)
            for position, (of, time, created) in enumerate(zip(source["hcp_id"], happened, known, strict=True))
            if of == key and time <= when and (not cutoff or created <= when)
        ]
        best = max(candidates, default=None)
        expired = best is not None and ttl is not None and when - best[0] > ttl * HOUR
        value = None if best is None or expired else source["calls"][best[2]]
        found.append(None if value is None or np.isnan(value) else float(value))
    return found


def values(frame: pd.DataFrame, column: str = "calls") -> list[float | None]:
    return [None if pd.isna(value) else float(value) for value in frame[column]]


def check_own(ctx: LocalContext, seed: int) -> None:
    source, rows = history(seed, unique=False)
    ttl = list(TTLS.values())[seed % 3]
    repo = apply(ctx, source, created="created", **({"ttl": f"{ttl}h"} if ttl else {}))
    for cutoff in (True, False):
        found = join(ctx, repo, rows, created_cutoff=cutoff)
        assert values(found) == by_loop(source, rows, ttl, cutoff), (seed, cutoff)
        assert found["hcp_id"].tolist() == rows["hcp_id"].tolist()


def check_existing(ctx: LocalContext, root: Path, seed: int) -> None:
    source, rows = history(seed, unique=True)
    write(root, source)
    repo = run(actions.repository(RepositoryParams(), ctx)).repo
    for cutoff in (True, False):
        params = HistoricalFeaturesParams(
            repo=repo,
            table=ctx.table(rows),
            timestamp="when",
            features=tuple(TTLS),
            created_cutoff=cutoff,
            full_feature_names=True,
        )
        found = ctx.frame(run(actions.historical_features(params, ctx)).table)
        for view, ttl in TTLS.items():
            assert values(found, f"{view}__calls") == by_loop(source, rows, ttl, cutoff), (seed, view, cutoff)


def write(root: Path, source: pd.DataFrame) -> None:
    times = {name: _utc(source[name]).dt.as_unit("us") for name in ("event_timestamp", "created")}
    source.assign(**times)[COLUMNS].to_parquet(root / "rows.parquet", index=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An existing repository with a view for each ttl over one file."""
    folder = tmp_path_factory.mktemp("existing")
    (folder / "feature_store.yaml").write_text(
        "project: theirs\nprovider: local\nregistry: registry.db\noffline_store: {type: file}\n"
        "online_store: {type: sqlite, path: online.db}\nentity_key_serialization_version: 3\n"
    )
    write(folder, history(0, unique=True)[0])
    entity = sdk.Entity(name="hcp", join_keys=["hcp_id"], value_type=sdk.ValueType.STRING)
    source = sdk.FileSource(
        name="rows", path="rows.parquet", timestamp_field="event_timestamp", created_timestamp_column="created"
    )
    schema = [sdk.Field(name="hcp_id", dtype=sdk.types.String), sdk.Field(name="calls", dtype=sdk.types.Float64)]
    views = [
        sdk.FeatureView(name=name, entities=[entity], ttl=timedelta(hours=ttl or 0), schema=schema, source=source)
        for name, ttl in TTLS.items()
    ]
    sdk.FeatureStore(repo_path=str(folder)).apply([entity, *views])
    return folder


@pytest.fixture
def existing(root: Path, tmp_path: Path) -> Iterator[LocalContext]:
    context = LocalContext(tmp_path, settings=Settings(tools={"feast": {"repo_path": str(root)}}))
    yield context
    context.close()


def test_a_sample_of_histories_is_joined_as_a_plain_loop_does(
    ctx: LocalContext, existing: LocalContext, root: Path
) -> None:
    for seed in range(6):
        check_own(ctx, seed)
    check_existing(existing, root, 0)


@pytest.mark.sweep
def test_a_hundred_histories_in_the_own_repository(ctx: LocalContext) -> None:
    for seed in range(100):
        check_own(ctx, seed)


@pytest.mark.sweep
def test_a_hundred_histories_in_an_existing_repository(existing: LocalContext, root: Path) -> None:
    for seed in range(100):
        check_existing(existing, root, seed)

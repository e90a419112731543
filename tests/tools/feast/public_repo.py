"""A Feast repository as one finds it in public: ``feature_store.yaml``, three views, and what is built on them."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd

from feast_client import FeatureStore
from tools.feast.feast_case import at

# isort: split
from feast import Entity, FeatureService
from feast.base_feature_view import BaseFeatureView

STORE = """\
project: rides
registry: data/registry.db
provider: local
online_store:
  type: sqlite
  path: data/online_store.db
offline_store:
  type: file
entity_key_serialization_version: 3
"""
DEFINITIONS = """\
from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
city = Entity(name="city", join_keys=["city_name"], value_type=ValueType.STRING)

stats_source = FileSource(
    name="stats", path="data/stats.parquet", timestamp_field="event_timestamp", created_timestamp_column="created"
)
city_source = FileSource(name="cities", path="data/cities.parquet", timestamp_field="seen")
push_source = PushSource(name="ratings_push", batch_source=FileSource(
    name="ratings", path="data/ratings.parquet", timestamp_field="event_timestamp"))

driver_stats = FeatureView(
    name="driver_stats", entities=[driver], ttl=timedelta(days=30), source=stats_source, online=True,
    schema=[Field(name="driver_id", dtype=Int64), Field(name="trips", dtype=Int64), Field(name="accepted", dtype=Float64)],
)
city_facts = FeatureView(
    name="city_facts", entities=[city], ttl=timedelta(0), source=city_source, online=True,
    schema=[Field(name="city_name", dtype=String), Field(name="people", dtype=Int64)],
)
driver_ratings = FeatureView(
    name="driver_ratings", entities=[driver], ttl=timedelta(days=365), source=push_source, online=True,
    schema=[Field(name="driver_id", dtype=Int64), Field(name="rating", dtype=Float64)],
)
asked = RequestSource(name="asked", schema=[Field(name="distance", dtype=Float64)])


@on_demand_feature_view(sources=[driver_stats, asked], schema=[Field(name="accepted_distance", dtype=Float64)])
def accepted_km(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"accepted_distance": inputs["accepted"] * inputs["distance"]})


scoring = FeatureService(name="scoring", features=[driver_stats[["trips"]], city_facts, accepted_km])
plain = FeatureService(name="plain", features=[driver_stats, driver_ratings])
"""
WITHOUT_CODE = DEFINITIONS.partition("@on_demand_feature_view")[0] + (
    'plain = FeatureService(name="plain", features=[driver_stats, driver_ratings])\n'
)


def stats(rows: int = 200, seed: int = 3) -> pd.DataFrame:
    r = np.random.default_rng(seed)
    times = at("2025-01-01") + pd.to_timedelta(r.choice(90 * 24 * 60, rows, replace=False), unit="m")
    return pd.DataFrame(
        {
            "driver_id": r.integers(1000, 1020, rows),
            "event_timestamp": times.astype("datetime64[us, UTC]"),
            "trips": r.integers(0, 50, rows),
            "accepted": r.random(rows).round(3),
            "created": (times + pd.Timedelta("1h")).astype("datetime64[us, UTC]"),
        }
    )


def cities() -> pd.DataFrame:
    seen = pd.Series([at("2025-01-01"), at("2025-02-01"), at("2025-01-15")]).astype("datetime64[us, UTC]")
    return pd.DataFrame({"city_name": ["Bern", "Bern", "Graz"], "seen": seen, "people": [134_000, 135_000, 300_000]})


def ratings() -> pd.DataFrame:
    times = pd.Series([at("2025-01-10"), at("2025-02-10")]).astype("datetime64[us, UTC]")
    return pd.DataFrame({"driver_id": [1000, 1001], "event_timestamp": times, "rating": [4.5, 3.0]})


def public(root: Path, *, with_code: bool = True) -> Path:
    """The repository in a folder, with its definitions applied as Feast's command line does."""
    (root / "data").mkdir(parents=True)
    stats().to_parquet(root / "data" / "stats.parquet", index=False)
    cities().to_parquet(root / "data" / "cities.parquet", index=False)
    ratings().to_parquet(root / "data" / "ratings.parquet", index=False)
    (root / "feature_store.yaml").write_text(STORE)
    (root / "definitions.py").write_text(DEFINITIONS if with_code else WITHOUT_CODE)
    defined = runpy.run_path(str(root / "definitions.py"))
    kinds = (Entity, BaseFeatureView, FeatureService)
    FeatureStore(repo_path=str(root)).apply([item for item in defined.values() if isinstance(item, kinds)])
    return root

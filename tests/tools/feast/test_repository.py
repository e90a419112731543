"""An existing repository in steps, as it is: what it has is known while planning, joined, published, looked up and pushed to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from context import LocalContext
from e2i.catalog.artifacts import FeatureRepo
from e2i.catalog.columns import KnownRepo
from e2i.errors import BadInput, Refused, StepError
from e2i.settings import Settings
from e2i.tools.feast import (
    FeastSettings,
    HistoricalFeaturesParams,
    MaterializeParams,
    OnlineFeaturesParams,
    PushParams,
    RepositoryParams,
    actions,
    columns,
    effects,
)
from e2i.tools.feast.connector import GuardedFeast
from e2i.tools.feast.programs import Repository
from e2i.workspace.files import WorkspaceFiles
from tools.feast.feast_case import at, run
from tools.feast.public_repo import public, ratings, stats

CUTOFF = "supports_filter_by_created_timestamp"


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return public(tmp_path_factory.mktemp("public") / "theirs")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without code."""
    return public(tmp_path_factory.mktemp("plain") / "theirs", with_code=False)


def settings(root: Path, *, trusted: bool) -> Settings:
    return Settings(tools={"feast": {"repo_path": str(root), "trusted": trusted, "deadline": 60}})


@pytest.fixture
def ctx(theirs: Path, tmp_path: Path) -> Iterator[LocalContext]:
    """A step in an environment with a copy of the repository."""
    shutil.copytree(theirs, tmp_path / "theirs")
    context = LocalContext(tmp_path, settings=settings(tmp_path / "theirs", trusted=True))
    yield context
    context.close()


def looked(ctx: LocalContext, *require: str) -> FeatureRepo:
    return run(actions.repository(RepositoryParams(require=require), ctx)).repo


def journeys() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "driver_id": [1000, 1001, 9999, 1000],
            "city_name": ["Bern", "Graz", "Bern", "Bern"],
            "distance": [2.0, 4.0, 1.0, 2.0],
            "when": [at("2025-03-01"), at("2025-02-01"), at("2025-03-01"), at("2025-03-01")],
        }
    )


def joined(ctx: LocalContext, repo: FeatureRepo, features: Any, **options: Any) -> pd.DataFrame:
    params = HistoricalFeaturesParams.model_validate(
        {"repo": repo, "table": ctx.table(journeys()), "timestamp": "when", "features": features, **options}
    )
    return ctx.frame(run(actions.historical_features(params, ctx)).table)


def newest(when: pd.Timestamp, driver: int, ttl: str = "30d") -> Mapping[str, Any] | None:
    rows = stats()
    rows = rows[(rows.driver_id == driver) & (rows.event_timestamp <= when) & (rows.created <= when)]
    rows = rows[rows.event_timestamp >= when - pd.Timedelta(ttl)]
    return None if rows.empty else rows.sort_values("event_timestamp").iloc[-1].to_dict()


def files(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.rglob("*") if path.is_file() and "pycache" not in str(path)}


def test_a_public_repository_is_joined_unchanged_by_view_on_demand_view_and_service(
    ctx: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(tmp_path / "theirs")
    repo = looked(ctx, "driver_stats:trips", "service:scoring", "accepted_km")
    assert set(repo.views) == {"driver_stats", "city_facts", "driver_ratings", "accepted_km"}
    assert repo.join_keys["accepted_km"] == ("driver_id",) and repo.requests == {"accepted_km": ("distance",)}
    assert repo.services["scoring"] == ("driver_stats:trips", "city_facts:people", "accepted_km:accepted_distance")
    found = joined(ctx, repo, "service:scoring")
    assert list(found.columns) == [*journeys().columns, "trips", "people", "accepted_distance"]
    assert found.people.tolist() == [135_000, 300_000, 135_000, 135_000]
    for row in found.to_dict("records"):
        known = newest(row["when"], row["driver_id"])
        assert pd.isna(row["trips"]) if known is None else row["trips"] == known["trips"]
        if known is not None:
            assert row["accepted_distance"] == pytest.approx(known["accepted"] * row["distance"])
    assert not ctx.warned
    monkeypatch.setattr(
        type(ctx.connect(GuardedFeast)._existing().current()._get_provider().offline_store), CUTOFF, False
    )
    joined(ctx, repo, ["city_facts", "driver_stats"])
    assert "became known after" in ctx.warned[0] and "values of driver_stats that" in ctx.warned[0]
    assert files(tmp_path / "theirs") == before
    assert looked(ctx) == repo  # its digest is that of definitions and rows
    with pytest.raises(StepError, match="no feature service 'scorin'"):
        joined(ctx, repo, ["service:scorin"])
    for wrong, code in (("drivers", "unknown-feature-view"), ("driver_stats:trip", "unknown-feature")):
        with pytest.raises(StepError) as caught:
            looked(ctx, wrong)
        assert caught.value.code == code


def test_it_is_published_looked_up_and_pushed_to(ctx: LocalContext, tmp_path: Path) -> None:
    repo = looked(ctx)
    params = MaterializeParams(repo=repo, end=at("2025-03-20").to_pydatetime())
    done = run(actions.materialize(params, ctx))
    assert set(done.views) == {"driver_stats", "city_facts", "driver_ratings"}
    assert done.views["city_facts"].model_dump() == {"rows": 3, "keys": 2}
    check = effects.materialize(params, done, ctx)  # type: ignore[arg-type]  # a context can look, too
    assert not isinstance(check, str | None) and run(check) is None
    asked = OnlineFeaturesParams.model_validate(
        {
            "repo": repo,
            "features": ["driver_stats:trips", "accepted_km", "driver_ratings"],
            "table": ctx.table(journeys()),
            "until": done.until,
        }
    )
    rows = run(actions.online_features(asked, ctx)).rows
    known = newest(at("2025-03-20"), 1000)
    assert known is not None and [row["driver_id"] for row in rows] == [1000, 1001, 9999]
    assert rows[0]["trips"] == known["trips"] and rows[0]["rating"] == 4.5
    assert rows[0]["accepted_distance"] == pytest.approx(known["accepted"] * 2)
    assert rows[2]["trips"] is None

    new = ratings().assign(event_timestamp=at("2025-03-25"), rating=[5, 4])
    pushed = PushParams(repo=repo, view="ratings_push", table=ctx.table(new))
    first = run(actions.push(pushed, ctx))
    assert first.views == ["driver_ratings"] and first.rows == 2 and first.repo.digest != repo.digest
    again = run(actions.push(pushed, ctx))
    assert again == first  # rows that are there are not written again
    assert len(pd.read_parquet(tmp_path / "theirs" / "data" / "ratings.parquet")) == 4
    after = asked.model_copy(update={"features": ("driver_ratings",), "repo": first.repo})
    assert [row["rating"] for row in run(actions.online_features(after, ctx)).rows] == [5.0, 4.0, None]
    with pytest.raises(StepError) as caught:
        run(actions.push(pushed.model_copy(update={"view": "rating_push"}), ctx))
    assert caught.value.code == "unknown-feature-view"


def test_code_needs_the_operators_trust_and_a_repository_without_code_needs_none(
    theirs: Path, plain: Path, tmp_path: Path
) -> None:
    for name, root, code in (("one", theirs, True), ("two", plain, False)):
        context = LocalContext(tmp_path / name, settings=settings(root, trusted=False))
        if code:
            with pytest.raises(Refused, match="on_demand_feature_views"):
                looked(context)
        else:
            found = joined(context, looked(context), ["service:plain"])
            assert found.rating[0] == 4.5 and pd.isna(found.rating[1])
            program = Repository(FeastSettings(repo_path=str(root)), tmp_path / "home", tmp_path)
            rows = journeys()[["driver_id", "when"]].set_axis(["driver_id", "event_timestamp"], axis=1)
            same = program.historical(rows, ["service:plain"], full_feature_names=False)
            assert same.rating[0] == 4.5 and list(same.columns[2:]) == ["trips", "accepted", "rating"]
        context.close()
    context = LocalContext(tmp_path / "three")
    with pytest.raises(BadInput, match="no existing Feast repository"):
        looked(context)
    context.close()


@pytest.mark.parametrize("name", ["theirs", "plain"])
def test_a_plan_foresees_what_the_repository_has(request: pytest.FixtureRequest, tmp_path: Path, name: str) -> None:
    root: Path = request.getfixturevalue(name)
    context = LocalContext(tmp_path, settings=settings(root, trusted=True))
    seen = looked(context)
    reading = WorkspaceFiles(context.worker.roots, context.worker.settings)
    known = columns.repository({"require": ["driver_stats:trips"]}, reading).outputs["repo"]
    assert isinstance(known, KnownRepo)
    assert {view: tuple(one.features or ()) for view, one in known.views.items()} == seen.views
    assert {view: one.keys for view, one in known.views.items()} == seen.join_keys
    assert known.services == seen.services
    assert {view: one.requests for view, one in known.views.items() if one.requests} == seen.requests
    (problem,) = columns.repository({"require": ["driver_stats:trip"]}, reading).problems
    assert problem.code == "unknown-feature" and problem.path == ("require", 0)
    for data in (b"", b"\xff\xff", seen.digest.encode()):
        broken = tmp_path / "broken"
        shutil.copytree(root, broken, dirs_exist_ok=True)
        (broken / "data" / "registry.db").write_bytes(data)
        elsewhere = WorkspaceFiles(context.worker.roots, settings(broken, trusted=True))
        flow = columns.repository({"require": []}, elsewhere)
        assert not flow.problems and flow.outputs in ({}, {"repo": KnownRepo({}, {})})
    context.close()

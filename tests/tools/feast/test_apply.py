"""``feast.apply``: versions that do not disturb each other, survive moves and corruption, and open in Feast itself."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from context import LocalContext
from e2i.catalog.artifacts import FeatureRepo
from e2i.errors import Refused, StepError
from e2i.settings import Settings
from e2i.tools.feast import ApplyParams, MaterializeParams, actions
from tools.feast.feast_case import apply, at, client, join, log, run, view


def rows() -> pd.DataFrame:
    return pd.DataFrame({"hcp_id": ["a"], "when": [at("2024-05-01")]})


def version(ctx: LocalContext, repo: FeatureRepo) -> Path:
    return ctx.home("feast") / "e2i" / "versions" / repo.digest.removeprefix("sha256:")


def online(ctx: LocalContext, repo: FeatureRepo) -> Any:
    return run(client(ctx).get_online_features(repo, ["history:calls"], [{"hcp_id": "a"}]))[0]["calls"]


def test_all_columns_beside_keys_and_times_are_features_and_types_come_from_the_table(ctx: LocalContext) -> None:
    frame = log().assign(created=at("2024-05-01"), visits=[1, 2, 3], brand="x", seen=True)
    repo = apply(ctx, frame, created="created")
    assert repo.views == {"history": ("calls", "visits", "brand", "seen")}
    assert repo.join_keys == {"history": ("hcp_id",)}


def test_applying_equal_content_again_changes_no_file(ctx: LocalContext) -> None:
    first = apply(ctx, log())
    before = {path: path.stat().st_mtime_ns for path in version(ctx, first).rglob("*")}
    assert apply(ctx, log()) == first
    assert {path: path.stat().st_mtime_ns for path in version(ctx, first).rglob("*")} == before


def test_two_contents_under_one_name_keep_their_own_definitions_data_and_published_values(ctx: LocalContext) -> None:
    one = apply(ctx, log())
    run(actions.materialize(MaterializeParams(repo=one), ctx))
    two = apply(ctx, log().assign(calls=[7.0, 8.0, 9.0]), ttl="1h")
    run(actions.materialize(MaterializeParams(repo=two), ctx))
    assert one.digest != two.digest
    assert join(ctx, one, rows())["calls"].tolist() == [2.0]
    assert join(ctx, two, rows())["calls"].isna().all()
    assert (online(ctx, one), online(ctx, two)) == (2.0, 8.0)


def test_the_folder_can_be_moved(ctx: LocalContext, tmp_path: Path) -> None:
    repo = apply(ctx, log())
    run(actions.materialize(MaterializeParams(repo=repo), ctx))
    shutil.copytree(tmp_path / "store", tmp_path / "moved" / "store")
    shutil.rmtree(tmp_path / "store")
    moved = LocalContext(tmp_path / "moved")
    assert join(moved, repo, rows())["calls"].tolist() == [2.0]
    assert online(moved, repo) == 2.0
    assert apply(moved, log()) == repo
    moved.close()


def test_feasts_own_client_finds_the_views_and_their_values(ctx: LocalContext, monkeypatch: pytest.MonkeyPatch) -> None:
    from feast_client import FeatureStore

    repo = apply(ctx, log(), ttl="120d", tags={"owner": "commercial"})
    run(actions.materialize(MaterializeParams(repo=repo, start=at("2024-01-01")), ctx))
    monkeypatch.chdir(ctx.scratch)
    store = FeatureStore(repo_path=str(ctx.home("feast") / "e2i"))
    found = store.get_feature_view("history")
    assert [feature.name for feature in found.features] == ["calls"]
    assert found.ttl.days == 120
    assert found.tags["owner"] == "commercial"
    answer = store.get_online_features(["history:calls"], [{"hcp_id": "a"}, {"hcp_id": "b"}]).to_dict()
    assert answer["calls"] == [2.0, 5.0]
    entities = rows().rename(columns={"when": "event_timestamp"})
    assert store.get_historical_features(entities, ["history:calls"]).to_df()["calls"].tolist() == [2.0]


def test_nothing_is_written_outside_the_store(
    ctx: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    repo = apply(ctx, log())
    join(ctx, repo, rows())
    run(actions.materialize(MaterializeParams(repo=repo), ctx))
    assert not list((tmp_path / "cwd").iterdir())


def test_nothing_is_printed(ctx: LocalContext, capfd: pytest.CaptureFixture[str]) -> None:
    repo = apply(ctx, log())
    run(actions.materialize(MaterializeParams(repo=repo), ctx))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("garbage", [b"garbage", b"\x00" * 64, b"\x0a\xff\xff\xff\xff"])
def test_a_corrupt_registry_is_named_and_rebuilt_by_apply(ctx: LocalContext, tmp_path: Path, garbage: bytes) -> None:
    repo = apply(ctx, log())
    (version(ctx, repo) / "registry.db").write_bytes(garbage)
    other = LocalContext(tmp_path)
    with pytest.raises(StepError, match=r"corrupt|not in the registry") as caught:
        join(other, repo, rows())
    assert "feast.apply again" in (caught.value.hint or "")
    assert apply(other, log()) == repo
    assert join(other, repo, rows())["calls"].tolist() == [2.0]
    other.close()


def test_a_lost_registry_is_named_and_not_replaced_by_an_empty_one(ctx: LocalContext, tmp_path: Path) -> None:
    repo = apply(ctx, log())
    (version(ctx, repo) / "registry.db").unlink()
    other = LocalContext(tmp_path)
    with pytest.raises(StepError, match="not in the registry"):
        join(other, repo, rows())
    assert not (version(ctx, repo) / "registry.db").exists()
    other.close()


def test_an_apply_that_was_cut_off_is_completed_by_the_next(ctx: LocalContext, tmp_path: Path) -> None:
    repo = apply(ctx, log())
    (version(ctx, repo) / "definition.json").unlink()
    other = LocalContext(tmp_path)
    with pytest.raises(StepError, match=r"version .* is not in this store"):
        join(other, repo, rows())
    assert apply(other, log()) == repo
    assert join(other, repo, rows())["calls"].tolist() == [2.0]
    other.close()


def test_workers_may_apply_the_same_content_at_once(tmp_path: Path) -> None:
    workers = [LocalContext(tmp_path) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        repos = list(pool.map(lambda worker: apply(worker, log()), workers))
    assert len({repo.digest for repo in repos}) == 1
    assert [join(worker, repos[0], rows())["calls"].tolist() for worker in workers] == [[2.0]] * 4
    for worker in workers:
        worker.close()


def test_a_version_of_another_store_is_named(ctx: LocalContext, tmp_path: Path) -> None:
    other = LocalContext(tmp_path / "other")
    with pytest.raises(StepError, match=r"version .* is not in this store") as caught:
        join(other, apply(ctx, log()), rows())
    assert caught.value.code == "feature-repo-missing"
    other.close()


@pytest.mark.parametrize("part", ["on_demand_feature_views", "stream_feature_views", "validation_references"])
def test_a_registry_that_can_carry_pickled_code_is_refused(ctx: LocalContext, tmp_path: Path, part: str) -> None:
    from feast.protos.feast.core.Registry_pb2 import Registry

    repo = apply(ctx, log())
    path = version(ctx, repo) / "registry.db"
    registry = Registry.FromString(path.read_bytes())
    getattr(registry, part).add()
    path.write_bytes(registry.SerializeToString())
    other = LocalContext(tmp_path)
    with pytest.raises(Refused, match=part):
        join(other, repo, rows())
    with pytest.raises(Refused, match=part):
        apply(other, log())
    other.close()


@pytest.mark.parametrize("nested", [False, True])
def test_a_registry_that_names_code_is_refused(ctx: LocalContext, tmp_path: Path, nested: bool) -> None:
    from feast.protos.feast.core.DataSource_pb2 import DataSource
    from feast.protos.feast.core.Registry_pb2 import Registry

    repo = apply(ctx, log())
    path = version(ctx, repo) / "registry.db"
    registry = Registry.FromString(path.read_bytes())
    spec = registry.feature_views[0].spec
    spec = spec.source_views.add(name="inner") if nested else spec
    spec.batch_source.type = DataSource.CUSTOM_SOURCE
    spec.batch_source.data_source_class_type = "evil.module.Source"
    spec.feature_transformation.user_defined_function.body = b"\x80\x04."
    path.write_bytes(registry.SerializeToString())
    other = LocalContext(tmp_path)
    with pytest.raises(Refused, match=r"feature_transformation.*the class 'evil\.module\.Source'"):
        join(other, repo, rows())
    other.close()


@pytest.mark.parametrize("derived", ["source", "view"])
def test_a_registry_with_more_than_plain_views_over_files_is_refused(
    ctx: LocalContext, tmp_path: Path, derived: str
) -> None:
    from feast.protos.feast.core.DataSource_pb2 import DataSource
    from feast.protos.feast.core.Registry_pb2 import Registry

    repo = apply(ctx, log())
    path = version(ctx, repo) / "registry.db"
    registry = Registry.FromString(path.read_bytes())
    if derived == "source":
        registry.data_sources[0].batch_source.type = DataSource.STREAM_KAFKA
    else:
        registry.feature_views[0].spec.source_views.add(name="inner")
    path.write_bytes(registry.SerializeToString())
    other = LocalContext(tmp_path)
    with pytest.raises(Refused, match=r"a source that is not a file|a derived feature view history"):
        join(other, repo, rows())
    other.close()


def test_a_shared_registry_tells_when_somebody_changed_a_view(tmp_path: Path) -> None:
    shared = {"feast": {"registry": {"type": "sql", "url": f"sqlite:///{tmp_path}/shared.db"}}}
    ours = LocalContext(tmp_path / "ours", settings=Settings(tools=shared))
    theirs = LocalContext(tmp_path / "theirs", settings=Settings(tools=shared))
    repo = apply(ours, log())
    assert join(ours, repo, rows())["calls"].tolist() == [2.0]
    apply(theirs, log(), ttl="1h")
    with pytest.raises(StepError, match="another process changed feature view") as caught:
        join(ours, repo, rows())
    assert caught.value.code == "feature-view-changed"
    assert apply(ours, log()) == repo
    assert join(ours, repo, rows())["calls"].tolist() == [2.0]
    for context in (ours, theirs):
        context.close()


def test_a_shared_registry_with_code_is_refused(tmp_path: Path) -> None:
    import sqlalchemy

    url = f"sqlite:///{tmp_path}/shared.db"
    context = LocalContext(tmp_path, settings=Settings(tools={"feast": {"registry": {"type": "sql", "url": url}}}))
    repo = apply(context, log())
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            sqlalchemy.text("INSERT INTO on_demand_feature_views VALUES ('evil', 'e2i', 0, x'80042e', NULL)")
        )
    engine.dispose()
    other = LocalContext(tmp_path, settings=context.worker.settings)
    with pytest.raises(Refused, match="on_demand_feature_views"):
        join(other, repo, rows())
    for opened in (context, other):
        opened.close()


def test_declared_types_are_kept_and_nanoseconds_become_microseconds(ctx: LocalContext) -> None:
    import pyarrow.parquet as pq

    frame = log().assign(event_timestamp=log()["event_timestamp"].dt.as_unit("ns"))
    apply(ctx, frame, features={"calls": "int64"})
    source = next((ctx.home("feast") / "e2i" / "sources").iterdir())
    schema = pq.read_schema(source)
    assert str(schema.field("calls").type) == "int64"
    assert str(schema.field("event_timestamp").type) == "timestamp[us, tz=UTC]"


@pytest.mark.parametrize(
    ("frame", "options", "code"),
    [
        (log(), {"timestamp": "event_timestap"}, "missing-column"),
        (log(), {"entity": "hpc"}, "unknown-entity"),
        (log(), {"features": ("hcp_id",)}, "bad-feature"),
        (log().drop(columns="calls"), {}, "bad-feature"),
        (log().assign(calls=pd.Series([[1], [2], [3]])), {}, "bad-feature"),
        (log().assign(calls=0.5), {"features": {"calls": "int64"}}, "bad-feature"),
        (log(), {"key_type": "int64"}, "bad-feature"),
        (log().assign(event_timestamp="2024-01-01"), {}, "not-a-timestamp"),
        (log().assign(event_timestamp=log()["event_timestamp"].shift()), {}, "null-timestamp"),
    ],
)
def test_a_table_that_does_not_fit_its_view_is_named(
    ctx: LocalContext, frame: pd.DataFrame, options: dict[str, Any], code: str
) -> None:
    with pytest.raises(StepError) as caught:
        apply(ctx, frame, **options)
    assert caught.value.code == code
    assert caught.value.hint


def test_a_repo_that_feast_apply_did_not_make_is_refused(ctx: LocalContext) -> None:
    repo = apply(ctx, log())
    for forged in ({"project": "../e2i"}, {"project": "/tmp"}, {"views": {"history": ("secret",)}}):
        with pytest.raises(Refused, match=r"was not created by feast\.apply"):
            join(ctx, repo.model_copy(update=forged), rows())


@pytest.mark.parametrize("change", [('"ttl": 7200', '"ttl": null'), ("{", "")])
def test_a_changed_definition_file_is_named_and_rebuilt_by_apply(
    ctx: LocalContext, tmp_path: Path, change: tuple[str, str]
) -> None:
    repo = apply(ctx, log(), ttl="2h")
    path = version(ctx, repo) / "definition.json"
    before = path.read_text()
    path.write_text(before.replace(*change))
    other = LocalContext(tmp_path)
    with pytest.raises(StepError, match="corrupt"):
        join(other, repo, rows())
    assert apply(other, log(), ttl="2h") == repo
    assert path.read_text() == before
    other.close()


@pytest.mark.parametrize("project", ["../up", "a b", "", "_x", "x" * 64])
def test_a_project_is_a_plain_name(ctx: LocalContext, project: str) -> None:
    document = {"project": project, "entities": {"hcp": {}}, "views": {"history": view(ctx.table(log()))}}
    with pytest.raises(ValidationError, match="project"):
        ApplyParams.model_validate(document)

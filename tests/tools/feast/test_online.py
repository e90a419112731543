"""``feast.materialize`` and ``feast.online_features``: what is served is what training saw."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from context import LocalContext
from e2i.catalog.artifacts import FeatureRepo
from e2i.errors import StepError, ToolUnavailable
from e2i.settings import Settings
from e2i.tools.feast import MaterializeOutputs, MaterializeParams, OnlineFeaturesParams, actions
from tools.feast.feast_case import apply, at, client, join, log, run


def publish(ctx: LocalContext, repo: FeatureRepo, **options: Any) -> MaterializeOutputs:
    return run(actions.materialize(MaterializeParams(repo=repo, **options), ctx))


def lookup(ctx: LocalContext, repo: FeatureRepo, *keys: Any, **options: Any) -> list[dict[str, Any]]:
    params = OnlineFeaturesParams(
        repo=repo, features=("history",), entities=tuple({"hcp_id": key} for key in keys), **options
    )
    return run(actions.online_features(params, ctx)).rows


@pytest.mark.parametrize("end", [None, "2024-01-09"])
def test_online_answers_equal_historical_ones_at_until(ctx: LocalContext, end: str | None) -> None:
    rng = np.random.default_rng(5)
    happened = at("2024-01-01") + pd.to_timedelta(rng.integers(0, 400, 300), unit="h")
    frame = pd.DataFrame(
        {
            "hcp_id": rng.choice([f"h{number}" for number in range(40)], 300),
            "event_timestamp": happened,
            "created": happened + pd.to_timedelta(rng.integers(0, 3, 300), unit="min"),
            "calls": rng.normal(size=300),
            "visits": rng.integers(0, 9, 300),
            "brand": rng.choice(["Kisqali", "Fabhalta"], 300),
        }
    )
    repo = apply(ctx, frame, created="created", ttl="72h")
    until = publish(ctx, repo, end=at(end) if end else None).until
    keys = [f"h{number}" for number in range(45)]
    online = pd.DataFrame(lookup(ctx, repo, *keys))
    then = pd.DataFrame({"hcp_id": keys, "when": pd.Timestamp(until)})
    historical = join(ctx, repo, then, created_cutoff=False, keep=("hcp_id",))
    pd.testing.assert_frame_equal(online, historical, check_dtype=False)
    assert 0 < historical["calls"].isna().mean() < 1


def test_rows_and_keys_are_counted_and_until_is_the_newest_time_in_the_data(ctx: LocalContext) -> None:
    answer = publish(ctx, apply(ctx, log()))
    assert answer.until == "2024-04-01T00:00:00+00:00"
    assert answer.views["history"].model_dump() == {"rows": 3, "keys": 2}


def test_only_the_window_is_published(ctx: LocalContext) -> None:
    repo = apply(ctx, log())
    answer = publish(ctx, repo, start=at("2024-03-01"), end=at("2024-04-01"))
    assert answer.views["history"].model_dump() == {"rows": 1, "keys": 1}
    assert [row["calls"] for row in lookup(ctx, repo, "a", "b")] == [2.0, None]


def test_unknown_and_null_keys_are_nulls_in_their_places(ctx: LocalContext) -> None:
    repo = apply(ctx, log())
    publish(ctx, repo)
    assert [row["calls"] for row in lookup(ctx, repo, "nobody", "a", None, "b")] == [None, 2.0, None, 5.0]


def test_a_missing_value_can_fail_the_step(ctx: LocalContext) -> None:
    repo = apply(ctx, log())
    publish(ctx, repo)
    with pytest.raises(StepError, match=r"1 of 2 keys .*nobody") as caught:
        lookup(ctx, repo, "a", "nobody", missing="error")
    assert caught.value.details == {"missing": [{"hcp_id": "nobody", "calls": None}]}


def test_keys_can_come_from_a_table(ctx: LocalContext) -> None:
    repo = apply(ctx, log().assign(hcp_id=[1, 1, 2]), key_type="int64")
    publish(ctx, repo)
    table = ctx.table(pd.DataFrame({"hcp_id": [2, 2, 1, None]}))
    params = OnlineFeaturesParams(repo=repo, features=("history:calls",), table=table, rows=3)
    answer = run(actions.online_features(params, ctx))
    assert answer.rows == [
        {"hcp_id": 2, "calls": 5.0},
        {"hcp_id": 1, "calls": 2.0},
        {"hcp_id": None, "calls": None},
    ]
    assert ctx.frame(answer.table)["calls"].tolist()[:2] == [5.0, 2.0]


def test_more_keys_than_one_read_takes_come_back_in_order(ctx: LocalContext) -> None:
    number = 120
    frame = pd.DataFrame(
        {"hcp_id": [f"h{i}" for i in range(number)], "event_timestamp": at("2024-01-01"), "calls": range(number)}
    )
    repo = apply(ctx, frame)
    publish(ctx, repo)
    assert [row["calls"] for row in lookup(ctx, repo, *frame["hcp_id"])] == list(range(number))


def test_whole_numbers_with_nulls_among_them_are_served_as_whole_numbers(ctx: LocalContext) -> None:
    frame = log().assign(visits=pd.array([1, 2, None], dtype="Int64"), small=pd.array([None, 1, 2], dtype="Int32"))
    repo = apply(ctx, frame)
    publish(ctx, repo)
    assert lookup(ctx, repo, "a", "b") == [
        {"hcp_id": "a", "calls": 2.0, "visits": 2, "small": 1},
        {"hcp_id": "b", "calls": 5.0, "visits": None, "small": 2},
    ]


def test_times_and_truths_are_served_as_json_has_them(ctx: LocalContext) -> None:
    repo = apply(ctx, log().assign(seen=[True, False, True], last=at("2023-12-24")))
    publish(ctx, repo)
    assert lookup(ctx, repo, "a") == [{"hcp_id": "a", "calls": 2.0, "seen": False, "last": "2023-12-24T00:00:00+00:00"}]


@pytest.mark.parametrize(("entity", "code"), [({"hcp": "a"}, "missing-join-key"), ({"hcp_id": 1}, "join-key-type")])
def test_a_key_that_does_not_fit_is_named(ctx: LocalContext, entity: dict[str, Any], code: str) -> None:
    repo = apply(ctx, log())
    with pytest.raises(StepError) as caught:
        run(client(ctx).get_online_features(repo, ["history"], [entity]))
    assert caught.value.code == code


def test_either_entities_or_a_table_is_wanted(ctx: LocalContext) -> None:
    with pytest.raises(ValidationError, match="either `entities` or `table`"):
        OnlineFeaturesParams(repo=apply(ctx, log()), features=("history",))


def test_a_store_that_does_not_answer_is_unavailable_after_the_deadline(tmp_path: Path) -> None:
    ctx = LocalContext(tmp_path, settings=Settings())
    repo = apply(ctx, log())
    publish(ctx, repo)
    online = next((ctx.home("feast") / "e2i").rglob("online.db"))
    holder = sqlite3.connect(online, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ToolUnavailable, match="within 1 s") as caught:
        lookup(ctx, repo, "a")
    assert caught.value.code == "deadline-missed"
    holder.close()
    ctx.close()

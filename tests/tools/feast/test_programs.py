"""Features of programs: registered one by one, pushed, joined, served, compared; in a repository of ours or another's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml

from e2i.errors import BadInput, Refused, StepError
from e2i.tools.feast import FeastSettings, sdk
from e2i.tools.feast.programs import PROJECT, Repository
from tools.feast.feast_case import at


def frame(rows: int = 300, seed: int = 5) -> pd.DataFrame:
    r = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "hcp_id": [f"{number:04d}" for number in r.integers(0, rows // 3, rows)],
            "event_timestamp": at("2025-01-01") + pd.to_timedelta(r.integers(0, 90 * 24, rows), unit="h"),
            "calls": r.poisson(4, rows),
            "tenure": r.gamma(3, 2, rows),
        }
    )


def existing(root: Path, engine: str = "file") -> Path:
    """A repository of someone else, whose definitions are applied."""
    (root / "data").mkdir(parents=True)
    frame().assign(created=at("2025-01-01")).astype({"event_timestamp": "datetime64[us, UTC]"}).to_parquet(
        root / "data" / "rows.parquet", index=False
    )
    document = {
        "project": "theirs",
        "provider": "local",
        "registry": "data/registry.db",
        "online_store": {"type": "sqlite", "path": "data/online.db"},
        "offline_store": {"type": engine},
        "entity_key_serialization_version": 3,
    }
    (root / "feature_store.yaml").write_text(yaml.safe_dump(document))
    store = sdk.FeatureStore(repo_path=str(root))
    entity = sdk.Entity(name="hcp", join_keys=["hcp_id"], value_type=sdk.ValueType.STRING)
    source = sdk.FileSource(
        name="rows", path="data/rows.parquet", timestamp_field="event_timestamp", created_timestamp_column="created"
    )
    schema = [
        sdk.Field(name="hcp_id", dtype=sdk.types.String),
        sdk.Field(name="calls", dtype=sdk.types.Int64),
        sdk.Field(name="tenure", dtype=sdk.types.Float64),
    ]
    view = sdk.FeatureView(name="group", entities=[entity], ttl=timedelta(0), schema=schema, source=source, online=True)
    store.apply([entity, view])
    return root


def register(repository: Repository) -> None:
    repository.register("calls", "group", "hcp_id", "int64", "number of calls")
    repository.register("tenure", "group", "hcp_id", float, None)


def served(repository: Repository, *keys: Any, features: tuple[str, ...] = ("group",)) -> list[dict[str, Any]]:
    return repository.online(*repository.online_request([{"hcp_id": key} for key in keys], features))


@pytest.fixture
def own(tmp_path: Path) -> Repository:
    return Repository(FeastSettings(), tmp_path / "feast", tmp_path)


@pytest.fixture
def theirs(tmp_path: Path) -> Repository:
    existing(tmp_path / "theirs")
    return Repository(FeastSettings(repo_path="theirs"), tmp_path / "feast", tmp_path)


@pytest.fixture(params=["own", "theirs"])
def filled(request: pytest.FixtureRequest) -> Repository:
    """A repository with the view ``group`` over ``frame()``."""
    repository: Repository = request.getfixturevalue(request.param)
    if request.param == "own":
        register(repository)
        repository.push("group", frame())
    else:
        repository.materialize(at("2026-01-01").to_pydatetime())
    return repository


def expected(entities: pd.DataFrame, rows: pd.DataFrame) -> list[Any]:
    """A plain loop: the newest row at or before the time; the last of those with equal times."""
    found = []
    for _, entity in entities.iterrows():
        known = rows[(rows.hcp_id == entity.hcp_id) & (rows.event_timestamp <= entity.event_timestamp)]
        found.append(None if known.empty else known.sort_values("event_timestamp", kind="stable").calls.iloc[-1])
    return found


def entities(rows: int = 200) -> pd.DataFrame:
    return frame(rows, seed=9)[["hcp_id", "event_timestamp"]].assign(label=range(rows)).sample(frac=1, random_state=3)


def test_each_entity_row_has_the_newest_values_at_its_time_in_its_place(filled: Repository) -> None:
    rows = frame().drop_duplicates(["hcp_id", "event_timestamp"], keep=False)
    asked = pd.concat([entities(), entities().head(20), rows[["hcp_id", "event_timestamp"]].head(5)], ignore_index=True)
    asked = asked[~asked.hcp_id.isin(frame()[frame().duplicated(["hcp_id", "event_timestamp"])].hcp_id)]
    found = filled.historical(asked, ["group:calls"], False)
    assert list(found.columns) == [*asked.columns, "calls"]
    pd.testing.assert_frame_equal(found[asked.columns], asked)
    assert [None if pd.isna(value) else value for value in found.calls] == expected(asked, frame())


def test_online_is_each_keys_newest_row(filled: Repository) -> None:
    newest = frame().sort_values("event_timestamp", kind="stable").groupby("hcp_id").last()
    keys = [key for key in newest.index if (frame().hcp_id == key).sum() == 1][:5]
    found = served(filled, *keys, "nobody", None)
    assert [row["calls"] for row in found] == [*newest.calls[keys], None, None]


def test_rows_of_the_past_change_the_past_only(filled: Repository) -> None:
    key = frame().hcp_id[0]
    before = served(filled, key)
    old = pd.DataFrame({"hcp_id": [key], "event_timestamp": [at("2020-01-01")], "calls": [99], "tenure": [0.5]})
    assert filled.push("group", old) == 1
    assert served(filled, key) == before
    asked = pd.DataFrame({"hcp_id": [key], "event_timestamp": [at("2020-06-01")]})
    assert filled.historical(asked, ["group"], True)["group__calls"].tolist() == [99]


def test_a_pushed_row_is_served_and_joined_at_once(filled: Repository) -> None:
    new = pa.table({"hcp_id": ["new"], "event_timestamp": [at("2027-01-01")], "calls": [3.0], "tenure": [1], "x": [0]})
    filled.push("group", new)
    assert served(filled, "new") == [{"hcp_id": "new", "calls": 3, "tenure": 1.0}]
    asked = pd.DataFrame({"hcp_id": ["new"], "event_timestamp": [at("2027-01-01")]})
    assert filled.historical(asked, ["group:calls"], False).calls.tolist() == [3]
    before = asked.assign(event_timestamp=at("2026-12-31"))
    assert filled.historical(before, ["group:calls"], False).calls.isna().all()


def test_figures_are_those_of_the_rows_and_drift_is_against_a_reference(filled: Repository) -> None:
    found = filled.statistics("group", None)
    assert set(found) == {"calls", "tenure"}
    assert (found["calls"]["count"], found["calls"]["nulls"]) == (300, 0)
    assert found["tenure"]["mean"] == pytest.approx(frame().tenure.mean())
    assert "drift" not in found["calls"]
    drifted = filled.statistics("group", frame().assign(calls=lambda rows: rows.calls + 20))
    assert drifted["calls"]["drift"]["ks"] == 1.0 and drifted["tenure"]["drift"]["ks"] == 0.0
    assert filled.statistics("group", "group")["calls"]["drift"]["psi"] == 0.0
    with pytest.raises(StepError, match="none of the features of group"):
        filled.statistics("group", pd.DataFrame({"other": [1]}))


MISTAKES: list[tuple[Callable[[Repository], object], str]] = [
    (lambda found: found.push("grop", frame()), "no feature view 'grop'"),
    (lambda found: found.push("group", frame().drop(columns="calls")), "no column 'calls'"),
    (
        lambda found: found.push("group", frame().assign(calls=0.5)),
        "column 'calls', row 0: 0.5 has no exact form as int64",
    ),
    (
        lambda found: found.push("group", frame().assign(hcp_id=1)),
        "column 'hcp_id', row 0: 1 has no exact form as string",
    ),
    (
        lambda found: found.push("group", frame().assign(event_timestamp=None)),
        "'event_timestamp' has no value in row 0",
    ),
    (lambda found: found.push("group", 3), "int has no rows"),
    (lambda found: found.historical(entities(), ["group:cals"], False), "no feature 'cals'"),
    (lambda found: found.historical(entities(), [], False), "no features are named"),
    (lambda found: found.historical(frame(), ["group:calls"], False), "have a column 'calls' already"),
    (lambda found: found.historical(entities().drop(columns="event_timestamp"), ["group"], False), "event_timestamp"),
    (lambda found: found.historical(entities().assign(hcp_id=1), ["group"], False), "join key 'hcp_id'"),
    (lambda found: found.online_request([{"hcp": "a"}], ["group"]), "no 'hcp_id'"),
    (lambda found: found.online_request([{"hcp_id": 1}], ["group"]), "'hcp_id' is 1"),
    (lambda found: found.register("calls", "group", "hcp_id", "flaot64", None), "no dtype 'flaot64'"),
    (lambda found: found.register("a b", "group", "hcp_id", "int64", None), "'a b' cannot be the name of a feature"),
    (lambda found: found.register("x", "group", "other", "int64", None), "has the entity"),
    (lambda found: found.materialize("soon"), "'soon' is no time"),
]


@pytest.mark.parametrize(("call", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_is_named_and_changes_nothing(
    filled: Repository, call: Callable[[Repository], object], message: str
) -> None:
    with pytest.raises((StepError, BadInput), match=message.replace("(", r"\(")):
        call(filled)
    assert filled.statistics("group", None)["calls"]["count"] == 300


def test_a_feature_is_registered_once_and_keeps_its_type(own: Repository) -> None:
    register(own)
    register(own)
    own.register("calls", "group", "hcp_id", "INT64", "better words")
    view = own.current().get_feature_view("group")
    assert [(field.name, field.description) for field in view.features] == [("calls", "better words"), ("tenure", "")]
    with pytest.raises(StepError, match="has the dtype int64, not float64"):
        own.register("calls", "group", "hcp_id", "float64", None)
    with pytest.raises(StepError, match="'event_timestamp' is the key or the time"):
        own.register("event_timestamp", "group", "hcp_id", "timestamp", None)


@pytest.mark.parametrize(("keys", "kind"), [(["a", "b"], "string"), ([1, 2], "int64"), ([1.0, 2.0], "int64")])
def test_the_type_of_an_entity_comes_from_the_first_rows_of_any_of_its_groups(
    own: Repository, keys: list[Any], kind: str
) -> None:
    register(own)
    own.register("other", "second", "hcp_id", "bool", None)
    rows = pd.DataFrame({"hcp_id": keys, "event_timestamp": at("2025-01-01"), "other": [True, False]})
    own.push("second", rows)
    assert own.statistics("second", None)["other"]["count"] == 2
    wrong = [3, 4] if kind == "string" else ["x", "y"]
    for view, more in (("second", rows), ("group", rows.assign(calls=1, tenure=0.5))):
        own.push(view, more)
        with pytest.raises(StepError, match="no exact form as " + kind):
            own.push(view, more.assign(hcp_id=wrong))
    plain = [int(key) if kind == "int64" else key for key in keys]
    assert [row["other"] for row in served(own, *plain, features=("second",))] == [True, False]


def test_a_registration_that_fails_is_not_remembered(own: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    register(own)
    with monkeypatch.context() as patch:
        patch.setattr(own.current(), "apply", lambda _: (_ for _ in ()).throw(ConnectionError("down")))
        with pytest.raises(ConnectionError):
            own.register("late", "group", "hcp_id", "bool", None)
    with pytest.raises(StepError, match="no feature 'late'"):
        served(own, "a", features=("group:late",))
    own.register("late", "group", "hcp_id", "int64", None)
    assert served(own, "a", features=("group:late",)) == [{"hcp_id": "a", "late": None}]


def test_registries_at_one_address_in_memory_are_told_apart(own: Repository) -> None:
    for number in range(30):  # Feast keeps the views of a registry by its address and version
        own.register(f"f{number}", f"group{number % 3}", "hcp_id", "int64", None)
        assert len(own.current().list_all_feature_views(allow_cache=True)) == min(number + 1, 3)


def test_before_the_first_push_there_are_no_values(own: Repository) -> None:
    register(own)
    assert own.historical(entities(), ["group"], False)[["calls", "tenure"]].isna().all(axis=None)
    assert served(own, "a", 1) == [
        {"hcp_id": "a", "calls": None, "tenure": None},
        {"hcp_id": 1, "calls": None, "tenure": None},
    ]
    assert own.statistics("group", None)["calls"]["count"] == 0
    own.materialize(None)


def test_a_feature_that_is_registered_later_is_null_before(own: Repository) -> None:
    register(own)
    own.push("group", frame())
    own.register("late", "group", "hcp_id", "string", None)
    key = frame().hcp_id[0]
    assert served(own, key, features=("group:late",)) == [{"hcp_id": key, "late": None}]
    with pytest.raises(StepError, match="no column 'late'"):
        own.push("group", frame())
    later = pd.DataFrame({"hcp_id": [key], "event_timestamp": at("2026-01-01"), "calls": 1, "tenure": 2, "late": "x"})
    own.push("group", later)
    asked = later[["hcp_id", "event_timestamp"]]
    assert own.historical(asked, ["group:late"], False).late.tolist() == ["x"]
    assert own.statistics("group", None)["late"]["nulls"] == 300


def test_nothing_expires_and_corrections_of_the_same_time_count(own: Repository) -> None:
    register(own)
    row = pd.DataFrame({"hcp_id": ["a"], "event_timestamp": [at("1999-01-01")], "calls": [1], "tenure": [1.0]})
    own.push("group", row)
    own.push("group", row.assign(calls=2))
    asked = pd.DataFrame({"hcp_id": ["a"], "event_timestamp": [at("2030-01-01")]})
    assert own.historical(asked, ["group:calls"], False).calls.tolist() == [2]
    assert [item["calls"] for item in served(own, "a")] == [2]
    own.push("group", row.assign(calls=None))
    assert [item["calls"] for item in served(own, "a")] == [None]


def test_large_integers_are_not_changed_by_nulls_beside_them(own: Repository) -> None:
    own.register("big", "group", "hcp_id", "int64", None)
    own.push("group", pd.DataFrame({"hcp_id": ["a"], "event_timestamp": [at("2025-01-01")], "big": [2**60 + 1]}))
    asked = pd.DataFrame({"hcp_id": ["a", "b"], "event_timestamp": [at("2025-02-01")] * 2}, index=[7, 7])
    found = own.historical(asked, ["group:big"], False)
    assert found.big.tolist() == [2**60 + 1, pd.NA] and list(found.index) == [7, 7]


def test_an_emptied_online_store_is_filled_again(own: Repository, tmp_path: Path) -> None:
    register(own)
    own.push("group", frame())
    key = frame().hcp_id[0]
    before = served(own, key)
    (tmp_path / "feast" / PROJECT / "online.db").unlink()
    again = Repository(FeastSettings(), tmp_path / "feast", tmp_path)
    again.materialize(None)
    assert served(again, key) == before
    past = again.materialize("2025-01-10T00:00:00Z")
    assert past == at("2025-01-10")


def test_feasts_own_client_reads_the_repository(own: Repository, tmp_path: Path) -> None:
    register(own)
    own.push("group", frame())
    store = sdk.FeatureStore(repo_path=str(tmp_path / "feast" / PROJECT))
    key = frame().hcp_id[0]
    found = store.get_online_features(features=["group:calls"], entity_rows=[{"hcp_id": key}]).to_dict()
    assert found["calls"] == [row["calls"] for row in served(own, key)]
    asked = pd.DataFrame({"hcp_id": [key], "event_timestamp": [at("2026-01-01")]})
    joined = store.get_historical_features(entity_df=asked, features=["group:calls"]).to_df()
    assert joined.calls.tolist() == found["calls"]


PUSHER = """
import sys
from pathlib import Path
import pandas as pd
from e2i.tools.feast import FeastSettings
from e2i.tools.feast.programs import Repository

number, home = int(sys.argv[1]), Path(sys.argv[2])
repository = Repository(FeastSettings(), home, home)
for turn in range(10):
    repository.register(f"f{number}_{turn}", f"group{turn % 2}", "key", "int64", None)
    repository.register("n", "shared", "key", "int64", None)
    rows = pd.DataFrame({"key": [f"{number}-{turn}"], "event_timestamp": pd.Timestamp("2025-01-01", tz="UTC"), "n": turn})
    repository.push("shared", rows)
"""


@pytest.mark.slow
def test_nothing_that_processes_register_or_push_at_once_is_lost(own: Repository, tmp_path: Path) -> None:
    own.register("n", "shared", "key", "int64", None)
    processes = [
        subprocess.Popen([sys.executable, "-c", PUSHER, str(number), str(tmp_path / "feast")]) for number in range(2)
    ]
    assert [process.wait(300) for process in processes] == [0, 0]
    features = [field.name for turn in (0, 1) for field in own.current().get_feature_view(f"group{turn}").features]
    assert sorted(features) == sorted(f"f{number}_{turn}" for number in range(2) for turn in range(10))
    assert own.statistics("shared", None)["n"]["count"] == 20
    keys = [{"key": f"{number}-{turn}"} for number in range(2) for turn in range(10)]
    found = own.online(*own.online_request(keys, ["shared"]))
    assert [row["n"] for row in found] == [*range(10), *range(10)]


def test_pandas_own_forms_of_times_in_sqlite_change_nothing(own: Repository) -> None:
    import sqlite3

    register(own)
    pd.DataFrame({"at": [at("2025-01-01")]}).to_sql("t", sqlite3.connect(":memory:"))  # registers them for the process
    row = pd.DataFrame({"hcp_id": ["k"], "event_timestamp": at("2025-01-01"), "calls": 1, "tenure": 0})
    own.push("group", row)
    pd.DataFrame({"at": [at("2025-01-01")]}).to_sql("t", sqlite3.connect(":memory:"))
    assert [item["calls"] for item in served(own, "k")] == [1]


def test_threads_share_one_repository(own: Repository) -> None:
    register(own)

    def work(number: int) -> list[Any]:
        row = pd.DataFrame(
            {"hcp_id": [f"k{number}"], "event_timestamp": at("2025-01-01"), "calls": number, "tenure": 0}
        )
        own.push("group", row)
        own.historical(row[["hcp_id", "event_timestamp"]], ["group:calls"], False)
        return [item["calls"] for item in served(own, f"k{number}")]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, range(24))) == [[number] for number in range(24)]
    assert own.statistics("group", None)["calls"]["count"] == 24


class TestExisting:
    def test_a_feature_is_added_to_a_view_and_a_group_beside_it(self, theirs: Repository, tmp_path: Path) -> None:
        theirs.register("visits", "mine", "hcp", "int64", None)
        theirs.register("cost", "mine", "hcp", "float64", None)
        rows = pd.DataFrame({"hcp_id": ["a"], "event_timestamp": [at("2025-01-01")], "visits": [1], "cost": [2]})
        theirs.push("mine", rows)
        theirs.register("late", "mine", "hcp", "bool", None)
        asked = pd.DataFrame({"hcp_id": ["a", "b"], "event_timestamp": [at("2025-01-02")] * 2})
        found = theirs.historical(asked, ["mine"], False)
        assert found.visits.tolist()[0] == 1 and found.visits.isna().tolist() == [False, True]
        assert served(theirs, "a", features=("mine:cost",)) == [{"hcp_id": "a", "cost": 2.0}]
        names = {view.name for view in sdk.FeatureStore(repo_path=str(tmp_path / "theirs")).list_feature_views()}
        assert names == {"group", "mine"}

    def test_only_feast_writes_into_it(self, theirs: Repository, tmp_path: Path) -> None:
        before = files(tmp_path / "theirs")
        theirs.historical(entities(), ["group"], False)
        theirs.statistics("group", None)
        assert files(tmp_path / "theirs") == before
        theirs.push("group", frame().head(1))
        assert set(files(tmp_path / "theirs")) - set(before) <= {"data/online.db"}

    def test_a_folder_that_is_no_repository_is_named(self, tmp_path: Path) -> None:
        for name in ("missing", "."):
            with pytest.raises(BadInput, match=r"is no Feast repository: it has no feature_store\.yaml"):
                Repository(FeastSettings(repo_path=name), tmp_path / "feast", tmp_path)
        (tmp_path / "feature_store.yaml").write_text("project: [")
        with pytest.raises(BadInput, match="cannot be read"):
            Repository(FeastSettings(repo_path="."), tmp_path / "feast", tmp_path)

    @pytest.mark.parametrize(
        "part",
        [
            {"provider": "evil.module.Provider"},
            {"online_store": {"type": "evil.module.Store"}},
            {"registry": {"registry_store_type": "evil.Store", "path": "data/registry.db"}},
        ],
    )
    def test_a_class_that_it_names_is_not_imported(self, tmp_path: Path, part: dict[str, Any]) -> None:
        file = existing(tmp_path / "theirs") / "feature_store.yaml"
        file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **part}))
        with pytest.raises(Refused, match=r"names the class 'evil\.") as caught:
            Repository(FeastSettings(repo_path="theirs"), tmp_path / "feast", tmp_path)
        assert caught.value.hint is not None and "trusted: true" in caught.value.hint

    def test_code_in_its_registry_is_not_loaded_unless_it_is_trusted(self, tmp_path: Path) -> None:
        root = existing(tmp_path / "theirs")
        script = tmp_path / "apply.py"
        script.write_text(ON_DEMAND)
        subprocess.run([sys.executable, str(script), str(root)], check=True)
        with pytest.raises(Refused, match="contains on_demand_feature_views"):
            Repository(FeastSettings(repo_path="theirs"), tmp_path / "feast", tmp_path)
        trusted = Repository(FeastSettings(repo_path="theirs", trusted=True), tmp_path / "feast", tmp_path)
        asked = frame().head(3)[["hcp_id", "event_timestamp"]].assign(boost=2.0)
        found = trusted.historical(asked, ["group:calls", "boosted:more"], False)
        assert found.more.tolist() == [2.0 * calls for calls in found.calls]
        trusted.materialize("2026-01-01")
        key = frame().hcp_id[0]
        request = trusted.online_request([{"hcp_id": key, "boost": 3.0}], ["group:calls", "boosted:more"])
        (row,) = trusted.online(*request)
        assert row["more"] == 3.0 * row["calls"]


ON_DEMAND = """
import sys
import e2i.tools.feast.sdk
import pandas as pd
from feast import FeatureStore, Field, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64

store = FeatureStore(repo_path=sys.argv[1])
view = store.get_feature_view("group")
request = RequestSource(name="request", schema=[Field(name="boost", dtype=Float64)])


@on_demand_feature_view(sources=[view, request], schema=[Field(name="more", dtype=Float64)], mode="pandas")
def boosted(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"more": inputs["calls"] * inputs["boost"]})


store.apply([boosted])
"""


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}

"""An existing repository whose files execute something when Feast loads them: nothing is loaded without trust."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dill
import pytest
import yaml

from e2i.errors import BadInput, Refused
from e2i.tools.feast import FeastSettings, code_search, registry, sdk, store_file
from e2i.tools.feast.programs import Repository
from tools.feast.test_programs import existing

CUSTOM = sdk.DataSourceProto.CUSTOM_SOURCE
EVIL = """
from pathlib import Path
Path(__file__).with_name("pwned").touch()
from feast.data_source import PushSource as Source
from feast.infra.offline_stores.dask import DaskOfflineStore as EvilOfflineStore
from feast.infra.offline_stores.dask import DaskOfflineStoreConfig

class EvilOfflineStoreConfig(DaskOfflineStoreConfig):
    type: str = "evilmod.EvilOfflineStore"
"""


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What exists when code of the repository was executed."""
    return tmp_path / "pwned"


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module that a repository could name."""
    (tmp_path / "evilmod.py").write_text(EVIL)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("evilmod", None)


def opened(tmp_path: Path, *, trusted: bool = False) -> Repository:
    return Repository(FeastSettings(repo_path="theirs", trusted=trusted), tmp_path / "feast", tmp_path)


def nested_function(found: Any, mark: Path) -> None:
    inner = found.feature_views[0].spec.source_views.add(name="inner").source_views.add(name="innermost")
    function = inner.feature_transformation.user_defined_function
    function.name, function.body = "f", dill.dumps(Bomb(mark))


def nested_source(found: Any, _mark: Path) -> None:
    source = found.data_sources.add(name="pushed", type=sdk.DataSourceProto.PUSH_SOURCE)
    source.batch_source.type, source.batch_source.data_source_class_type = CUSTOM, "evilmod.Source"


def stream_of_a_nested_view(found: Any, _mark: Path) -> None:
    source = found.feature_views[0].spec.source_views.add(name="inner").stream_source
    source.type = sdk.DataSourceProto.PUSH_SOURCE
    source.batch_source.type, source.batch_source.data_source_class_type = CUSTOM, "evilmod.Source"


def storage_of_a_dataset(found: Any, _mark: Path) -> None:
    dataset = found.saved_datasets.add()
    dataset.spec.name = "saved"
    dataset.spec.storage.custom_storage.configuration = b'{"saved_dataset_storage_class": "evilmod.Source"}'


def table_of_a_store(found: Any, _mark: Path) -> None:
    found.infra.infra_objects.add(infra_object_class_type="evilmod.Source")


def earlier_version(found: Any, mark: Path) -> None:
    view = sdk.FeatureViewProto()
    view.spec.name = "group"
    view.spec.feature_transformation.user_defined_function.body = dill.dumps(Bomb(mark))
    found.feature_view_version_history.records.add(
        feature_view_name="group",
        project_id="theirs",
        version_number=7,
        feature_view_type="feature_view",
        feature_view_proto=view.SerializeToString(),
    )


def earlier_version_of_another_type(found: Any, _mark: Path) -> None:
    found.feature_view_version_history.records.add(feature_view_type="on_demand_feature_view", feature_view_proto=b"")


CODE: list[tuple[Callable[[Any, Path], None], str]] = [
    (nested_function, r"a function \(feature_transformation\) in FeatureViewSpec innermost"),
    (nested_source, "the class 'evilmod.Source' in DataSource"),
    (stream_of_a_nested_view, "the class 'evilmod.Source' in DataSource"),
    (storage_of_a_dataset, r"the name of a class \(custom_storage\)"),
    (table_of_a_store, "the class 'evilmod.Source' in InfraObject"),
    (earlier_version, r"a function \(feature_transformation\) in FeatureViewSpec group"),
    (earlier_version_of_another_type, "an earlier version of another type of view"),
]
coded = pytest.mark.parametrize(("change", "message"), CODE, ids=[change.__name__ for change, _ in CODE])


@coded
@pytest.mark.usefixtures("evil")
def test_code_at_any_depth_of_a_registry_file_is_refused(
    tmp_path: Path, mark: Path, change: Callable[[Any, Path], None], message: str
) -> None:
    file = existing(tmp_path / "theirs") / "data" / "registry.db"
    repository = opened(tmp_path)
    found = registry.parse(file.read_bytes(), "theirs")
    change(found, mark)
    file.write_bytes(found.SerializeToString())
    with pytest.raises(Refused, match=message) as caught:
        opened(tmp_path)
    assert caught.value.hint == store_file.TRUST
    with pytest.raises(Refused, match=message):
        repository.current()
    with pytest.raises(Refused, match=message):
        repository._store.list_feature_views()  # Feast itself reads no file that was not checked
    assert not mark.exists()


@coded
@pytest.mark.usefixtures("evil")
def test_code_at_any_depth_of_a_sql_registry_is_refused(
    tmp_path: Path, mark: Path, change: Callable[[Any, Path], None], message: str
) -> None:
    root, database = tmp_path / "theirs", tmp_path / "registry.sqlite"
    file = existing(root) / "data" / "registry.db"
    address = f"sqlite:///{database}"
    rewrite(root, registry={"registry_type": "sql", "path": address})
    source = opened(tmp_path)
    source._store.apply(list(of_file(root, file)))
    source.current()
    found = sdk.RegistryProto()
    with sqlite3.connect(database) as connection:
        view = connection.execute("SELECT feature_view_proto FROM feature_views").fetchone()[0]
        found.feature_views.add().ParseFromString(view)
        change(found, mark)
        store(connection, found)
    for settings in (FeastSettings(repo_path="theirs"), OWN(address)):
        with pytest.raises(Refused, match=message):
            Repository(settings, tmp_path / "feast", tmp_path)
    with pytest.raises(Refused, match=message):
        source.current()
    assert not mark.exists()


def OWN(address: str) -> FeastSettings:  # noqa: N802 - a constant but for its address
    return FeastSettings.model_validate({"registry": {"type": "sql", "url": address}})


def of_file(root: Path, file: Path) -> Iterator[Any]:
    """The definitions in a registry file."""
    config = sdk.RepoConfig(**{**yaml.safe_load((root / "feature_store.yaml").read_text()), "registry": str(file)})
    config.repo_path = root
    origin = sdk.FeatureStore(repo_path=str(root), config=config)
    yield from origin.list_entities()
    yield from origin.list_feature_views()


def store(connection: sqlite3.Connection, found: Any) -> None:
    """Write the messages of a registry to its tables, as someone with access to the database could."""
    now, view = 0, found.feature_views[0]
    connection.execute("UPDATE feature_views SET feature_view_proto = ?", (view.SerializeToString(),))
    for source in found.data_sources:
        row = (source.name, "theirs", now, source.SerializeToString())
        connection.execute(
            "INSERT INTO data_sources (data_source_name, project_id, last_updated_timestamp, data_source_proto)"
            " VALUES (?, ?, ?, ?)",
            row,
        )
    for dataset in found.saved_datasets:
        row = (dataset.spec.name, "theirs", now, dataset.SerializeToString())
        connection.execute(
            "INSERT INTO saved_datasets (saved_dataset_name, project_id, last_updated_timestamp, saved_dataset_proto)"
            " VALUES (?, ?, ?, ?)",
            row,
        )
    if found.HasField("infra"):
        connection.execute("DELETE FROM managed_infra")
        row = ("infra_obj", "theirs", now, found.infra.SerializeToString())
        connection.execute(
            "INSERT INTO managed_infra (infra_name, project_id, last_updated_timestamp, infra_proto)"
            " VALUES (?, ?, ?, ?)",
            row,
        )
    for record in found.feature_view_version_history.records:
        connection.execute(
            "INSERT INTO feature_view_version_history (feature_view_name, project_id, version_number,"
            " feature_view_type, feature_view_proto, created_timestamp, version_id) VALUES (?, ?, 99, ?, ?, 0, 'x')",
            ("group", "theirs", record.feature_view_type, record.feature_view_proto),
        )


def test_the_replica_that_a_sql_registry_is_read_from_is_checked_too(tmp_path: Path, mark: Path) -> None:
    root = existing(tmp_path / "theirs")
    for name in ("clean", "replica"):
        rewrite(root, registry={"registry_type": "sql", "path": f"sqlite:///{tmp_path / name}.sqlite"})
        opened(tmp_path)._store.apply(list(of_file(root, root / "data" / "registry.db")))
    with sqlite3.connect(tmp_path / "replica.sqlite") as connection:
        found = sdk.RegistryProto()
        found.feature_views.add().ParseFromString(
            connection.execute("SELECT feature_view_proto FROM feature_views").fetchone()[0]
        )
        nested_function(found, mark)
        store(connection, found)
    paths = {
        name: f"sqlite:///{tmp_path / file}.sqlite" for name, file in (("path", "clean"), ("read_path", "replica"))
    }
    rewrite(root, registry={"registry_type": "sql", **paths})
    with pytest.raises(Refused, match="feature_transformation"):
        opened(tmp_path)
    assert not mark.exists()


def written(tmp_path: Path) -> Path:
    """The file of a repository without definitions."""
    file = tmp_path / "theirs" / "feature_store.yaml"
    file.parent.mkdir()
    document = {"project": "theirs", "provider": "local", "registry": "data/registry.db"}
    stores = {"online_store": {"type": "sqlite", "path": "data/online.db"}, "offline_store": {"type": "dask"}}
    file.write_text(yaml.safe_dump({**document, **stores}))
    return file


def rewrite(root: Path, **sections: Any) -> None:
    file = root / "feature_store.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **sections}))


@pytest.mark.parametrize(
    "text",
    [
        "offline_store: evilmod.EvilOfflineStore",
        "online_store: evilmod.EvilOnlineStore",
        "batch_engine: evilmod.EvilEngine",
        "batch_engine: {type: evilmod.EvilEngine}",
        "provider: evilmod.Provider",
        "provider: $STORE",
        "auth: evilmod.EvilAuthConfig",
        "registry: {registry_type: evilmod.EvilRegistry, path: data/registry.db}",
        "registry: {registry_store_type: evilmod.EvilRegistryStore, path: data/registry.db}",
        'offline_store: {type: "$STORE"}',
        'offline_store: {type: "${STORE}"}',
        'offline_store: {"ty${EMPTY}pe": evilmod.EvilOfflineStore}',
        '"offline${EMPTY}_store": evilmod.EvilOfflineStore',
        "offline_store: feast.infra.offline_stores.dask.DaskOfflineStore",
        "offline_store: {type: hybrid, offline_stores: [{type: evilmod.EvilOfflineStore, conf: {}}]}",
        "online_store: {type: hybrid, online_stores: [{type: evilmod.EvilOnlineStore, conf: {}}]}",
        "online_store: {type: null}",
        "online_config: evilmod.EvilOnlineStore",
        "batch_engine_config: evilmod.EvilEngine",
        "openlineage: {enabled: true, transport_type: evilmod.Transport}",
        "feature_server: {type: evilmod.Server}",
    ],
)
@pytest.mark.usefixtures("evil")
def test_only_feasts_own_stores_are_named(
    tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("STORE", "evilmod.EvilOfflineStore")
    monkeypatch.setenv("EMPTY", "")
    document = written(tmp_path)
    section = text.partition(":")[0].strip('"').replace("${EMPTY}", "")
    kept = {key: value for key, value in yaml.safe_load(document.read_text()).items() if key != section}
    document.write_text(f"{yaml.safe_dump(kept)}{text}\n")
    with pytest.raises(Refused, match=r"names the class|may name a class") as caught:
        opened(tmp_path)
    assert caught.value.hint == store_file.TRUST and "feature_store.yaml" in caught.value.message
    assert "evilmod" not in sys.modules and not mark.exists()


@pytest.mark.usefixtures("evil")
def test_a_class_is_loaded_with_trust(tmp_path: Path, mark: Path) -> None:
    rewrite(existing(tmp_path / "theirs"), offline_store="evilmod.EvilOfflineStore")
    assert opened(tmp_path, trusted=True)._store.config.offline_store.type == "evilmod.EvilOfflineStore"
    assert mark.exists()


def test_a_function_of_a_nested_view_is_loaded_with_trust(tmp_path: Path, mark: Path) -> None:
    file = existing(tmp_path / "theirs") / "data" / "registry.db"
    found = registry.parse(file.read_bytes(), "theirs")
    nested_function(found, mark)
    file.write_bytes(found.SerializeToString())
    store = opened(tmp_path, trusted=True).current()
    assert not mark.exists()
    with contextlib.suppress(Exception):  # what the bomb returns is no function
        store.list_feature_views()
    assert mark.exists()


def test_variables_are_replaced_once_and_feast_gets_what_was_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = existing(tmp_path / "theirs")
    rewrite(root, online_store={"type": "$KIND", "path": "data/online.db"}, registry="${DATA}/registry.db")
    monkeypatch.setenv("KIND", "sqlite")
    monkeypatch.setenv("DATA", "data")
    other = tmp_path / "other.yaml"
    other.write_text("project: other\nprovider: local\nregistry: x.db\noffline_store: evilmod.EvilOfflineStore\n")
    monkeypatch.setenv("FEAST_FS_YAML_FILE_PATH", str(other))
    repository = opened(tmp_path)
    assert [view.name for view in repository.current().list_feature_views()] == ["group"]


@pytest.mark.parametrize("text", ["", "- a", "1: 2", "project: x\nregistry: 3\nprovider: local", "[" * 5_000])
def test_a_file_that_is_no_document_is_named(tmp_path: Path, text: str) -> None:
    written(tmp_path).write_text(text)
    with pytest.raises((BadInput, Refused), match=r"feature_store\.yaml"):
        opened(tmp_path)


def test_the_names_that_are_accepted_are_feasts_own() -> None:
    from feast import data_source, repo_config
    from feast.infra import provider
    from feast.infra.registry import registry as files

    assert set(store_file.ONLINE_STORES) <= set(repo_config.ONLINE_STORE_CLASS_FOR_TYPE)
    assert set(store_file.OFFLINE_STORES) <= set(repo_config.OFFLINE_STORE_CLASS_FOR_TYPE)
    assert set(store_file.REGISTRIES) <= set(repo_config.REGISTRY_CLASS_FOR_TYPE)
    assert set(store_file.ENGINES) <= set(repo_config.BATCH_ENGINE_CLASS_FOR_TYPE)
    assert set(store_file.FEATURE_SERVERS) <= set(repo_config.FEATURE_SERVER_CONFIG_CLASS_FOR_TYPE)
    assert set(store_file.LOGINS) == set(repo_config.ALLOWED_AUTH_TYPES)
    assert set(store_file.REGISTRY_STORES) <= set(files.REGISTRY_STORE_CLASS_FOR_TYPE)
    assert set(store_file.PROVIDERS) <= set(provider.PROVIDERS_CLASS_FOR_TYPE)
    assert {provider.PROVIDERS_CLASS_FOR_TYPE[name] for name in store_file.PROVIDERS} == {
        "feast.infra.passthrough_provider.PassthroughProvider"
    }
    known = {*data_source._DATA_SOURCE_OPTIONS.values(), POSTGRES}
    assert known >= code_search.SOURCES


POSTGRES = "feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source.PostgreSQLSource"
HARMLESS_BYTES = {
    "DataSource.CustomSourceOptions.configuration",  # read by the class of the source, which is Feast's
    "FeatureViewVersionRecord.feature_view_proto",  # looked into
    "GEValidationProfile.expectation_suite",  # JSON
    "InfraObject.CustomInfra.field",  # in custom_infra, which is refused
}


def test_no_field_of_feasts_messages_is_overlooked() -> None:
    seen: set[str] = set()
    left = [sdk.RegistryProto.DESCRIPTOR]
    fields = []
    while left:
        kind = left.pop()
        if kind.full_name not in seen:
            seen.add(kind.full_name)
            fields += [(kind.full_name.removeprefix("feast.core."), field) for field in kind.fields]
            left += [field.message_type for field in kind.fields if field.message_type]
    assert {field.name for _, field in fields} >= code_search.FUNCTIONS | code_search.CHOSEN_CLASSES
    free = {
        f"{kind}.{field.name}"
        for kind, field in fields
        if field.type == field.TYPE_BYTES and field.name not in code_search.FUNCTIONS | code_search.CHOSEN_CLASSES
    }
    assert free == HARMLESS_BYTES
    classes = {field.name for _, field in fields if "class" in field.name}
    # The last is the name of a class of Java, which Feast hands to Spark.
    assert classes == {"data_source_class_type", "infra_object_class_type", "class_path"}

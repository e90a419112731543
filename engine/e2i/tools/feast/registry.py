"""Read and write Feast's registry file safely. In: a registry file. Out: its definitions, or an error with a hint.

Feast selects it by ``registry_store_type: e2i.tools.feast.registry.SafeRegistryStore``. Feast's own file store has two
defects. It leaves a partial file when it is killed while writing (``materialize`` writes too), and other processes can
read the partial file. It also unpickles any function in a registry. We write atomically, register plain views over
files and refuse to load anything else.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Any

import sqlalchemy

from e2i.errors import Refused, StepError
from e2i.tools.feast import sdk
from e2i.tools.feast.code_search import code_in, every
from e2i.tools.feast.repository import replacing

HARMLESS = {
    "entities",
    "data_sources",
    "feature_services",
    "feature_view_version_history",
    "feature_views",
    "infra",
    "last_updated",
    "project_metadata",
    "projects",
    "registry_schema_version",
    "version_id",
}
"""Sections of a registry without code but for what ``code_in`` finds. Others (on-demand and stream views …) have it."""
HARMLESS_BESIDE = {"permissions", "request_feature_views", "saved_datasets"}
"""The same for registries that others write to as well."""
TABLES_WITH_CODE = {"label_views", "on_demand_feature_views", "stream_feature_views", "validation_references"}
"""Tables of a SQL registry whose rows have code."""
MESSAGES = {
    "data_sources": "data_source_proto",
    "entities": "entity_proto",
    "feature_services": "feature_service_proto",
    "feature_views": "feature_view_proto",
    "permissions": "permission_proto",
    "projects": "project_proto",
    "saved_datasets": "saved_dataset_proto",
}
"""Tables of a SQL registry, which are sections of a registry file by the same name, with the column of the message."""


class SafeRegistryStore(sdk.FileRegistryStore):  # type: ignore[misc]  # Feast is not type-checked
    """A registry file without code that is written atomically."""

    _examined = b""
    """The last content that has no code."""

    def get_registry_proto(self) -> sdk.RegistryProto:
        """Read the registry. Raises FileNotFoundError (Feast then creates an empty one), StepError or Refused."""
        name = f"the Feast registry of version {self._filepath.parent.name[:12]}"
        content = self._filepath.read_bytes()
        registry = parse(content, name)
        if content != self._examined:
            refuse_code(registry, name)
            self._examined = content
        return registry

    def _write_registry(self, registry_proto: sdk.RegistryProto) -> None:
        registry_proto.version_id = str(uuid.uuid4())
        registry_proto.last_updated.GetCurrentTime()
        with replacing(self._filepath) as file:
            file.write(registry_proto.SerializeToString())


def refresh(store: sdk.FeatureStore) -> None:
    """Read the registry again. Raises what its database raises.

    Feast's own refresh of a SQL registry keeps what it read before when the database fails. It also confuses two
    registries, without a version, that are at one address in memory one after the other, because what it reads from a
    registry is kept by its address and its version.
    """
    registry = store.registry
    if not isinstance(registry, sdk.CachingRegistry):
        store.refresh_registry()
        return
    found = registry.proto()
    found.version_id = str(uuid.uuid4())
    registry.cached_registry_proto = found
    registry.cached_registry_proto_created = datetime.now(UTC)


def parse(data: bytes, name: str) -> sdk.RegistryProto:
    """Parse the registry. Raises StepError when the bytes are not a registry."""
    registry = sdk.RegistryProto()
    try:
        registry.ParseFromString(data)
    except sdk.DecodeError as error:
        raise StepError(
            f"{name} is corrupt: {error}",
            code="feature-registry-corrupt",
            hint="run feast.apply again (`e2i-run SPEC --fresh`): it rebuilds the registry from the definitions",
        ) from error
    return registry


def refuse_code(registry: sdk.RegistryProto, name: str, harmless: AbstractSet[str] = frozenset(HARMLESS)) -> None:
    """Raise Refused for anything but plain views over files, and for code that loading the registry would run.

    ``harmless`` are the sections that it may have.
    """
    found = {descriptor.name for descriptor, _ in registry.ListFields()} - harmless
    found = found or code_in(registry) or set(_more_than_plain(registry))
    if found:
        raise refusal(name, found)


def _more_than_plain(registry: sdk.RegistryProto) -> Iterator[str]:
    """Yield views that are derived from others, and sources at any depth that are neither files nor pushed rows."""
    plain = (sdk.DataSourceProto.BATCH_FILE, sdk.DataSourceProto.PUSH_SOURCE)
    for part in every(registry):
        if isinstance(part, sdk.DataSourceProto) and part.type not in plain:
            yield f"a source that is not a file, {part.name}"
    for view in registry.feature_views:
        if view.spec.source_views:
            yield f"a derived feature view {view.spec.name}"


def refuse_code_in_database(
    url: str, options: Mapping[str, Any], check: Callable[[sdk.RegistryProto, str], None] | None = None
) -> None:
    """Run a check on a SQL registry before Feast opens it; ``options`` are the engine's. Raises Refused."""
    engine = sqlalchemy.create_engine(url, **options)
    try:
        refuse_code_of_engine(engine, check)
    finally:
        engine.dispose()


def refuse_code_of_engine(
    engine: sqlalchemy.Engine, check: Callable[[sdk.RegistryProto, str], None] | None = None
) -> None:
    """Run a check (default: ``refuse_code``) on the SQL registry in an engine's database. Raises Refused."""
    name = "the Feast SQL registry"
    with engine.connect() as connection:
        present = set(sqlalchemy.inspect(connection).get_table_names())
        for table in sorted(TABLES_WITH_CODE & present):
            if connection.execute(sqlalchemy.text(f"SELECT 1 FROM {table} LIMIT 1")).first():
                raise refusal(name, {table})
        try:
            registry = _registry_of(connection, present)
        except sdk.DecodeError as error:
            raise StepError(
                f"{name} is corrupt: {error}", code="feature-registry-corrupt", hint="restore it from a backup"
            ) from error
    if check is None:
        refuse_code(registry, name, HARMLESS | HARMLESS_BESIDE)
    else:
        check(registry, name)


def _registry_of(connection: sqlalchemy.Connection, present: AbstractSet[str]) -> sdk.RegistryProto:
    """Return all messages of a SQL registry that Feast loads, as a registry."""

    def rows(columns: str, table: str) -> Any:
        return connection.execute(sqlalchemy.text(f"SELECT {columns} FROM {table}")) if table in present else ()

    registry = sdk.RegistryProto()
    for table, column in MESSAGES.items():
        for row in rows(column, table):
            getattr(registry, table).add().ParseFromString(bytes(row[0]))
    for row in rows("infra_proto", "managed_infra"):
        registry.infra.MergeFromString(bytes(row[0]))
    for kind, message in rows("feature_view_type, feature_view_proto", "feature_view_version_history"):
        registry.feature_view_version_history.records.add(feature_view_type=kind, feature_view_proto=bytes(message))
    return registry


def refusal(name: str, found: set[str], hint: str | None = None) -> Refused:
    """Return the error for a registry that contains what is not loaded."""
    plain = "e2i loads only registries of plain feature views over files, because the others can contain pickled code"
    return Refused(f"{name} contains {', '.join(sorted(found))}", code="feature-registry-refused", hint=hint or plain)

"""Read and write Feast's registry file safely. In: a registry file. Out: its definitions, or an error with a hint.

Feast selects it by ``registry_store_type: e2i.tools.feast.registry.SafeRegistryStore``. Feast's own file store has two
defects. It leaves a partial file when it is killed while writing (``materialize`` writes too), and other processes can
read the partial file. It also unpickles any function in a registry. We write atomically, register plain views over
files and refuse to load anything else.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy

from e2i.errors import Refused, StepError
from e2i.tools.feast import sdk
from e2i.tools.feast.repository import replacing

HARMLESS = {
    "entities",
    "data_sources",
    "feature_view_version_history",
    "feature_views",
    "infra",
    "last_updated",
    "project_metadata",
    "projects",
    "registry_schema_version",
    "version_id",
}
"""Sections of a registry that cannot contain code. Others (on-demand and stream views, validation references …) can."""
TABLES_WITH_CODE = {"label_views", "on_demand_feature_views", "stream_feature_views", "validation_references"}
"""The same for the tables of a SQL registry."""


class SafeRegistryStore(sdk.FileRegistryStore):  # type: ignore[misc]  # Feast is not type-checked
    """A registry file without code that is written atomically."""

    def get_registry_proto(self) -> sdk.RegistryProto:
        """Read the registry. Raises FileNotFoundError (Feast then creates an empty one), StepError or Refused."""
        name = f"the Feast registry of version {self._filepath.parent.name[:12]}"
        registry = parse(self._filepath.read_bytes(), name)
        refuse_code(registry, name)
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


def refuse_code(registry: sdk.RegistryProto, name: str) -> None:
    """Raise Refused for anything but plain views over files, and for code that loading the registry would run."""
    found = {descriptor.name for descriptor, _ in registry.ListFields()} - HARMLESS
    sources = list(registry.data_sources)
    for view in registry.feature_views:
        if view.spec.HasField("feature_transformation"):
            found.add(f"a transformation in feature view {view.spec.name}")
        if view.spec.HasField("stream_source") or view.spec.source_views:
            found.add(f"a derived feature view {view.spec.name}")
        sources.append(view.spec.batch_source)
    for source in sources:
        if source.type != sdk.DataSourceProto.BATCH_FILE:
            found.add(f"a source that is not a file, {source.name}")
    if any(record.feature_view_type != "feature_view" for record in registry.feature_view_version_history.records):
        found.add("an earlier version of another type of view")
    if found:
        raise refusal(name, found)


def refuse_code_in_database(
    url: str, options: Mapping[str, Any], check: Callable[[sdk.RegistryProto, str], None] = refuse_code
) -> None:
    """Run a check on a SQL registry before Feast opens it; ``options`` are the engine's. Raises Refused."""
    engine = sqlalchemy.create_engine(url, **options)
    registry = sdk.RegistryProto()
    try:
        with engine.connect() as connection:
            present = set(sqlalchemy.inspect(connection).get_table_names())
            for name in sorted(TABLES_WITH_CODE & present):
                if connection.execute(sqlalchemy.text(f"SELECT 1 FROM {name} LIMIT 1")).first():
                    raise refusal("the Feast SQL registry", {name})
            for name, column, parts in (
                ("feature_views", "feature_view_proto", registry.feature_views),
                ("data_sources", "data_source_proto", registry.data_sources),
            ):
                if name in present:
                    for row in connection.execute(sqlalchemy.text(f"SELECT {column} FROM {name}")):
                        parts.add().ParseFromString(bytes(row[0]))
    finally:
        engine.dispose()
    check(registry, "the Feast SQL registry")


def refusal(name: str, found: set[str], hint: str | None = None) -> Refused:
    """Return the error for a registry that contains what is not loaded."""
    plain = "e2i loads only registries of plain feature views over files, because the others can contain pickled code"
    return Refused(f"{name} contains {', '.join(sorted(found))}", code="feature-registry-refused", hint=hint or plain)

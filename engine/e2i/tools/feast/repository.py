"""Write definitions and their tables as a folder that Feast can open.

In: a definition and its tables. Out: files in this layout, below the store's feast home::

    PROJECT/sources/DIGEST.parquet            the rows of a view: immutable, shared by all versions that use them
    PROJECT/versions/DIGEST/definition.json   the content of this version; written last, its presence means complete
    PROJECT/versions/DIGEST/registry.db       Feast's registry of the version
    PROJECT/versions/DIGEST/online.db         Feast's online store of the version
    PROJECT/feature_store.yaml                the version applied last, for Feast's own command line and client

**Versions.** Two pipelines may apply different content under one project name. Each content is a separate version
with its own registry and online store. Every read names its version by digest, so neither pipeline sees the other's
definitions, data or published values. Only ``feature_store.yaml`` refers to the latest version, and no step reads it.
On a server, a project has one registry: every view has the digest of its definition as a tag, and reading a view that
was changed since is an error. The versions of a project share an online store on a server, as Feast intends: it holds
the values published last.

Paths inside are relative to PROJECT, so a store can be moved or copied.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from pydantic import ValidationError

from e2i.catalog.artifacts import FeatureRepo
from e2i.errors import StepError
from e2i.resilience.postgres import engine_options
from e2i.tools.feast import (
    FeastSettings,
    PostgresOnlineStore,
    RedisOnlineStore,
    SqliteOnlineStore,
    SqlRegistry,
)
from e2i.tools.feast.definitions import Definition, View

if TYPE_CHECKING:
    from collections.abc import Iterator

ARROW = {
    "bool": pa.bool_(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "string": pa.string(),
    "timestamp": pa.timestamp("us", "UTC"),
}


def version_folder(root: Path, digest: str) -> Path:
    """Return the folder of one version; ``digest`` may have its ``sha256:`` prefix."""
    return root / "versions" / digest.removeprefix("sha256:")


def source_file(view: View) -> str:
    """Return the path of a view's rows, relative to the project's folder."""
    return f"sources/{view.source}.parquet"


def read_definition(root: Path, repo: FeatureRepo) -> Definition:
    """Return the definition of a version. Raises StepError when this store does not have it, or its content differs."""
    path = version_folder(root, repo.digest) / "definition.json"
    version = f"version {repo.digest[7:19]} of the Feast project {repo.project}"
    again = "run feast.apply again (`e2i-run SPEC --fresh`)"
    try:
        definition = Definition.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise StepError(f"{version} is not in this store", code="feature-repo-missing", hint=again) from error
    except ValidationError as error:
        raise StepError(f"{version} is corrupt", code="feature-repo-corrupt", hint=again) from error
    if f"sha256:{definition.digest()}" != repo.digest:
        raise StepError(f"{version} is corrupt: its digest differs", code="feature-repo-corrupt", hint=again)
    return definition


def write_definition(root: Path, definition: Definition) -> None:
    """Mark a version as complete."""
    with replacing(version_folder(root, definition.digest()) / "definition.json") as file:
        file.write(definition.model_dump_json(indent=1).encode())


def write_source(root: Path, view: View, table: pa.Table) -> None:
    """Store the rows of a view, with exact types and microseconds in UTC. Does nothing when they are stored already.

    Rows with a null key are left out: they belong to no entity, and Feast's file store would match them with each
    other.
    """
    path = root / source_file(view)
    if path.exists():
        return
    casts = {name: ARROW[type_] for name, type_ in view.casts().items()}
    columns = {name: _column(view, table, name, casts.get(name)) for name in table.column_names}
    for name in filter(None, (view.timestamp, view.created)):
        nulls = columns[name].null_count
        if nulls:
            raise StepError(
                f"{nulls} rows of feature view {view.name} have no {name!r}, so they have no point in time",
                code="null-timestamp",
                hint="drop these rows before feast.apply, for instance with data.select",
            )
    keyed = pa.table(columns)
    for key in view.join_keys:
        keyed = keyed.filter(keyed[key].is_valid())
    with replacing(path) as file:
        pq.write_table(keyed, file, compression="zstd")


def no_rows(view: View) -> pa.Table:
    """Return the columns of a view without rows."""
    return pa.schema([(name, ARROW[kind]) for name, kind in view.casts().items()]).empty_table()


def copy_database(source: Path, target: Path) -> None:
    """Copy a SQLite database as of one moment. Does nothing when the target exists, or the source does not."""
    if target.exists() or not source.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-") as folder:
        path = Path(folder) / target.name
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(path)) as new:
            old.backup(new)
        path.replace(target)


def configuration(settings: FeastSettings, folder: Path, project: str) -> dict[str, Any]:
    """Return Feast's configuration of one version, relative to the project's folder. All classes are named here.

    ``folder`` is the version's, relative to the project's.
    """
    registry: dict[str, Any] = {
        "registry_type": "file",
        "registry_store_type": "e2i.tools.feast.registry.SafeRegistryStore",
        "path": str(folder / "registry.db"),
        "cache_ttl_seconds": 0,
    }
    if isinstance(settings.registry, SqlRegistry):
        registry = {
            "registry_type": "sql",
            "path": settings.registry.url.get_secret_value(),
            "cache_ttl_seconds": 60,
            "sqlalchemy_config_kwargs": registry_options(settings),
        }
    engine = "e2i.tools.feast.offline.AsofOfflineStore" if settings.offline_store == "asof" else "file"
    return {
        "project": project,
        "provider": "local",
        "registry": registry,
        "online_store": _online_store(settings, folder),
        "offline_store": {"type": engine},
        # Otherwise Feast reads every row and keeps an arbitrary one of those with equal times.
        "materialization": {"pull_latest_features": True, "online_write_batch_size": 10_000},
        "entity_key_serialization_version": 3,
    }


def registry_options(settings: FeastSettings) -> dict[str, Any]:
    """Return options with which SQLAlchemy opens the SQL registry: no query may exceed its deadline."""
    assert isinstance(settings.registry, SqlRegistry)
    seconds = settings.registry_deadline
    return {"pool_pre_ping": True, **engine_options(settings.registry.url.get_secret_value(), seconds, seconds)}


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Lock the project, so that no other process registers in it meanwhile."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "apply.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def point_feast_at(root: Path, settings: FeastSettings, folder: Path, project: str) -> None:
    """Write ``feature_store.yaml`` for Feast's own client, in embedded mode. Reading it does not need e2i."""
    if isinstance(settings.registry, SqlRegistry) or not isinstance(settings.online_store, SqliteOnlineStore):
        return
    document = configuration(settings.model_copy(update={"offline_store": "file"}), folder, project)
    document["registry"] = {"registry_type": "file", "path": document["registry"]["path"]}
    with replacing(root / "feature_store.yaml") as file:
        file.write(yaml.safe_dump(document, sort_keys=False).encode())


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file that atomically replaces ``path`` once it is written and synced to disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-") as folder:
        new = Path(folder) / path.name
        with new.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)


def _online_store(settings: FeastSettings, folder: Path) -> dict[str, Any]:
    match settings.online_store:
        case SqliteOnlineStore():
            return {"type": "sqlite", "path": str(folder / "online.db")}
        case RedisOnlineStore() as redis:
            options: Mapping[str, object] = {
                "db": redis.db,
                "ssl": str(redis.ssl).lower(),
                "socket_timeout": settings.deadline,
                "socket_connect_timeout": settings.deadline,
                "retry": "null",  # its own retries sleep for seconds before reporting a refused password
                **({"password": redis.password.get_secret_value()} if redis.password else {}),
            }
            parts = [f"{redis.host}:{redis.port}", *(f"{name}={value}" for name, value in options.items())]
            return {"type": "redis", "connection_string": ",".join(parts)}
        case PostgresOnlineStore() as postgres:
            return {**postgres.model_dump(exclude={"password"}), "password": postgres.password.get_secret_value()}


def _column(view: View, table: pa.Table, name: str, type_: pa.DataType | None) -> pa.ChunkedArray:
    """Return a column in the type that the view declares; any other column in microseconds and without dictionaries."""
    column = table[name]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if type_ is None:
        type_ = ARROW["timestamp"] if pa.types.is_timestamp(column.type) else column.type
    if pa.types.is_timestamp(type_) and not pa.types.is_temporal(column.type):
        raise StepError(
            f"column {name!r} of feature view {view.name} is {column.type}, not a timestamp",
            code="not-a-timestamp",
            hint="parse it as a timestamp when the table is loaded",
        )
    try:
        return column.cast(type_, safe=not pa.types.is_timestamp(type_))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise StepError(
            f"column {name!r} of feature view {view.name} is {column.type} and cannot be read as {type_}: {error}",
            code="bad-feature",
            hint="set the type of the entity or the feature to that of its column",
        ) from error

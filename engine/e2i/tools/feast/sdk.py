"""Import Feast fast and without output. In: nothing. Out: the names of Feast that we use.

``import feast`` takes several times longer than necessary because ``typeguard.typechecked`` instruments Feast's classes
as they are defined. We need no run-time checks of Feast's annotations, so the decorator is a no-op while Feast is
imported and is restored at once. The remaining time (about 0.8 s beyond pandas) is SQLAlchemy, FastAPI and Feast's own
modules, which it imports unconditionally. Modules that it would import later (provider, SQLite store, local engine) are
imported here too, so that they are not instrumented then. No other module of e2i may import feast first.

Feast also creates a temporary folder for its server's metrics, which a killed worker would leave behind. It creates
none when the environment names one, so the environment does while Feast is imported.

Feast prints to standard output while it materializes. ``print`` is shadowed in the one module that does so, because
redirecting standard output would also discard the output of other threads.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

import typeguard


@contextmanager
def _without_typeguard() -> Iterator[None]:
    """Disable ``typeguard.typechecked`` inside the block."""

    def untouched(target: Any = None, **_options: Any) -> Any:
        return target if target is not None else lambda decorated: decorated

    original = typeguard.typechecked
    typeguard.typechecked = untouched
    try:
        yield
    finally:
        typeguard.typechecked = original


@contextmanager
def _without_metrics_files() -> Iterator[None]:
    """Keep Feast's metrics in memory inside the block, so that it creates no folder for them."""
    import prometheus_client  # noqa: F401  (decides at its own import, before the variables are set, to use no files)

    names = ("PROMETHEUS_MULTIPROCESS_DIR", "PROMETHEUS_MULTIPROC_DIR")
    before = {name: os.environ[name] for name in names if name in os.environ}
    os.environ.update(dict.fromkeys(names, os.devnull))
    try:
        yield
    finally:
        for name in names:
            del os.environ[name]
        os.environ.update(before)


with _without_typeguard(), _without_metrics_files():
    import feast.infra.compute_engines.local.compute
    import feast.infra.online_stores.sqlite as sqlite_store
    import feast.infra.passthrough_provider  # noqa: F401  (imported for its effect, as said above)
    from feast import (
        Entity,
        FeatureService,
        FeatureStore,
        FeatureView,
        Field,
        FileSource,
        PushSource,
        RepoConfig,
        ValueType,
        feature_store,
        types,
    )
    from feast.errors import FeastModuleImportError, FeatureViewNotFoundException
    from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
    from feast.infra.registry.caching_registry import CachingRegistry
    from feast.infra.registry.file import FileRegistryStore
    from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
    from feast.protos.feast.core.FeatureView_pb2 import FeatureView as FeatureViewProto
    from feast.protos.feast.core.Registry_pb2 import Registry as RegistryProto
    from feast.repo_config import FeastConfigBaseModel
    from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]  # protobuf ships no types


def restore_times() -> None:
    """Register Feast's forms of times with sqlite3 again: pandas replaces them for the whole process when it writes a
    table to SQLite, and Feast's online store then fails, or writes what other processes cannot read.
    """
    sqlite3.register_adapter(date, sqlite_store.adapt_date_iso)
    sqlite3.register_adapter(datetime, sqlite_store.adapt_datetime_epoch)
    sqlite3.register_converter("date", sqlite_store.convert_date)
    sqlite3.register_converter("datetime", sqlite_store.convert_datetime)
    sqlite3.register_converter("timestamp", _timestamp)


def _timestamp(value: bytes) -> datetime:
    """Convert seconds since the epoch, as Feast writes them, or ISO 8601, as pandas does."""
    return sqlite_store.convert_timestamp(value) if value.isdigit() else datetime.fromisoformat(value.decode())


feature_store.__dict__["print"] = lambda *_args, **_options: None
logging.getLogger("feast").setLevel(logging.ERROR)

__all__ = [
    "CachingRegistry",
    "DataSourceProto",
    "DecodeError",
    "Entity",
    "FeastConfigBaseModel",
    "FeastModuleImportError",
    "FeatureService",
    "FeatureStore",
    "FeatureView",
    "FeatureViewNotFoundException",
    "FeatureViewProto",
    "Field",
    "FileRegistryStore",
    "FileSource",
    "Message",
    "OfflineStore",
    "PushSource",
    "RegistryProto",
    "RepoConfig",
    "RetrievalJob",
    "RetrievalMetadata",
    "ValueType",
    "restore_times",
    "types",
]

"""The features of programs, in a Feast repository that they change. In: features, rows, keys. Out: feature values.

The repository is the store's own, or an existing one (``repo_path``), which is used as it is. The registry is the only
place that knows what is registered, so several programs see the same features at once.

The own repository keeps the rows of a view as a folder of files (``parts``), joins them by ``AsofOfflineStore``, and
has no ttl. A change holds the repository's file lock, so nothing that two processes register or push is lost.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from e2i.errors import BadInput, StepError
from e2i.tools.feast import (
    FeastSettings,
    FeatureType,
    at_hand,
    casting,
    existing,
    groups,
    parts,
    repository,
    retrieval,
    sdk,
)
from e2i.tools.feast import statistics as figures
from e2i.tools.feast.definitions import labels
from e2i.tools.feast.dtypes import NAME, feature_type
from e2i.tools.feast.file_state import FileState, settled
from e2i.tools.feast.given import frame_of, moment_of, scalar_of, table_of
from e2i.tools.feast.groups import PENDING, Group
from e2i.tools.feast.offline import ENTITY_TIME, MICROSECONDS, exact_frame, micros, source_path
from e2i.tools.feast.point_in_time import newest_of_each_key
from e2i.tools.feast.registry import refresh, refuse_code_of_engine
from e2i.tools.feast.repository import ARROW, replacing
from e2i.tools.feast.store_file import no_repository
from e2i.tools.feast.versions import FEAST_TYPES, connect

PROJECT = "e2i_programs"
"""Feast project of the own repository."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime(2262, 1, 1, tzinfo=UTC)
"""Later than all times that pandas has in nanoseconds."""
ROWS_PER_WRITE = 10_000
"""Rows in one write to the online store."""


class Repository:
    """One open Feast repository. ``home`` is the tool's folder in the store.

    Raises StepError, BadInput or Refused for what the caller can correct.
    """

    def __init__(self, settings: FeastSettings, home: Path, workspace: Path) -> None:
        self._settings = settings
        self._existing = None if settings.repo_path is None else (workspace / settings.repo_path).resolve()
        self._root = self._existing or home / PROJECT
        self._exchange = threading.RLock()
        """Held while the online store is used: Feast has one connection to it."""
        self._store = self._connect()
        self._registered: FileState | None = None
        """State of the registry's file when Feast read it last."""

    def _connect(self) -> sdk.FeatureStore:
        if self._existing is not None:
            return existing.connect(self._existing, self._settings)
        self._root.mkdir(parents=True, exist_ok=True)
        configuration = repository.configuration(self._settings, Path(), PROJECT)
        if configuration["online_store"]["type"] == "redis":
            configuration["online_store"]["skip_dedup"] = True  # `push` decides which row is the newest, and is alone
        with self.locked():
            store = connect(self._settings, self._root, configuration)
            repository.point_feast_at(self._root, self._settings, Path(), PROJECT)
        return store

    def current(self) -> sdk.FeatureStore:
        """Return Feast, with what other processes have registered meanwhile."""
        store = self._store
        file = at_hand.registry_file(store)
        state = settled(file) if file is not None else None
        if state is not None and state == self._registered:
            return store
        if self._existing is not None:
            existing.check(store, self._settings)
        elif isinstance(store.registry, sdk.CachingRegistry):
            refuse_code_of_engine(store.registry.read_engine)
        refresh(store)
        self._registered = state
        return store

    def register(self, feature: str, group: str, entity: str, dtype: object, description: str | None) -> None:
        """Register one feature of a view; the view and its entity are made when they are missing."""
        for name, what in ((feature, "feature"), (group, "feature group"), (entity, "entity")):
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise BadInput(
                    f"{name!r:.80} cannot be the name of a {what}",
                    code="bad-name",
                    hint="use letters, digits and underscores, and begin with a letter",
                )
        kind = feature_type(dtype)
        with self.locked():
            store = self.current()
            found = groups.find(store, group) if group in groups.known(store) else None
            if found is None:
                self._make(store, group, entity, feature, kind, description)
            else:
                self._extend(store, found, entity, feature, kind, description)

    def push(self, view: str, given: object, *, once: bool = False) -> int:
        """Write rows offline, and each key's newest row online; return the number of rows.

        ``once``: rows that the view has already, with these values, are not written offline again.
        """
        frame = frame_of(given)
        with self.locked():
            store = self.current()
            group = groups.find(store, view)
            if group.computed or group.view.batch_source is None:
                raise StepError(f"feature view {view} is computed and takes no rows", code="bad-feature")
            if not len(frame):
                return 0
            typed = self._typed(group, frame)
            table = casting.exact(frame, self._columns(typed), (*typed.keys, self._time(typed)))
            if typed is not group:
                group = self._settle(store, group, typed.keys)
            new = table.filter(pa.array(~self._held(store, group, table))) if once else table
            if new.num_rows:
                self._append(store, group, new)
            self._publish(store, group, table)
        return len(frame)

    def _held(self, store: sdk.FeatureStore, group: Group, table: pa.Table) -> npt.NDArray[np.bool_]:
        """Return for each row whether the view has it: the same key, time and features."""
        names = table.column_names
        times = micros(table[self._time(group)])
        rows = self.rows(store, group, names, EPOCH + timedelta(microseconds=int(times.min())), _after(times.max()))
        held = pa.table({name: rows[name].cast(table[name].type, safe=False) for name in names})
        index = pd.MultiIndex.from_frame(exact_frame(held))
        found: npt.NDArray[np.bool_] = pd.MultiIndex.from_frame(exact_frame(table)).isin(index)
        return found

    def historical(self, given: object, references: Sequence[str], full_feature_names: bool) -> pd.DataFrame:
        """Return the frame with the features of each row, as they were known at its ``event_timestamp``."""
        frame = frame_of(given)
        store = self.current()
        found, asked = groups.resolve(store, references)
        names = labels(asked, full_feature_names)
        if clash := [name for name in names.values() if name in frame.columns]:
            raise StepError(
                f"the entity rows have a column {clash[0]!r} already, which is also a requested feature",
                code="feature-name-collision",
                hint="set full_feature_names=True, or leave the column out",
            )
        others = [name for group in found.values() for name in group.others]
        apart = {group.name: group.apart for group in found.values()}
        keys = groups.key_types(found)
        values = retrieval.joined(store, frame, keys, names, ENTITY_TIME, others=others, apart=apart)
        joined: pd.DataFrame = frame.join(values) if frame.index.is_unique else _beside(frame, values)
        return joined

    def online_request(
        self, rows: Sequence[Mapping[str, Any]], references: Sequence[str], full_feature_names: bool = False
    ) -> tuple[dict[str, tuple[str, ...]], dict[tuple[str, str], str], list[dict[str, Any]]]:
        """Return the columns that each view needs, the label of each feature, and the checked keys of each row."""
        found, names, keys = self._request(rows, references, full_feature_names)
        return {name: (*group.keys, *group.others) for name, group in found.items()}, names, keys

    def _request(
        self, rows: Sequence[Mapping[str, Any]], references: Sequence[str], full_feature_names: bool
    ) -> tuple[dict[str, Group], dict[tuple[str, str], str], list[dict[str, Any]]]:
        found, asked = groups.resolve(self.current(), references)
        others = {name: None for group in found.values() for name in group.others}
        plain = [{str(name): scalar_of(value) for name, value in row.items()} for row in rows]
        keys = retrieval.checked_keys({**groups.key_types(found), **others}, plain)
        return found, labels(asked, full_feature_names), keys

    def at_hand(
        self, rows: Sequence[Mapping[str, Any]], references: Sequence[str], full_feature_names: bool = False
    ) -> tuple[list[dict[str, Any]], list[str]] | None:
        """Return keys and features of each row, and their names, without waiting; None where that is not possible.

        That is for what ``at_hand`` reads, while no other thread uses the online store.
        """
        if not at_hand.is_local(self._store) or not self._exchange.acquire(blocking=False):
            return None
        try:
            found, names, keys = self._request(rows, references, full_feature_names)
            if any(group.computed for group in found.values()):
                return None
            columns = {name: tuple(group.keys) for name, group in found.items()}
            stored = {name: len(group.features) for name, group in found.items()}
            values = at_hand.read(self._store, columns, names, keys, stored)
        finally:
            self._exchange.release()
        needed = dict.fromkeys(key for keys in columns.values() for key in keys)
        return None if values is None else (values, [*needed, *names.values()])

    def online(
        self,
        columns: Mapping[str, Sequence[str]],
        names: Mapping[tuple[str, str], str],
        rows: Sequence[Mapping[str, Any]],
    ) -> list[dict[str, Any]]:
        """Return keys and features of each row; None for values that are not in the online store."""
        with self._exchange:
            return retrieval.read_online(self._store, columns, names, rows)

    def statistics(self, view: str, reference: object) -> dict[str, dict[str, Any]]:
        """Return feature → figures over all its rows; with a reference (a frame, or the name of a view) also drift."""
        store = self.current()
        group = groups.find(store, view)
        table = self.rows(store, group)
        before = None
        if isinstance(reference, str):
            before = self.rows(store, groups.find(store, reference))
        elif reference is not None:
            before = table_of(reference, {name: kind for name, kind in group.features.items() if kind is not None})
        found: dict[str, dict[str, Any]] = {}
        for feature in group.features:
            found[feature] = figures.describe(table[feature])
            if before is not None and feature in before.column_names:
                found[feature]["drift"] = figures.drift(table[feature], before[feature])
        if before is not None and not any("drift" in one for one in found.values()):
            raise StepError(
                f"the reference has none of the features of {view}",
                code="unknown-feature",
                hint=f"its features: {', '.join(group.features)}",
            )
        return found

    def materialize(self, end: object) -> datetime:
        """Publish each key's newest row up to ``end`` (default: now, or the newest row) online; return that time."""
        with self.locked():
            store = self.current()
            found = groups.every(store)
            views = [group for group in found if not group.computed and group.view.online and group.view.batch_source]
            until = moment_of(end) if end is not None else datetime.now(UTC)
            if end is None and self._existing is None:
                until = max([until, *(self._last_moment(store, group) for group in views)])
            self._prepare(store, views)
            for group in views:
                ttl = group.view.ttl
                start = until - ttl if ttl else EPOCH
                sdk.restore_times()
                store.materialize(start, until, feature_views=[group.name])
        return until

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the repository's lock: a lock on its folder, which leaves no file in an existing repository."""
        if self._existing is None:
            self._root.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise no_repository(self._root) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            with self._exchange:
                yield
        finally:
            os.close(handle)

    def _make(
        self, store: sdk.FeatureStore, group: str, entity: str, feature: str, kind: FeatureType, description: str | None
    ) -> None:
        """Register a view with its first feature, and its entity when that is not known."""
        known = next((item for item in store.list_entities(allow_cache=True) if item.name == entity), None)
        if known is None:
            tags = {PENDING: "pending"}
            known = sdk.Entity(name=entity, join_keys=[entity], value_type=sdk.ValueType.STRING, tags=tags)
        pending = known.tags.get(PENDING) == "pending"
        if feature in (known.join_key, ENTITY_TIME):
            raise _reserved(feature)
        key = FEAST_TYPES["int64"] if known.value_type == sdk.ValueType.INT64 else FEAST_TYPES["string"]
        source = f"sources/{group}.parquet" if self._existing is None else f"data/{group}.parquet"
        view = sdk.FeatureView(
            name=group,
            entities=[known],
            ttl=timedelta(0),
            schema=[sdk.Field(name=known.join_key, dtype=key), _field(feature, kind, description)],
            source=sdk.FileSource(name=f"{group}_source", path=source, timestamp_field=ENTITY_TIME),
            online=True,
            tags={PENDING: "pending" if pending else "typed"},
        )
        self._declare(store, view)
        store.apply([known, view])

    def _extend(
        self,
        store: sdk.FeatureStore,
        group: Group,
        entity: str,
        feature: str,
        kind: FeatureType,
        description: str | None,
    ) -> None:
        """Register one more feature of a view, or its new description."""
        view = group.view
        if group.computed or list(view.entities) != [entity]:
            raise StepError(
                f"feature group {group.name} has the entity {', '.join(getattr(view, 'entities', ()))}, not {entity}",
                code="other-entity",
                hint="use its entity, or another group",
            )
        if feature in (*group.keys, ENTITY_TIME):
            raise _reserved(feature)
        held = group.features.get(feature, kind)
        if held != kind:
            raise StepError(
                f"feature {group.name}:{feature} has the dtype {held}, not {kind}",
                code="other-dtype",
                hint="a feature keeps its dtype: register it under another name",
            )
        old = next((field for field in view.features if field.name == feature), None)
        if old is not None and description in (None, old.description):
            return
        fields = [field for field in view.features if field.name != feature]
        position = next((index for index, field in enumerate(view.features) if field.name == feature), len(fields))
        fields.insert(position, _field(feature, kind, description))
        changed = _own(view)
        changed.features = fields
        self._declare(store, changed)
        store.apply([changed])

    def _declare(self, store: sdk.FeatureStore, view: Any) -> None:
        """Write the columns of a view that programs made, so that Feast finds them before there are rows."""
        if PENDING not in view.tags or not isinstance(view.batch_source, sdk.FileSource):
            return
        keys = [(column.name, ARROW[groups.NAMES[column.dtype]]) for column in view.entity_columns or _keys(view)]
        features = [(field.name, ARROW[groups.NAMES[field.dtype]]) for field in view.features]
        schema = pa.schema([*keys, (ENTITY_TIME, MICROSECONDS), *features])
        path = source_path(store.config, view.batch_source)
        if self._existing is None:
            parts.declare(path, schema)
            return
        held = pq.read_table(path) if path.is_file() else schema.empty_table()
        columns = [
            held[f.name].cast(f.type) if f.name in held.column_names else pa.nulls(len(held), f.type) for f in schema
        ]
        with replacing(path) as file:
            pq.write_table(pa.table(columns, schema=schema), file)

    def _typed(self, group: Group, frame: pd.DataFrame) -> Group:
        """Return the view with the type of its key: by these rows, when they are the first."""
        if not group.pending:
            return group
        return Group(group.view, {key: casting.key_type(frame, key) for key in group.keys}, group.features)

    def _settle(self, store: sdk.FeatureStore, group: Group, keys: Mapping[str, FeatureType | None]) -> Group:
        """Give the entity the type of its first rows, in each view that has had none."""
        entity_name = group.view.entities[0]
        entity = _own(store.get_entity(entity_name, allow_registry_cache=True))
        kind = next(iter(keys.values()))
        entity.value_type = sdk.ValueType.INT64 if kind == "int64" else sdk.ValueType.STRING
        entity.tags = {**entity.tags, PENDING: "typed"}
        views = []
        for name in groups.known(store):
            other = groups.find(store, name)
            if other.pending and list(other.view.entities) == [entity_name]:
                view = _own(other.view)
                view.entity_columns = [sdk.Field(name=key, dtype=FEAST_TYPES[kind or "string"]) for key in other.keys]
                view.tags = {**view.tags, PENDING: "typed"}
                self._declare(store, view)
                views.append(view)
        store.apply([entity, *views])
        refresh(store)
        return groups.find(store, group.name)

    def _columns(self, group: Group) -> dict[str, FeatureType]:
        """Return the columns that rows of a view must have."""
        known = {**group.keys, self._time(group): "timestamp", **group.features}
        odd = [name for name, kind in known.items() if kind is None]
        if odd:
            raise StepError(
                f"feature {group.name}:{odd[0]} has a type that cannot be pushed",
                code="bad-feature",
                hint="write it by Feast itself",
            )
        return {name: kind for name, kind in known.items() if kind is not None}

    def _time(self, group: Group) -> str:
        return str(group.view.batch_source.timestamp_field)

    def _append(self, store: sdk.FeatureStore, group: Group, table: pa.Table) -> None:
        """Write rows offline, in the columns of the source."""
        if self._existing is None:
            parts.append(source_path(store.config, group.view.batch_source), table)
            return
        provider = store._get_provider()
        described = list(
            provider.get_table_column_names_and_types_from_data_source(store.config, group.view.batch_source)
        )
        frame, created = exact_frame(table), group.view.batch_source.created_timestamp_column
        for name, _ in described:
            if name not in frame.columns:
                frame[name] = pd.Timestamp.now(tz="UTC") if name == created else None
        frame = frame[[name for name, _ in described]]
        if isinstance(group.view.batch_source, sdk.FileSource):
            schema = pq.read_schema(source_path(store.config, group.view.batch_source))
            rows = pa.Table.from_pandas(frame, schema=schema, preserve_index=False, safe=False)
            provider.ingest_df_to_offline_store(group.view, rows.replace_schema_metadata(schema.metadata))
        else:
            store.write_to_offline_store(group.name, frame)

    def _publish(self, store: sdk.FeatureStore, group: Group, pushed: pa.Table) -> None:
        """Write each pushed key's newest row online: of all its rows, so that older ones replace nothing."""
        keys, time = list(group.keys), self._time(group)
        created = group.view.batch_source.created_timestamp_column or None
        self._prepare(store, [group])
        if isinstance(group.view.batch_source, sdk.FileSource):
            wanted = pushed.select(keys).group_by(keys).aggregate([])
            columns = [*keys, time, *group.features, *([created] if created else [])]
            rows = _of_keys(self._source_rows(store, group, columns), wanted, keys)
        else:
            rows = pushed.append_column(created, pushed[time]) if created else pushed
        known = micros(rows[created]) if created else None
        newest = rows.take(
            newest_of_each_key(exact_frame(rows.select(keys)), micros(rows[time]), keys=keys, created=known)
        )
        for first in range(0, newest.num_rows, ROWS_PER_WRITE):
            store._get_provider().ingest_df(group.view, exact_frame(newest.slice(first, ROWS_PER_WRITE)))

    def _prepare(self, store: sdk.FeatureStore, views: Sequence[Group]) -> None:
        """Make the tables of an online store of ours that was emptied."""
        if self._existing is None:
            store._get_provider().online_store.update(
                store.config, [], [group.view for group in views], [], [], partial=True
            )

    def _source_rows(self, store: sdk.FeatureStore, group: Group, columns: Sequence[str]) -> pa.Table:
        path = source_path(store.config, group.view.batch_source)
        return parts.read(path, columns) if path.is_dir() else pq.read_table(path, columns=list(columns))

    def rows(
        self,
        store: sdk.FeatureStore,
        group: Group,
        columns: Sequence[str] | None = None,
        start: datetime = EPOCH,
        end: datetime = LAST,
    ) -> pa.Table:
        """Return the rows of a view with times in [start, end], by Feast's own offline store.

        ``columns``: keys, times and features of the view; default: its features. Raises StepError for a view without
        rows.
        """
        source = group.view.batch_source
        if group.computed or source is None:
            raise StepError(f"feature view {group.name} is computed and has no rows", code="bad-feature")
        wanted = list(group.features) if columns is None else list(columns)
        job = store._get_provider().offline_store.pull_all_from_table_or_query(
            config=store.config,
            data_source=source,
            join_key_columns=list(group.keys),
            feature_name_columns=[name for name in wanted if name in group.features],
            timestamp_field=source.timestamp_field,
            created_timestamp_column=source.created_timestamp_column if _is_created(source, wanted) else None,
            start_date=start,
            end_date=end,
        )
        return job.to_arrow()

    def _last_moment(self, store: sdk.FeatureStore, group: Group) -> datetime:
        times = micros(self._source_rows(store, group, [self._time(group)])[self._time(group)])
        return EPOCH + timedelta(microseconds=int(times.max())) if len(times) else EPOCH


def _after(micros: Any) -> datetime:
    """Return the end of a range that has a time in microseconds, also for stores that compare in coarser units."""
    return EPOCH + timedelta(microseconds=int(micros), seconds=1)


def _is_created(source: Any, columns: Sequence[str]) -> bool:
    return bool(source.created_timestamp_column) and source.created_timestamp_column in columns


def _own(registered: Any) -> Any:
    """Return a copy to change: Feast keeps what it reads from a registry, and would show changes that failed."""
    return type(registered).from_proto(registered.to_proto())


def _keys(view: Any) -> list[Any]:
    """Return the key columns of a view that is not registered yet."""
    features = {field.name for field in view.features}
    return [field for field in view.schema if field.name not in features]


def _field(name: str, kind: FeatureType, description: str | None) -> Any:
    return sdk.Field(name=name, dtype=FEAST_TYPES[kind], description=description or "")


def _reserved(name: str) -> StepError:
    return StepError(
        f"{name!r} is the key or the time of the rows, not a feature", code="bad-feature", hint="choose another name"
    )


def _of_keys(rows: pa.Table, wanted: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Return the rows with one of the wanted keys, in their order."""
    index = pd.MultiIndex.from_frame(exact_frame(wanted.select(list(keys))))
    held = pd.MultiIndex.from_frame(exact_frame(rows.select(list(keys))))
    return rows.filter(pa.array(held.isin(index)))


def _beside(frame: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of both, row by row, where the index repeats."""
    joined = frame.reset_index(drop=True).join(values.reset_index(drop=True))
    return joined.set_axis(frame.index)

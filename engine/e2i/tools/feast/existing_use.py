"""Use an existing repository in steps, as it is. In: an open repository. Out: what it has, feature values, counts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from msgspec import Struct

from e2i.catalog.artifacts import FeatureRepo
from e2i.tools.feast import Published, groups, retrieval, sdk
from e2i.tools.feast.code_search import every
from e2i.tools.feast.definitions import labels
from e2i.tools.feast.groups import Group
from e2i.tools.feast.offline import exact_frame, micros, source_path, within
from e2i.tools.feast.point_in_time import newest_of_each_key
from e2i.tools.feast.programs import EPOCH, LAST, Repository
from e2i.tools.feast.published import not_online, refuse_unpublished


class Seen(Struct, frozen=True):
    """What a repository has. ``online`` identifies the state of its online store, as far as that can be known."""

    repo: FeatureRepo
    online: str


def look(theirs: Repository, moment: str) -> Seen:
    """Return the definitions of a repository. The digest covers them, and the rows of sources that are local files.

    ``moment`` identifies the state of what cannot be read as a file, such as a table on a server: it may change at any
    time.
    """
    store = theirs.current()
    found = groups.every(store)
    digest = hashlib.sha256()
    for part in _definitions(store):
        digest.update(len(part).to_bytes(8, "big") + part)
    for group in found:
        if not group.computed:
            digest.update(_state(store, group.view.batch_source, moment).encode())
    repo = FeatureRepo(
        digest=f"sha256:{digest.hexdigest()}",
        project=store.project,
        views={group.name: tuple(group.features) for group in found},
        join_keys={group.name: tuple(group.keys) for group in found},
        requests={group.name: group.others for group in found if group.others},
        services=groups.services(store),
        existing=True,
    )
    return Seen(repo, _online(store, moment))


def historical(
    theirs: Repository,
    frame: pd.DataFrame,
    references: Sequence[str],
    timestamp: str,
    created_cutoff: bool,
    full_feature_names: bool,
) -> tuple[pd.DataFrame, str | None]:
    """Return the features of each row at its point in time, with the frame's index, and a warning.

    The join is the one of the repository's own offline store. Not each of them can leave out values that became known
    later.
    """
    store = theirs.current()
    found, asked = groups.resolve(store, references)
    names = labels(asked, full_feature_names)
    engine = store._get_provider().offline_store
    able = bool(getattr(engine, "supports_filter_by_created_timestamp", False))
    late = [group.name for group in found.values() if _created(group)] if created_cutoff and not able else []
    warning = None
    if late:
        warning = (
            f"the offline store of the repository cannot leave out values of {', '.join(late)} that became known after "
            f"a row's point in time ({store.config.offline_store.type})"
        )
    others = [name for group in found.values() for name in group.others]
    values = retrieval.joined(
        store,
        frame,
        groups.key_types(found),
        names,
        timestamp,
        created_cutoff=created_cutoff and able,
        others=list(dict.fromkeys(others)),
        apart={group.name: group.apart for group in found.values()},
    )
    return values, warning


def materialize(
    theirs: Repository, views: Sequence[str] | None, start: datetime | None, end: datetime | None
) -> tuple[datetime, dict[str, Published]]:
    """Publish each key's newest row with a time in [start, end]; return ``end`` (default: the newest time) and counts.

    Without ``views``: all that have rows and are declared for the online store.
    """
    with theirs.locked():
        store = theirs.current()
        chosen = [groups.find(store, name) for name in views] if views else _publishable(groups.every(store))
        held = {group.name: theirs.rows(store, group, _keyed(group), start or EPOCH, end or LAST) for group in chosen}
        until = end or max((_newest(held[group.name], group) for group in chosen), default=EPOCH)
        published: dict[str, Published] = {}
        for group in chosen:
            since = _since(group, start, until)
            published[group.name] = _count(held[group.name], group, since, until)
            if published[group.name].keys:
                sdk.restore_times()
                store.materialize(since, until, feature_views=[group.name])
        lost = _lost(theirs, store, [name for name, count in published.items() if count.keys], start, until)
    refuse_unpublished(lost)
    return until, published


def unpublished(theirs: Repository, views: Sequence[str], start: datetime | None, until: datetime) -> str | None:
    """Return what is missing online of the values that ``materialize`` published, by checking some keys."""
    return _lost(theirs, theirs.current(), views, start, until)


def rows(theirs: Repository, name: str) -> tuple[pa.Table, str]:
    """Return all rows of a view, with its features and its time, and the name of the column with the time."""
    store = theirs.current()
    group = groups.find(store, name)
    time = "" if group.computed else group.view.batch_source.timestamp_field
    found = theirs.rows(store, group, [*group.features, time])  # raises for an on-demand view
    return found.select([*group.features, time]), time


def push(theirs: Repository, name: str, given: pa.Table, moment: str) -> tuple[FeatureRepo, list[str]]:
    """Write rows of a view, or of all views of a push source; return the repository after that, and the views.

    Rows that a view has already are not written again. Raises StepError when a server ignored values.
    """
    views = pushed_to(theirs, name)
    for view in views:
        theirs.push(view, given, once=True)
        store = theirs.current()
        group = groups.find(store, view)
        time = group.view.batch_source.timestamp_field
        refuse_unpublished(not_online(store, view, given, list(group.keys), list(group.features), (time, None)))
    return look(theirs, moment).repo, views


def pushed_to(theirs: Repository, name: str) -> list[str]:
    """Return the views that rows go to: the one of this name, or those of a push source. Raises StepError."""
    store = theirs.current()
    if name in groups.known(store):
        return [name]
    views = [group.name for group in groups.every(store) if _stream(group) == name]
    if not views:
        groups.find(store, name)  # raises, with the names
    return views


def _definitions(store: sdk.FeatureStore) -> list[bytes]:
    """Return the definitions of a registry as bytes, sorted, without the times at which they were written."""
    items = [
        *store.list_entities(allow_cache=True),
        *store.list_all_feature_views(allow_cache=True),
        *store.registry.list_feature_services(store.project, allow_cache=True),
    ]
    return sorted(type(item).__name__.encode() + _spec(item).SerializeToString(deterministic=True) for item in items)


def _spec(item: Any) -> Any:
    """Return the message of a definition, without times, which Feast sets again as it reads some sources.

    Functions count by their text: pickled again, their bytes may differ.
    """
    spec = item.to_proto().spec
    for part in every(spec):
        if "meta" in part.DESCRIPTOR.fields_by_name:
            part.ClearField("meta")
        if part.DESCRIPTOR.name == "UserDefinedFunctionV2" and part.body_text:
            part.ClearField("body")
    if spec.DESCRIPTOR.name == "OnDemandFeatureViewSpec" and spec.HasField("feature_transformation"):
        spec.ClearField("user_defined_function")  # the same function, as earlier versions of Feast keep it
    return spec


def _state(store: sdk.FeatureStore, source: Any, moment: str) -> str:
    """Return the digest of a source's files; for any other source, what identifies this moment."""
    path = source_path(store.config, source) if isinstance(source, sdk.FileSource) else None
    return moment if path is None or not path.exists() else _digest(path)


def _digest(path: Path) -> str:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    found = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            name = file.relative_to(path).as_posix() if file != path else ""
            found.update(f"{name}\0{hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
    return found.hexdigest()


def _online(store: sdk.FeatureStore, moment: str) -> str:
    config = store.config.online_store
    if config is None or config.type != "sqlite":
        return moment
    path = Path(config.path)
    path = path if path.is_absolute() else Path(store.config.repo_path) / path
    return _digest(path) if path.is_file() else "nothing"


def _publishable(found: Sequence[Group]) -> list[Group]:
    return [group for group in found if not group.computed and group.view.online and group.view.batch_source]


def _stream(group: Group) -> str | None:
    source = getattr(group.view, "stream_source", None)
    return None if source is None else str(source.name)


def _created(group: Group) -> str | None:
    source = None if group.computed else group.view.batch_source
    return (source.created_timestamp_column or None) if source is not None else None


def _keyed(group: Group) -> list[str]:
    """Return the columns that tell which row of a key is the newest."""
    if group.computed or group.view.batch_source is None:
        return []
    created = _created(group)
    return [*group.keys, group.view.batch_source.timestamp_field, *([created] if created else [])]


def _newest(rows: pa.Table, group: Group) -> datetime:
    times = micros(rows[group.view.batch_source.timestamp_field])
    return EPOCH + timedelta(microseconds=int(times.max())) if len(times) else EPOCH


def _since(group: Group, start: datetime | None, until: datetime) -> datetime:
    return start or (until - group.view.ttl if group.view.ttl else EPOCH)


def _count(rows: pa.Table, group: Group, start: datetime, end: datetime) -> Published:
    keys, time = list(group.keys), group.view.batch_source.timestamp_field
    rows = within(rows, time, start, end)
    newest = newest_of_each_key(exact_frame(rows.select(keys)), micros(rows[time]), keys=keys)
    return Published(rows=rows.num_rows, keys=len(newest))


def _lost(
    theirs: Repository, store: sdk.FeatureStore, views: Sequence[str], start: datetime | None, until: datetime
) -> str | None:
    for name in views:
        group = groups.find(store, name)
        rows = theirs.rows(store, group, [*_keyed(group), *group.features], _since(group, start, until), until)
        times = (group.view.batch_source.timestamp_field, _created(group))
        if lost := not_online(store, name, rows, list(group.keys), list(group.features), times):
            return lost
    return None

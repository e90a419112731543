"""Read and publish feature values. In: an open version, and keys, rows or a time window. Out: feature values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from msgspec import Struct

from e2i.errors import StepError
from e2i.tools.feast import Published, on_demand, sdk
from e2i.tools.feast.definitions import Entity, View, labels
from e2i.tools.feast.offline import ENTITY_TIME, exact_frame, micros, read_source, within
from e2i.tools.feast.point_in_time import newest_of_each_key
from e2i.tools.feast.published import first_moment, refuse_unpublished, source_of, unpublished
from e2i.tools.feast.versions import Opened

ROW = "e2i_row"
"""Column with the row's number: Feast keeps neither order nor duplicates."""
EXACT_FLOAT = 2**53
"""Integers up to this one are floats without a loss."""
FILE_STORES = ("file", "dask")
"""Names of Feast's own store over files."""
KEY_TYPES = {"int64": int, "string": str}


class Part(Struct, frozen=True):
    """One query of a join: its key columns, the other columns that on-demand features need, and its labels."""

    keys: tuple[str, ...]
    others: tuple[str, ...]
    names: Mapping[tuple[str, str], str]
    apart: tuple[tuple[str, ...], ...]
    """The keys of each view in it, where equal ones must not be asked for together."""


def historical(
    opened: Opened,
    frame: pd.DataFrame,
    references: Sequence[str],
    timestamp: str,
    created_cutoff: bool,
    full_feature_names: bool,
) -> pd.DataFrame:
    """See ``GuardedFeast.get_historical_features``."""
    asked = opened.definition.resolve(references)
    names = labels(asked, full_feature_names)
    wanted = on_demand.request(opened.definition, names)
    views = {view: None for view, _ in wanted.stored}
    opened.check(views)
    keys = {key: entity.type for key, entity in _entities(opened, views).items()}
    _present(frame, list(wanted.columns))
    apart = {view: (opened.definition.view(view).join_keys,) for view in views}
    values = joined(opened.store, frame, keys, wanted.stored, timestamp, created_cutoff=created_cutoff, apart=apart)
    return on_demand.finished(wanted, values, frame)


def joined(
    store: sdk.FeatureStore,
    frame: pd.DataFrame,
    keys: Mapping[str, str | None],
    names: Mapping[tuple[str, str], str],
    timestamp: str,
    *,
    created_cutoff: bool = False,
    others: Sequence[str] = (),
    apart: Mapping[str, Sequence[Sequence[str]]] | None = None,
) -> pd.DataFrame:
    """Return the features of each row of a frame, with its index. ``keys`` has the type of each join key.

    ``names`` has the label of each (view, feature), ``others`` the columns that on-demand features are computed from.
    ``apart`` has the keys of each view; of an on-demand view, those of each view that it is computed from.
    Feast is queried for each distinct row. Rows that it drops (past the ttl, in its file store) are returned as nulls,
    and each duplicate row gets its values. Its file store also drops the values of other views in such a row, so there
    each view is queried alone. Raises StepError.
    """
    clash = [label for label in names.values() if label in {*keys, ENTITY_TIME, ROW}]
    if clash:
        raise StepError(
            f"feature {clash[0]!r} has the name of a join key or of Feast's own time column",
            code="feature-name-collision",
            hint="set full_feature_names: true",
        )
    _present(frame, [*keys, *others, timestamp])
    if store.config.offline_store.type in FILE_STORES:
        parts = [_part(view, keys, names, others, apart or {}) for view in dict.fromkeys(view for view, _ in names)]
    else:
        parts = [Part(tuple(keys), tuple(others), names, ())]
    full = any(label != feature for (_, feature), label in names.items())
    options = {"filter_by_created_timestamp": True} if created_cutoff else {}
    found = []
    for part in parts:
        questions, groups = _questions(frame, part, keys, timestamp)
        answers = [
            store.get_historical_features(
                entity_df=few,
                features=[f"{view}:{feature}" for view, feature in part.names],
                full_feature_names=full,
                **options,
            ).to_arrow()
            for few in _rounds(questions, part.apart)
        ]
        whole = _usual(pd.concat([exact_frame(one) for one in answers], ignore_index=True))
        found.append(whole.set_index(ROW)[list(part.names.values())].reindex(groups).set_axis(frame.index))
    return found[0] if len(found) == 1 else pd.concat(found, axis=1)[list(names.values())]


def _part(
    view: str,
    keys: Mapping[str, str | None],
    names: Mapping[tuple[str, str], str],
    others: Sequence[str],
    apart: Mapping[str, Sequence[Sequence[str]]],
) -> Part:
    """Return the query of one view: with its own keys only, where they are known."""
    mine = {key: label for key, label in names.items() if key[0] == view}
    sources = apart.get(view, (tuple(keys),))
    own = [key for key in keys if any(key in source for source in sources)]
    return Part(tuple(own), tuple(others), mine, tuple(tuple(source) for source in sources))


def _questions(
    frame: pd.DataFrame, part: Part, keys: Mapping[str, str | None], timestamp: str
) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """Return the distinct rows to ask for, each with its number, and for each row of the frame its number."""
    columns = [*part.keys, *part.others, ENTITY_TIME]
    questions = frame[[*part.keys, *part.others, timestamp]].set_axis(columns, axis=1)
    questions[ENTITY_TIME] = _moments(questions[ENTITY_TIME], timestamp)
    groups = questions.groupby(columns, sort=False, dropna=False).ngroup().to_numpy().astype(np.int64)
    questions = questions.assign(**{ROW: groups}).drop_duplicates(ROW)
    for key in part.keys:
        questions[key] = _typed(questions[key], key, keys[key])
    return questions, groups


def _rounds(questions: pd.DataFrame, apart: Sequence[Sequence[str]]) -> Iterator[pd.DataFrame]:
    """Yield the rows in parts in which no two rows have the same time and the same keys of one view.

    Feast's file store keeps one of such rows, although they differ in the keys of another view.
    """
    left = questions
    while apart and len(left):
        taken = np.ones(len(left), dtype=bool)
        for keys in apart:
            taken &= ~left.duplicated([*keys, ENTITY_TIME]).to_numpy()
        yield left[taken]
        left = left[~taken]
    if not apart or not len(questions):
        yield questions


def materialize(
    opened: Opened, views: Sequence[str] | None, start: datetime | None, end: datetime | None
) -> tuple[datetime, dict[str, Published]]:
    """See ``GuardedFeast.materialize``."""
    chosen = [opened.definition.view(name) for name in views or [view.name for view in opened.definition.views]]
    opened.check(view.name for view in chosen)
    until = end or max(_last_moment(opened, view) for view in chosen)
    published = {}
    for view in chosen:
        since = first_moment(view, start, until)
        published[view.name] = _count(opened, view, since, until)
        if published[view.name].keys:
            sdk.restore_times()
            opened.store.materialize(since, until, feature_views=[view.name])
    _check_published(opened, [name for name, count in published.items() if count.keys], start, until)
    return until, published


def rows(opened: Opened, name: str) -> tuple[pa.Table, str]:
    """Return all rows of a view, with its features and its time, and the name of the column with the time."""
    if opened.definition.computed(name) is not None:
        raise StepError(f"feature view {name} is computed and has no rows", code="bad-feature")
    view = opened.definition.view(name)
    columns = [*view.features, view.timestamp]
    return read_source(opened.store.config, source_of(opened, view), columns), view.timestamp


def online_rows(
    opened: Opened, references: Sequence[str], entities: Sequence[Mapping[str, Any]], full_feature_names: bool
) -> tuple[on_demand.Request, list[dict[str, Any]]]:
    """Return what is needed for the features, and the checked keys with the columns of a request. Raises StepError."""
    asked = opened.definition.resolve(references)
    wanted = on_demand.request(opened.definition, labels(asked, full_feature_names))
    views = {view: None for view, _ in wanted.stored}
    opened.check(views)
    types = {key: entity.type for key, entity in _entities(opened, views).items()}
    return wanted, checked_keys({**types, **wanted.columns}, entities)


def computed_rows(wanted: on_demand.Request, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of the online store with the on-demand features that are asked for, by their labels."""
    if not wanted.computed:
        return rows
    frame = pd.DataFrame(rows)
    stored = list(wanted.stored.values())
    values = frame[stored].infer_objects()
    found = on_demand.finished(wanted, values, frame).astype(object)
    plain = found.where(found.notna(), None).to_dict("records")
    keys = [name for name in frame.columns if name not in stored]
    return [
        {**{name: row[name] for name in keys}, **{str(name): _scalar(value) for name, value in one.items()}}
        for row, one in zip(rows, plain, strict=True)
    ]


def _scalar(value: Any) -> Any:
    """Return a value of Python."""
    return value.item() if isinstance(value, np.generic) else value


def checked_keys(types: Mapping[str, str | None], entities: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the keys of each entity. Raises StepError for one that is missing, or of another type than ``types``."""
    for entity in entities:
        missing = [key for key in types if key not in entity]
        if missing:
            raise StepError(
                f"an entity has no {missing[0]!r}: {dict(entity)!r:.200}",
                code="missing-join-key",
                hint=f"join keys of these features: {', '.join(types)}",
            )
        for key, kind in types.items():
            if kind in KEY_TYPES and not isinstance(entity[key], (KEY_TYPES[kind], type(None))):
                raise StepError(
                    f"join key {key!r} is {entity[key]!r:.100}, but its entity is {kind}",
                    code="join-key-type",
                    hint="use text (in YAML, in quotes)" if kind == "string" else "use an integer",
                )
    return [{key: entity[key] for key in types} for entity in entities]


def read_online(
    store: sdk.FeatureStore,
    join_keys: Mapping[str, Sequence[str]],
    names: Mapping[tuple[str, str], str],
    rows: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return keys and features of each row, None where there is none. A view whose key is null has no value.

    ``join_keys`` has the columns that Feast needs for each view.
    """
    answers: list[dict[str, Any]] = [{**row, **dict.fromkeys(names.values())} for row in rows]
    for view in dict.fromkeys(view for view, _ in names):
        keys = join_keys[view]
        known = [answer for answer in answers if all(answer[key] is not None for key in keys)]
        if not known:
            continue
        wanted = {feature: label for (owner, feature), label in names.items() if owner == view}
        sdk.restore_times()
        found = store.get_online_features(
            features=[f"{view}:{feature}" for feature in wanted],
            entity_rows=[{key: answer[key] for key in keys} for answer in known],
        ).to_dict()
        for feature, label in wanted.items():
            for answer, value in zip(known, found[feature], strict=True):
                answer[label] = None if value is None or (isinstance(value, float) and value != value) else value
    return answers


def _check_published(opened: Opened, views: Sequence[str], start: datetime | None, until: datetime) -> None:
    """Raise StepError when a server ignored published values."""
    if opened.store.config.online_store.type != "sqlite":
        refuse_unpublished(unpublished(opened, views, start, until))


def _entities(opened: Opened, views: Mapping[str, object]) -> dict[str, Entity]:
    """Return join key → entity of the views, sorted by key."""
    found = {entity.join_key: entity for name in views for entity in opened.definition.view(name).entities}
    return dict(sorted(found.items()))


def _usual(frame: pd.DataFrame) -> pd.DataFrame:
    """Return integers with nulls as floats, which libraries take, unless a float would change one of them."""
    whole = [name for name, kind in frame.dtypes.items() if isinstance(kind, pd.Int64Dtype | pd.Int32Dtype)]
    small = [name for name in whole if not (frame[name].abs() > EXACT_FLOAT).any()]
    truths = [name for name, kind in frame.dtypes.items() if isinstance(kind, pd.BooleanDtype)]
    usual = frame.astype({**dict.fromkeys(small, "float64"), **dict.fromkeys(truths, object)})
    return usual.assign(**{str(name): usual[name].where(usual[name].notna(), None) for name in truths})


def _present(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise StepError(
            f"the table has no column {missing[0]!r}",
            code="missing-column",
            hint=f"columns needed by these features: {', '.join(columns)}",
        )
    return list(columns)


def _moments(times: pd.Series[Any], column: str) -> pd.Series[Any]:
    """Return times in microseconds, UTC."""
    if not pd.api.types.is_datetime64_any_dtype(times):
        raise StepError(
            f"column {column!r} of the table is {times.dtype}, not a timestamp",
            code="not-a-timestamp",
            hint="parse it as a timestamp when the table is loaded",
        )
    if times.isna().any():
        raise StepError(
            f"{int(times.isna().sum())} rows of the table have no {column!r}, so they have no point in time",
            code="null-timestamp",
            hint="drop these rows first, for instance with data.select",
        )
    return pd.to_datetime(times, utc=True).dt.as_unit("us")


def _typed(keys: pd.Series[Any], column: str, kind: str | None) -> pd.Series[Any]:
    """Return join keys in the entity's type, including nulls. Other types are not checked."""
    present = keys.dropna()
    if kind == "int64":
        fits = pd.api.types.is_numeric_dtype(keys) and bool((present % 1 == 0).all())
    else:
        fits = kind != "string" or pd.api.types.infer_dtype(present.astype(object)) in ("string", "empty")
    if not fits and len(present):
        raise StepError(
            f"join key {column!r} of the table is {keys.dtype}, but its entity is {kind}",
            code="join-key-type",
            hint="set the entity's `type`, or change the column's type when the table is loaded",
        )
    if kind == "int64":
        return keys.astype("Int64" if keys.isna().any() else "int64")
    return keys.astype(object) if kind == "string" else keys


def _last_moment(opened: Opened, view: View) -> datetime:
    """Return the newest time in a view's rows, event or created."""
    columns = [name for name in (view.timestamp, view.created) if name]
    table = read_source(opened.store.config, source_of(opened, view), columns)
    newest = max((int(micros(table[name]).max()) for name in columns if len(table)), default=0)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=newest)


def _count(opened: Opened, view: View, start: datetime, end: datetime) -> Published:
    table = read_source(opened.store.config, source_of(opened, view), [*view.join_keys, view.timestamp])
    table = within(table, view.timestamp, start, end)
    keys = exact_frame(table.select(list(view.join_keys)))
    newest = newest_of_each_key(keys, micros(table[view.timestamp]), keys=view.join_keys)
    return Published(rows=table.num_rows, keys=int(np.size(newest)))

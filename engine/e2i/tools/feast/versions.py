"""Register and open versions of Feast projects. In: definitions. Out: open versions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct, field

from e2i.catalog.artifacts import FeatureRepo
from e2i.errors import Refused, StepError, ToolUnavailable
from e2i.resilience.deadlines import in_time
from e2i.tools.feast import FeastSettings, FileRegistry, SqliteOnlineStore, SqlRegistry, pushing, repository, sdk
from e2i.tools.feast.definitions import Definition, View
from e2i.tools.feast.file_state import FileState, state
from e2i.tools.feast.published import not_online, refuse_unpublished, times_of
from e2i.tools.feast.registry import refresh, refuse_code_in_database

DEFINITION_TAG = "e2i.definition"
"""Tag of a registered view with the digest of its definition."""

PROJECT = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
"""Pattern of a project's name. It becomes a folder name, so nothing else is accepted from any source."""

FEAST_TYPES = {
    "bool": sdk.types.Bool,
    "float32": sdk.types.Float32,
    "float64": sdk.types.Float64,
    "int32": sdk.types.Int32,
    "int64": sdk.types.Int64,
    "string": sdk.types.String,
    "timestamp": sdk.types.UnixTimestamp,
}


class Opened(Struct, frozen=True):
    """One version of a project, open in Feast. ``root`` is the project's folder."""

    definition: Definition
    root: Path
    store: sdk.FeatureStore
    repo: FeatureRepo
    """The artifact that refers to this version."""
    registry: Path | None = None
    """The file of the registry; None: it is a database, which others may change at any time."""
    checked: dict[str, FileState] = field(default_factory=dict)
    """Views that the registry was found to have, with the state of its file then."""

    def has_rows(self, view: View) -> bool:
        """Return True when the rows of the view are stored."""
        return (self.root / repository.source_file(view)).is_file()

    def check(self, views: Iterable[str]) -> None:
        """Raise StepError when the registry does not have exactly this version of the views."""
        now = None if self.registry is None else state(self.registry)
        for name in views:
            if now is not None and self.checked.get(name) == now:
                continue
            if self.definition.computed(name) is not None:
                continue  # it is computed from the code in the definition, and Feast does not know it
            view = self.definition.view(name)
            try:
                registered = self.store.get_feature_view(name)
            except sdk.FeatureViewNotFoundException as error:
                raise _not_registered(self.definition, name) from error
            if registered.tags.get(DEFINITION_TAG) != view.digest():
                raise StepError(
                    f"another process changed feature view {name} of Feast project {self.definition.project}",
                    code="feature-view-changed",
                    hint="run feast.apply again (`e2i-run SPEC --fresh`), or use another project name",
                )
            if now is not None:
                self.checked[name] = now


class Versions:
    """The versions in one feast home. Open versions are cached."""

    def __init__(self, settings: FeastSettings, home: Path) -> None:
        self._settings = settings
        self._home = home
        self._opened: dict[str, Opened] = {}

    def open(self, repo: FeatureRepo) -> Opened:
        """Open a version. Raises StepError when it is missing or corrupt, Refused when its registry has code."""
        known = self._opened.get(repo.digest)
        if not PROJECT.fullmatch(repo.project) or (known and known.repo != repo):
            raise _forged(repo)
        if known is None:
            root = self._home / repo.project
            definition = repository.read_definition(root, repo)
            if definition.repo() != repo:
                raise _forged(repo)
            if self._embedded and not (repository.version_folder(root, repo.digest) / "registry.db").exists():
                raise _not_registered(definition, definition.views[0].name)
            store = self._connect(root, definition)
            file = repository.version_folder(root, repo.digest) / "registry.db" if self._embedded else None
            known = Opened(definition, root, store, repo, file)
            self._opened[repo.digest] = known
        elif not self._embedded:
            refresh(known.store)
        return known

    def known(self, repo: FeatureRepo) -> Opened | None:
        """Return a version that is open; None when it is not."""
        return self._opened.get(repo.digest)

    def apply(self, definition: Definition, tables: Mapping[str, pa.Table]) -> FeatureRepo:
        """Store the rows and register the views, unless this version is complete, and make it the project's latest."""
        root = self._home / definition.project
        for view in definition.views:
            rows = tables.get(view.name)
            repository.write_source(root, view, repository.no_rows(view) if rows is None else rows)
        return self.ensure(definition)

    def push(self, repo: FeatureRepo, name: str, given: pa.Table) -> FeatureRepo:
        """Add rows to a view: return the version that has them, in which they are also online.

        Rows that the view has already are not added again. The version that they are added to stays as it is.
        """
        opened = self.open(repo)
        view = pushing.pushable(opened.definition.view(name))
        rows = pushing.typed(view, given)
        before = pq.read_table(opened.root / repository.source_file(view))
        definition, table = pushing.added(opened.definition, view, before, rows)
        after = repo
        if definition is not opened.definition:
            repository.write_source(opened.root, definition.view(name), table)
            self._carry_online(opened.root, repo, definition)
            after = self.ensure(definition)
        store = self.open(after).store
        pushing.publish(store, definition.view(name), table, rows)
        refuse_unpublished(not_online(store, name, rows, view.join_keys, tuple(view.features), times_of(view)))
        return after

    def _carry_online(self, root: Path, repo: FeatureRepo, definition: Definition) -> None:
        """Give a new version the values that are online in the one before, where each has a file of its own."""
        if isinstance(self._settings.online_store, SqliteOnlineStore):
            old, new = (repository.version_folder(root, one) for one in (repo.digest, definition.digest()))
            repository.copy_database(old / "online.db", new / "online.db")

    def ensure(self, definition: Definition) -> FeatureRepo:
        """Register the views of a definition whose rows are stored."""
        root, repo = self._home / definition.project, definition.repo()
        with repository.locked(root):
            if not self._intact(repo):
                self._register(root, definition)
            folder = repository.version_folder(Path(), repo.digest)
            repository.point_feast_at(root, self._settings, folder, repo.project)
        return repo

    @property
    def _embedded(self) -> bool:
        return isinstance(self._settings.registry, FileRegistry)

    def _intact(self, repo: FeatureRepo) -> bool:
        try:
            opened = self.open(repo)
            opened.check(repo.views)
        except StepError:
            self._opened.pop(repo.digest, None)
            return False
        return True

    def _register(self, root: Path, definition: Definition) -> None:
        folder = repository.version_folder(root, definition.digest())
        folder.mkdir(parents=True, exist_ok=True)
        if self._embedded:  # the file of another profile is kept
            (folder / "registry.db").unlink(missing_ok=True)
        entities = {
            entity.name: sdk.Entity(
                name=entity.name,
                join_keys=[entity.join_key],
                value_type=sdk.ValueType.INT64 if entity.type == "int64" else sdk.ValueType.STRING,
                description=entity.description,
            )
            for view in definition.views
            for entity in view.entities
        }
        views = [_feature_view(view, entities) for view in definition.views]
        by_name = {view.name: view for view in views}
        services = [_service(name, references, by_name) for name, references in definition.services.items()]
        registered = [service for service in services if service is not None]
        self._connect(root, definition).apply([*entities.values(), *views, *registered])
        repository.write_definition(root, definition)

    def _connect(self, root: Path, definition: Definition) -> sdk.FeatureStore:
        folder = repository.version_folder(Path(), definition.digest())
        return connect(self._settings, root, repository.configuration(self._settings, folder, definition.project))


def connect(settings: FeastSettings, root: Path, configuration: Mapping[str, Any]) -> sdk.FeatureStore:
    """Open Feast on a repository of ours. Raises Refused when its registry has code."""
    if isinstance(settings.registry, SqlRegistry):
        url = settings.registry.url.get_secret_value()
        refuse_code_in_database(url, repository.registry_options(settings))
    try:
        store = sdk.FeatureStore(repo_path=str(root), config=sdk.RepoConfig(repo_path=root, **configuration))
        _ = store.registry
        if not isinstance(settings.online_store, SqliteOnlineStore):
            _bound_calls(store, settings.write_deadline)
    except sdk.FeastModuleImportError as error:
        kind = settings.online_store.type
        raise ToolUnavailable(
            "feast",
            f"Feast's {kind} store cannot be imported: {error.__cause__ or error}",
            code="tool-missing",
            hint=f'pip install "feast[{kind}]"',
        ) from error
    return store


def _bound_calls(store: sdk.FeatureStore, seconds: float) -> None:
    """Prepare the calls of a store's online store on a server.

    Those that change it get a separate deadline, because Feast makes them within long work over files, which has none.
    """
    online = store._get_provider().online_store
    online.online_read = partial(_connected, online, online.online_read)
    for name in ("online_write_batch", "update", "teardown"):
        setattr(online, name, partial(_bounded, partial(_connected, online, getattr(online, name)), seconds))


def _connected(online: Any, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a method of an online store without a connection to PostgreSQL that has ended: Feast would use it again."""
    connection = getattr(online, "_conn", None)
    if connection is not None and connection.closed:
        online._conn = None
    return function(*args, **kwargs)


def _bounded(function: Callable[..., Any], seconds: float, *args: Any, **kwargs: Any) -> Any:
    return in_time(partial(function, *args, **kwargs), seconds)


def _feature_view(view: View, entities: Mapping[str, sdk.Entity]) -> sdk.FeatureView:
    keys = [sdk.Field(name=entity.join_key, dtype=FEAST_TYPES[entity.type]) for entity in view.entities]
    features = [sdk.Field(name=name, dtype=FEAST_TYPES[type_]) for name, type_ in view.features.items()]
    rows = sdk.FileSource(
        name=f"{view.name}_source",
        path=repository.source_file(view),
        timestamp_field=view.timestamp,
        created_timestamp_column=view.created or "",
    )
    return sdk.FeatureView(
        name=view.name,
        entities=[entities[entity.name] for entity in view.entities],
        ttl=timedelta(seconds=view.ttl or 0),
        schema=[*keys, *features],
        source=sdk.PushSource(name=f"{view.name}_push", batch_source=rows) if view.push else rows,
        online=True,
        description=view.description,
        tags={**view.tags, DEFINITION_TAG: view.digest()},
    )


def _service(name: str, references: Iterable[str], views: Mapping[str, Any]) -> Any:
    """Return a feature service for Feast's registry; None when it has on-demand features, which only e2i computes."""
    features: dict[str, list[str]] = {}
    for reference in references:
        view, _, feature = reference.partition(":")
        features.setdefault(view, []).append(feature)
    if not features.keys() <= views.keys():
        return None
    return sdk.FeatureService(name=name, features=[views[view][chosen] for view, chosen in features.items()])


def _forged(repo: FeatureRepo) -> Refused:
    return Refused(
        f"feature repo {repo.project!r:.80} was not created by feast.apply",
        code="feature-repo-refused",
        hint="refer to the step that applied it: ${{ steps.ID.repo }}",
    )


def _not_registered(definition: Definition, view: str) -> StepError:
    return StepError(
        f"feature view {view} of Feast project {definition.project} is not in the registry",
        code="feature-view-missing",
        hint="run feast.apply again (`e2i-run SPEC --fresh`): it rebuilds the registry from the definitions",
    )

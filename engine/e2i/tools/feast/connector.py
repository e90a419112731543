"""``GuardedFeast``, Feast behind the guard, for actions. In: definitions, rows and keys. Out: feature values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from e2i.catalog.artifacts import FeatureRepo
from e2i.errors import BadInput, ToolUnavailable
from e2i.tools.feast import FeastSettings, Published
from e2i.tools.feast.definitions import Definition

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from e2i.resilience.guard import Guard
    from e2i.tools.feast.existing_use import Seen
    from e2i.tools.feast.on_demand import Request
    from e2i.tools.feast.programs import Repository
    from e2i.tools.feast.versions import Opened, Versions

T = TypeVar("T")
KEYS_PER_READ = 50
"""Maximum number of online keys in one call, so that the deadline does not depend on the number of keys."""


class GuardedFeast:
    """Guarded client of Feast.

    Work over files (apply, historical join, materialization) has no deadline of its own; the step's timeout applies. An
    online read may take ``settings.deadline`` seconds for every 50 keys.
    """

    tool: ClassVar[str] = "feast"

    def __init__(self, settings: FeastSettings, guard: Guard, home: Path) -> None:
        self._settings = settings
        self._guard = guard
        self._home = home
        self._known: Versions | None = None
        self._theirs: Repository | None = None
        self._read: set[str] = set()
        """Digests of versions whose features have been read: the next read of a few keys is one call."""
        self._running = 0
        """Calls that run in other threads."""

    async def apply(self, definition: Definition, tables: Mapping[str, pa.Table]) -> FeatureRepo:
        """Register a definition; ``tables`` holds each view's rows. Applying equal content again changes nothing.

        Raises StepError when a table cannot be stored as its view declares it.
        """

        def work() -> FeatureRepo:
            return self._versions().apply(definition, tables)

        return await self._ask(work)

    async def get_historical_features(
        self,
        repo: FeatureRepo,
        frame: pd.DataFrame,
        features: Sequence[str],
        *,
        timestamp: str = "event_timestamp",
        created_cutoff: bool = True,
        full_feature_names: bool = False,
    ) -> tuple[pd.DataFrame, str | None]:
        """Return the features of each row at its point in time, and a warning about them.

        The result has one row per row of ``frame``, with its index and order.

        ``frame`` holds the join keys and ``timestamp`` (without a zone: UTC). A value is null when none was known, when
        the newest value is older than the view's ttl, or when a key is null or unknown. Raises StepError.
        """

        def work() -> pd.DataFrame:
            from e2i.tools.feast import retrieval

            opened = self._versions().open(repo)
            return retrieval.historical(opened, frame, features, timestamp, created_cutoff, full_feature_names)

        def with_theirs() -> tuple[pd.DataFrame, str | None]:
            from e2i.tools.feast import existing_use

            asked = (frame, features, timestamp, created_cutoff, full_feature_names)
            return existing_use.historical(self._existing(), *asked)

        return await self._ask(with_theirs) if repo.existing else (await self._ask(work), None)

    async def materialize(
        self,
        repo: FeatureRepo,
        views: Sequence[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> tuple[datetime, dict[str, Published]]:
        """Write each key's newest row with a time in [start, end] to the online store; return ``end`` and counts."""

        def work() -> tuple[datetime, dict[str, Published]]:
            from e2i.tools.feast import existing_use, retrieval

            if repo.existing:
                return existing_use.materialize(self._existing(), views, start, end)
            return retrieval.materialize(self._versions().open(repo), views, start, end)

        return await self._ask(work)

    async def missing_definitions(self, repo: FeatureRepo) -> str | None:
        """Return what is missing of a registered version, among its rows and registered views; None when complete.

        Raises StepError when the version does not exist, or a view differs from its registration.
        """

        def work() -> str | None:
            opened = self._versions().open(repo)
            opened.check(repo.views)
            absent = [view.name for view in opened.definition.views if not opened.has_rows(view)]
            return f"the rows of feature view {absent[0]} are not in the store" if absent else None

        return await self._ask(work)

    async def missing_values(
        self, repo: FeatureRepo, views: Sequence[str], start: datetime | None, end: datetime
    ) -> str | None:
        """Return what is missing of the values that ``materialize`` published, by checking some keys.

        Returns None when these values, or newer ones, are in the online store.
        """

        def work() -> str | None:
            from e2i.tools.feast import existing_use, published

            if repo.existing:
                return existing_use.unpublished(self._existing(), views, start, end)
            return published.unpublished(self._versions().open(repo), views, start, end)

        return await self._ask(work)

    async def get_online_features(
        self,
        repo: FeatureRepo,
        features: Sequence[str],
        entities: Sequence[Mapping[str, Any]],
        *,
        full_feature_names: bool = False,
    ) -> list[dict[str, Any]]:
        """Return one mapping per entity, keys and features, in order; None for values not in the online store.

        Raises StepError for an unknown feature or a missing join key, ToolUnavailable when the store does not answer.
        """
        if repo.existing:
            return await self._online_of_existing(features, entities, full_feature_names)

        def request() -> tuple[Opened, Request, list[dict[str, Any]]]:
            from e2i.tools.feast import retrieval

            opened = self._versions().open(repo)
            return opened, *retrieval.online_rows(opened, features, entities, full_feature_names)

        def at_once(*, waits: bool) -> tuple[Request, list[dict[str, Any]] | None]:
            from e2i.tools.feast import at_hand, retrieval

            opened, wanted, keys = request()
            if waits:
                return wanted, retrieval.read_online(opened.store, repo.join_keys, wanted.stored, keys)
            stored = {view: len(opened.definition.view(view).features) for view, _ in wanted.stored}
            return wanted, at_hand.read(opened.store, repo.join_keys, wanted.stored, keys, stored)

        deadline, found = self._settings.deadline, None
        if repo.digest in self._read and len(entities) <= KEYS_PER_READ:
            if self._is_at_hand(repo):
                wanted, found = self._guard.call(partial(at_once, waits=False), deadline=math.inf)
            if found is None:
                wanted, found = await self._ask(partial(at_once, waits=True), deadline=deadline)
            rows = found or []
        else:  # the first request imports Feast, and looks at the registry, which may be on a server
            opened, wanted, keys = await self._ask(request)
            from e2i.tools.feast import retrieval  # here: a Feast that is not installed has been reported

            rows = []
            for first in range(0, len(keys), KEYS_PER_READ):
                read = partial(retrieval.read_online, opened.store, repo.join_keys, wanted.stored)
                rows += await self._ask(read, keys[first : first + KEYS_PER_READ], deadline=deadline)
            self._read.add(repo.digest)
        from e2i.tools.feast import retrieval

        rows = retrieval.computed_rows(wanted, rows)
        return [{name: _plain(value) for name, value in row.items()} for row in rows]

    async def look(self, moment: str) -> Seen:
        """Return what the existing repository of the settings has. ``moment``: see ``existing_use.look``."""

        def work() -> Seen:
            from e2i.tools.feast import existing_use

            return existing_use.look(self._existing(), moment)

        return await self._ask(work)

    async def rows(self, repo: FeatureRepo, name: str) -> tuple[pa.Table, str]:
        """Return all rows of a view, with its features and its time, and the name of the column with the time."""

        def work() -> tuple[pa.Table, str]:
            from e2i.tools.feast import existing_use, retrieval

            if repo.existing:
                return existing_use.rows(self._existing(), name)
            return retrieval.rows(self._versions().open(repo), name)

        return await self._ask(work)

    async def push(self, repo: FeatureRepo, name: str, rows: pa.Table, moment: str) -> tuple[FeatureRepo, list[str]]:
        """Write rows of a view, or of all views of a push source, offline and online.

        Returns the repository after that, and the views. Rows that a view has already are not written again.
        """

        def work() -> tuple[FeatureRepo, list[str]]:
            from e2i.tools.feast import existing_use

            if not repo.existing:
                return self._versions().push(repo, name, rows), [name]
            return existing_use.push(self._existing(), name, rows, moment)

        return await self._ask(work)

    async def _online_of_existing(
        self, features: Sequence[str], entities: Sequence[Mapping[str, Any]], full_feature_names: bool
    ) -> list[dict[str, Any]]:
        if self._theirs is not None and not self._running and len(entities) <= KEYS_PER_READ:
            asked = (entities, features, full_feature_names)
            if found := self._guard.call(self._theirs.at_hand, *asked, deadline=math.inf):
                return [{name: _plain(value) for name, value in row.items()} for row in found[0]]
        columns, names, keys = await self._ask(
            lambda: self._existing().online_request(entities, features, full_feature_names)
        )
        rows: list[dict[str, Any]] = []
        for first in range(0, len(keys), KEYS_PER_READ):
            part = keys[first : first + KEYS_PER_READ]
            work = partial(self._existing().online, columns, names, part)
            rows += await self._ask(work, deadline=self._settings.deadline)
        return [{name: _plain(value) for name, value in row.items()} for row in rows]

    def _is_at_hand(self, repo: FeatureRepo) -> bool:
        """Return True when features may be read in the caller's thread (``at_hand``).

        Another call of this connector may hold the file's connection, and the event loop would wait for it.
        """
        from e2i.tools.feast import at_hand

        opened = None if self._running else self._versions().known(repo)
        return opened is not None and at_hand.is_local(opened.store)

    def _existing(self) -> Repository:
        """Return the existing repository of the settings. Raises BadInput when they name none, Refused for code."""
        if self._settings.repo_path is None:
            raise BadInput(
                "the settings name no existing Feast repository",
                code="no-repository",
                hint="the operator sets `repo_path` under `tools: feast:`",
            )
        if self._theirs is None:
            from e2i.tools.feast.programs import Repository

            self._theirs = Repository(self._settings, self._home, Path.cwd())  # workers run in the workspace
        return self._theirs

    async def _ask(self, work: Callable[..., T], *given: Any, deadline: float = math.inf) -> T:
        """Return the result of ``work``, run through the guard.

        After an outage everything is opened again, because Feast keeps using a broken connection to PostgreSQL.
        """
        self._running += 1
        try:
            return await self._guard.acall(work, *given, deadline=deadline, idempotent=True)
        except ToolUnavailable:
            self._known = self._theirs = None
            raise
        finally:
            self._running -= 1

    def _versions(self) -> Versions:
        if self._known is None:
            from e2i.tools.feast.versions import Versions

            self._known = Versions(self._settings, self._home)
        return self._known


def _plain(value: Any) -> Any:
    """Return a value as JSON: times as ISO 8601 text."""
    return value.isoformat() if isinstance(value, datetime) else value

"""``GuardedFeast``, Feast behind the guard, for actions. In: definitions, rows and keys. Out: feature values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from e2i.catalog.artifacts import FeatureRepo
from e2i.errors import ToolUnavailable
from e2i.tools.feast import FeastSettings, Published
from e2i.tools.feast.definitions import Definition

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from e2i.resilience.guard import Guard
    from e2i.tools.feast.versions import Versions

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
    ) -> pd.DataFrame:
        """Return the features of each row at its point in time: one row per row of ``frame``, with its index and order.

        ``frame`` holds the join keys and ``timestamp`` (without a zone: UTC). A value is null when none was known, when
        the newest value is older than the view's ttl, or when a key is null or unknown. Raises StepError.
        """

        def work() -> pd.DataFrame:
            from e2i.tools.feast import retrieval

            opened = self._versions().open(repo)
            return retrieval.historical(opened, frame, features, timestamp, created_cutoff, full_feature_names)

        return await self._ask(work)

    async def materialize(
        self,
        repo: FeatureRepo,
        views: Sequence[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> tuple[datetime, dict[str, Published]]:
        """Write each key's newest row with a time in [start, end] to the online store; return ``end`` and counts."""

        def work() -> tuple[datetime, dict[str, Published]]:
            from e2i.tools.feast import retrieval

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
            from e2i.tools.feast import published

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
        opened = await self._ask(lambda: self._versions().open(repo))
        from e2i.tools.feast import (
            retrieval,
        )  # imported here: the line above has already reported a Feast that is not installed

        names, wanted = await self._ask(  # this queries the registry, which may be on a server
            retrieval.online_rows, opened, features, entities, full_feature_names
        )
        rows: list[dict[str, Any]] = []
        for first in range(0, len(wanted), KEYS_PER_READ):
            part = wanted[first : first + KEYS_PER_READ]
            rows += await self._ask(
                retrieval.read_online, opened.store, repo.join_keys, names, part, deadline=self._settings.deadline
            )
        return [{name: _plain(value) for name, value in row.items()} for row in rows]

    async def _ask(self, work: Callable[..., T], *given: Any, deadline: float = math.inf) -> T:
        """Return the result of ``work``, run through the guard.

        After an outage everything is opened again, because Feast keeps using a broken connection to PostgreSQL.
        """
        try:
            return await self._guard.acall(work, *given, deadline=deadline, idempotent=True)
        except ToolUnavailable:
            self._known = None
            raise

    def _versions(self) -> Versions:
        if self._known is None:
            from e2i.tools.feast.versions import Versions

            self._known = Versions(self._settings, self._home)
        return self._known


def _plain(value: Any) -> Any:
    """Return a value as JSON: times as ISO 8601 text."""
    return value.isoformat() if isinstance(value, datetime) else value

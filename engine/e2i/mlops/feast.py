"""``FeastClient``: a feature store for programs. In: features, rows, keys. Out: feature values."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from e2i.errors import ToolUnavailable
from e2i.mlops import arguments, loading
from e2i.mlops.connector import Connector
from e2i.mlops.mistakes import content, encodable, mistakes, text
from e2i.mlops.tracing import traced
from e2i.tools.feast import FeastSettings as FeastConfig

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from e2i.tools.feast.programs import Repository

__all__ = ["FeastClient", "FeastConfig"]

T = TypeVar("T")
VIEW = "the name of a feature view, which register_feature makes"
FEATURES = 'write ["view:feature"], or ["view"] for all of a view'
KEYS_PER_READ = 50
"""Most keys in one read of the online store, so that its deadline does not depend on the number of keys."""


class FeastClient(Connector[FeastConfig]):
    """Feast: features as they were known at a time, and the newest ones online.

    The repository is the store's own, or an existing one (``repo_path``), which is used as it is. Each method may be
    called from any thread, also while an event loop runs in it. Raises BadCall (a ValueError) for what the caller can
    correct, ToolUnavailable when a server does not answer.
    """

    tool = "feast"

    def open(self) -> None:
        self._lock = threading.Lock()
        self._known: Repository | None = None

    @traced
    def register_feature(
        self, feature_name: str, feature_group: str, entity: str, dtype: object, description: str | None = None
    ) -> None:
        """Register a feature of a group (a feature view), which is made when it is missing, as is its entity.

        ``entity`` is the column with the key. ``dtype`` is int32, int64, float32, float64, bool, string or timestamp,
        or a type that Python, NumPy, pandas or Feast has for one of these. Registering it again changes nothing but
        the description. A feature keeps its dtype, a group its entity.
        """
        for name, what in ((feature_name, "feature_name"), (feature_group, "feature_group"), (entity, "entity")):
            text(name, what)
        if description is not None:
            content(str(description), "description")
        arguments.optional_text("description", description, "a sentence about the feature")
        self._changing(lambda repo: repo.register(feature_name, feature_group, entity, dtype, description))

    @traced
    def push(self, view: str, frame: pd.DataFrame | pa.Table) -> int:
        """Write rows of a feature view offline and online; return how many.

        A row has the key, ``event_timestamp`` (without a zone: UTC) and every feature of the view; other columns are
        left out. Numbers are cast where that is exact. The type of the key, text or whole number, comes from the first
        rows. Of rows with one key and time the last one counts. Online is each key's newest row.
        """
        text(view, "view")
        arguments.text("view", view, VIEW)
        return self._changing(lambda repo: repo.push(view, frame))

    @traced
    def get_historical_features(
        self, entity_df: pd.DataFrame, features: Sequence[str], full_feature_names: bool = False
    ) -> pd.DataFrame:
        """Return the entity rows with features: one row for each, in their order and with their index.

        ``entity_df`` has the keys and ``event_timestamp``: a value is the newest one at or before that time, or null.
        ``features`` are ``view:feature``; ``view`` is all of a view. ``full_feature_names`` names columns
        ``view__feature``.
        """
        names = arguments.texts("features", features, FEATURES)
        arguments.truth("full_feature_names", full_feature_names)
        _checked(features)
        return self._reading(lambda repo: repo.historical(entity_df, names, full_feature_names))

    @traced
    def get_online_features(
        self, entity_rows: Sequence[Mapping[str, Any]], features: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Return name → values, keys and features, in the order of the rows; None where there is no value."""
        asked = arguments.texts("features", features, FEATURES)
        given = entity_rows.to_dict("records") if hasattr(entity_rows, "to_dict") else entity_rows
        entities = arguments.mappings("entity_rows", given, 'write [{"hcp_id": "a"}], one mapping for each entity')
        _checked(features)
        if (known := self._known) is not None and len(entities) <= KEYS_PER_READ:
            with mistakes(), encodable("a name or a value"):
                at_hand = self.guard.call(known.at_hand, entities, asked, deadline=math.inf)
            if at_hand is not None:
                return {label: [row[label] for row in at_hand[0]] for label in at_hand[1]}
        columns, names, keys = self._ask(lambda repo: repo.online_request(entities, asked), self.config.write_deadline)
        rows: list[dict[str, Any]] = []
        for first in range(0, len(keys), KEYS_PER_READ):
            part = keys[first : first + KEYS_PER_READ]
            rows += self._ask(partial(_online, columns, names, part), self.config.deadline)
        labels = [*dict.fromkeys(key for needed in columns.values() for key in needed), *names.values()]
        return {label: [row[label] for row in rows] for label in labels}

    @traced
    def get_feature_statistics(self, feature_view: str, reference: object = None) -> dict[str, dict[str, Any]]:
        """Return figures of each feature over all rows of a view.

        By feature: count (rows), nulls, distinct, mean, deviation, min, max, quantiles and histogram. With a
        ``reference`` (a frame or an Arrow table with such features, or the name of another view) also ``drift``: psi
        (the population stability index over ten bins of the reference), ks and ks_p_value (Kolmogorov–Smirnov).
        """
        text(feature_view, "feature_view")
        if isinstance(reference, str):
            text(reference, "reference")
        arguments.text("feature_view", feature_view, VIEW)
        return self._reading(lambda repo: repo.statistics(feature_view, reference))

    @traced
    def materialize(self, end: datetime | str | None = None) -> datetime:
        """Publish each key's newest row up to ``end`` to the online store, for every view; return that time.

        Without ``end`` all rows count. ``push`` publishes by itself: this is for rows that came into an existing
        repository in another way, and for an online store that was emptied.
        """
        return self._changing(lambda repo: repo.materialize(end))

    def _reading(self, work: Callable[[Repository], T]) -> T:
        return self._ask(work, self.config.offline_deadline)

    def _changing(self, work: Callable[[Repository], T]) -> T:
        return self._ask(work, self.config.offline_deadline)

    def _ask(self, work: Callable[[Repository], T], deadline: float) -> T:
        """Return the result of ``work``, through the guard; the repository is opened, or refreshed, before it.

        After an outage everything is opened again, because Feast keeps using a broken connection.
        """
        with mistakes(), encodable("a name or a value"):
            try:
                repository = self._opened()
                return self.guard.call(work, repository, deadline=deadline)
            except ToolUnavailable:
                with self._lock:
                    self._known = None
                raise

    def _opened(self) -> Repository:
        """Return the repository. One that exists is asked for its registry first, which has its own deadline."""
        with self._lock:
            if self._known is None:
                self._known = self.guard.call(self._open, deadline=self.config.write_deadline)
            known = self._known
        if self.config.repo_path is not None:
            self.guard.call(known.current, deadline=self.config.write_deadline)
        return known

    def _open(self) -> Repository:
        loading.once(self.tool, _library)
        from e2i.tools.feast.programs import Repository

        return Repository(self.config, self.home, self.program.workspace)


def _online(
    columns: Mapping[str, Sequence[str]],
    names: Mapping[tuple[str, str], str],
    rows: Sequence[Mapping[str, Any]],
    repository: Repository,
) -> list[dict[str, Any]]:
    return repository.online(columns, names, rows)


def _checked(features: Sequence[str]) -> None:
    for feature in features if isinstance(features, list | tuple) else ():
        text(feature, "a feature")


def _library() -> None:
    import e2i.tools.feast.programs  # noqa: F401 - with Feast

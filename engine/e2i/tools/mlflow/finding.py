"""Find registered versions by a metric and tags. In: conditions. Out: versions with their metrics, best first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from e2i.errors import StepError
from e2i.tools.mlflow.filters import Condition, attribute, render, tag
from e2i.tools.mlflow.runs import key_of
from e2i.tools.mlflow.tracking import Tracking
from e2i.tools.mlflow.words import DIGEST_TAG, STAGE_TAG

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MLflowVersion

LOGGED = re.compile(r"\bm-[0-9a-f]{32}\b")
"""The id of a logged model."""
MOST = 1_000
"""Versions of one model that are looked at, the newest first."""


class Candidate(Struct, frozen=True, eq=False):
    """A version with the metrics that it was registered with."""

    version: MLflowVersion
    metrics: Mapping[str, float]
    stage: str


def candidates(
    tracking: Tracking, name: str, metric: str, *, maximize: bool, tags: Mapping[str, str], stages: Sequence[str]
) -> list[Candidate]:
    """Return the versions that have the metric, the tags and one of the stages, best first; of equal ones the newest.

    Versions that e2i did not register are left out. Raises StepError when versions meet the other conditions, but none
    has the metric.
    """
    found = list(_meeting(tracking, name, tags, stages))
    able = [one for one in found if key_of(metric) in one.metrics]
    if found and not able:
        known = sorted({name for one in found for name in one.metrics})
        raise StepError(
            f"no version of {name!r} was registered with the metric {metric!r}",
            code="unknown-metric",
            hint=f"metrics of its versions: {', '.join(known[:20]) or 'none; set `metrics` in mlflow.register'}",
        )
    sign = -1.0 if maximize else 1.0
    return sorted(able, key=lambda one: (sign * one.metrics[key_of(metric)], -int(one.version.version)))


def _meeting(tracking: Tracking, name: str, tags: Mapping[str, str], stages: Sequence[str]) -> Iterator[Candidate]:
    client = tracking.client
    conditions: list[Condition] = [attribute("name", name), *(tag(key, value) for key, value in tags.items())]
    token: str | None = None
    seen = 0
    while seen < MOST:
        page = client.search_model_versions(
            render(*conditions), max_results=100, order_by=["version_number DESC"], page_token=token
        )
        for version in page:
            seen += 1
            stage = str(version.tags.get(STAGE_TAG, ""))
            if stage in stages and DIGEST_TAG in version.tags:
                yield Candidate(version, _metrics(tracking, version), stage)
        token = page.token
        if not token:
            return


def _metrics(tracking: Tracking, version: MLflowVersion) -> dict[str, float]:
    """Return the metrics of the version's logged model; of a metric with several values the latest.

    A registry that is a database keeps no id of the logged model, but its address, which has the id.
    """
    from mlflow.exceptions import MlflowException

    found = LOGGED.search(str(version.model_id or version.source))
    if found is None:
        return {}
    try:
        held = tracking.client.get_logged_model(found[0]).metrics or ()
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}  # it was deleted in MLflow
    return {item.key: float(item.value) for item in sorted(held, key=lambda item: (item.timestamp, item.step))}

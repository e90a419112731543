"""Return the checks of ``e2i doctor`` on MLflow: one experiment of a server, a query to a database."""

from __future__ import annotations

from functools import partial

from e2i.catalog.questions import Question
from e2i.tools.mlflow import MLflowSettings
from e2i.tools.mlflow.outages import translated
from e2i.tools.mlflow.tracking import log_in, open_client


def questions(settings: MLflowSettings) -> list[Question]:
    """Return one check for each service."""
    services = {"tracking": settings.tracking_uri, "registry": settings.registry_uri}
    if settings.registry_uri == settings.tracking_uri:
        del services["registry"]
    return [
        Question(of, partial(_ask, settings, address), settings.deadline, ("mlflow", "psycopg"))
        for of, address in services.items()
        if address and not address.startswith("sqlite")
    ]


def _ask(settings: MLflowSettings, address: str) -> str:
    if not address.startswith("http"):
        log_in(address, settings.deadline)
        return "select 1"
    with translated():
        found = open_client(settings, address).search_experiments(max_results=1)
    return f"search experiments: {'one found' if found else 'none yet'}"

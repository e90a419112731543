"""``BentoMLService``: package models of MLflow as Bentos, deploy them to endpoints, and ask the endpoints.

An endpoint is a named thing of the store. Its processes outlive the program, and any later program can ask it, move its
traffic and undeploy it by its name.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2i import regular
from e2i.mlops import arguments, loading
from e2i.mlops.connector import Connector
from e2i.mlops.mistakes import BadCall, mistakes, text
from e2i.mlops.mlflow import MLflowConnector
from e2i.mlops.program import publish
from e2i.mlops.tracing import traced
from e2i.tools.bentoml import BentoMLSettings as BentoMLConfig
from e2i.tools.bentoml.build import MODEL_URI, Recipe
from e2i.tools.bentoml.connector import GuardedBentoML
from e2i.tools.bentoml.contents import of_mlflow
from e2i.tools.bentoml.endpoints import Endpoint
from e2i.tools.bentoml.resources import read
from e2i.workers import environment

__all__ = ["BentoMLConfig", "BentoMLService", "Endpoint"]

if TYPE_CHECKING:
    import numpy as np

NAME = re.compile(r"[a-z][a-z0-9_-]{0,59}[a-z0-9]")
VERSION = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}")
MODEL = "an address such as runs:/RUN/PATH, models:/NAME/VERSION or models:/NAME@ALIAS"
TAG = "a Bento as package_model returns it, NAME:VERSION"
ENDPOINT = "the name of an endpoint, which deploy makes"
REGISTERED = re.compile(r"models:/(?P<name>[^/@]+)[/@]")


class BentoMLService(Connector[BentoMLConfig]):
    """BentoML: Bentos, and the endpoints that serve them."""

    tool = "bentoml"

    def open(self) -> None:
        bentos = Path(self.config.home).expanduser() if self.config.home else self.home
        environ = environment.for_worker(os.environ, threads=os.cpu_count() or 1, store=self.program.store)
        del environ["OMP_NUM_THREADS"]  # a replica without a limit uses all cores, like the library itself
        self.client = GuardedBentoML(self.config, self.guard, self.home, environ, bentos)
        bentos.mkdir(parents=True, exist_ok=True)
        if "bentoml" not in sys.modules:  # the program's own calls of bentoml find what is packaged
            publish("BENTOML_HOME", str(bentos.resolve()))

    def described(self) -> str:
        if self.config.cloud is None:
            return super().described()
        source = self.program.source(self.tool, self.config)
        return f"e2i: {self.tool} deploys to {self.config.cloud.endpoint} (from {source})"

    @traced
    async def package_model(
        self,
        model_uri: str,
        preprocessing_uri: str | None = None,
        name: str | None = None,
        version: str | None = None,
    ) -> str:
        """Package a model of MLflow as a Bento; return its tag, ``NAME:VERSION``.

        ``preprocessing_uri`` is a fitted transformer that the rows pass first. Both are addresses such as
        ``runs:/RUN/PATH``, ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``. ``name`` is the registered model's, else
        ``model``; ``version`` is derived from the content. Equal content has the same tag. Raises BadCall when other
        content has that version, and for what is no model; ToolUnavailable when MLflow is down.
        """
        for uri, what in ((model_uri, "model_uri"), (preprocessing_uri, "preprocessing_uri")):
            if uri is not None:
                text(uri, what)
        arguments.text("model_uri", model_uri, MODEL)
        if preprocessing_uri is not None:
            arguments.text("preprocessing_uri", preprocessing_uri, MODEL)
        recipe = Recipe(_name(name, model_uri), _version(version), {MODEL_URI: model_uri})
        tracker = MLflowConnector()
        scratch = await asyncio.to_thread(_scratch, self.program.store)
        try:
            with mistakes():
                model = await tracker.download(model_uri, scratch / "model")
                before = None
                if preprocessing_uri is not None:
                    before = await tracker.download(preprocessing_uri, scratch / "preprocessing")
                contents = await asyncio.to_thread(of_mlflow, model, before)
                for note in contents.notes:
                    warnings.warn(note, stacklevel=3)
                return (await self.client.package(lambda: contents, recipe)).tag
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)

    @traced
    async def deploy(
        self,
        bento_tag: str,
        endpoint_name: str,
        replicas: int = 1,
        resources: Mapping[str, object] | None = None,
    ) -> Endpoint:
        """Deploy a Bento to an endpoint, and return the endpoint when all its replicas answer.

        An endpoint that exists keeps its address; its old replicas answer until the new ones do, and no request is
        lost. ``resources`` are limits of one replica: ``cpu`` ("2", "500m") and ``memory`` ("4Gi"). Raises BadCall for
        an unknown Bento or a wrong argument, ToolUnavailable when the replicas do not start: the old ones then stay.
        """
        text(str(bento_tag), "bento_tag")
        text(endpoint_name, "endpoint_name")
        with mistakes():
            arguments.text("bento_tag", bento_tag, TAG)
            arguments.text("endpoint_name", endpoint_name, ENDPOINT)
            if resources is not None:
                arguments.mapping("resources", resources, 'such as {"cpu": "2", "memory": "4Gi"}')
            limits = read(resources)
            return await self.client.deploy(bento_tag, endpoint_name, replicas, limits, self.program.environment)

    @traced
    async def update_traffic(
        self,
        endpoint_name: str,
        traffic_percentage: float,
        to: str | None = None,
        shadow: bool = False,
        sticky_by: str | None = None,
    ) -> Endpoint:
        """Move a share of the endpoint's requests to its newest Bento, or to the one named; the rest stays.

        The newest is the Bento made last, of those with the names of the endpoint's. When it answers alone, the rest
        goes to the one deployed before. No request is lost. With ``shadow`` the Bento receives copies of that share:
        its answers are compared, never returned, and never waited for. ``sticky_by`` is a feature whose value keeps
        requests without the header ``E2I-Key`` at one Bento. Raises BadCall for an unknown endpoint or Bento, and when
        there is nothing that could answer the rest.
        """
        text(endpoint_name, "endpoint_name")
        for name, value in (("to", to), ("sticky_by", sticky_by)):
            if value is not None:
                text(str(value), name)
        with mistakes():
            arguments.text("endpoint_name", endpoint_name, ENDPOINT)
            if to is not None:
                arguments.text("to", to, TAG)
            return await self.client.move(endpoint_name, traffic_percentage, to, shadow=bool(shadow), sticky=sticky_by)

    @traced
    async def rollback(self, endpoint_name: str, to: str | None = None) -> Endpoint:
        """Return an endpoint to what it was before the last change of its traffic, or to the named Bento alone.

        No request is lost. Raises BadCall for an unknown endpoint, and for one that has no earlier state.
        """
        text(endpoint_name, "endpoint_name")
        if to is not None:
            text(str(to), "to")
        with mistakes():
            arguments.text("endpoint_name", endpoint_name, ENDPOINT)
            if to is not None:
                arguments.text("to", to, TAG)
            return await self.client.roll_back(endpoint_name, to)

    @traced
    async def predict(self, endpoint_url: str, features: Any) -> np.ndarray[Any, Any]:
        """Return the endpoint's predictions for an array (rows, features), a frame, or a list of rows.

        Predictions are the model's own: classes for a classifier. Raises BadCall for rows that the model does not take
        and for an address that is neither on this machine nor in the settings, ToolUnavailable when nothing answers.
        """
        text(str(endpoint_url), "endpoint_url", longest=4_000)
        with mistakes():
            arguments.text("endpoint_url", endpoint_url, "the `url` of an endpoint")
            answer = await self.client.ask(endpoint_url, await asyncio.to_thread(_rows, features))
        return await asyncio.to_thread(_array, answer.predictions)

    @traced
    async def undeploy(self, endpoint_name: str) -> None:
        """End an endpoint: all its processes are gone when this returns. Safe to repeat.

        Raises BadCall for a name that was never deployed.
        """
        text(endpoint_name, "endpoint_name")
        with mistakes():
            arguments.text("endpoint_name", endpoint_name, ENDPOINT)
            await self.client.undeploy(endpoint_name)


def _scratch(store: Path) -> Path:
    """Return an empty folder among the store's temporary files, which `e2i gc` removes after a program was killed."""
    return regular.scratch_folder(store / "tmp", "package-")


def _name(name: str | None, uri: str) -> str:
    """Return the Bento's name: the one given, the registered model's in BentoML's letters, or ``model``."""
    if name is None:
        found = REGISTERED.match(uri)
        plain = re.sub(r"[^a-z0-9_-]", "_", found["name"].lower()).strip("_-")[:60] if found else ""
        return plain if NAME.fullmatch(plain) else "model"
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BadCall(
            f"{str(name)[:80]!r} is not a name of a Bento", hint="2 to 61 lower-case letters, digits, - and _"
        )
    return name


def _version(version: str | None) -> str | None:
    if version is not None and (not isinstance(version, str) or not VERSION.fullmatch(version) or version == "latest"):
        raise BadCall(
            f"{str(version)[:80]!r} is not a version of a Bento",
            hint='lower-case letters, digits, ".", - and _, such as "v1"; not "latest"',
        )
    return version


def _rows(features: Any) -> list[Any]:
    """Return the rows as JSON values. Raises BadCall for what is no table of finite values."""
    loading.once(BentoMLService.tool, _libraries)
    import numpy as np
    import pandas as pd

    from e2i.tools.bentoml.predicting import plain, plain_value

    if hasattr(features, "to_pandas"):  # Arrow, Polars
        features = features.to_pandas()
    if isinstance(features, pd.DataFrame):
        rows: list[Any] = plain(features)
    elif isinstance(features, list | tuple) and features and all(isinstance(row, Mapping) for row in features):
        rows = [{str(name): plain_value(value) for name, value in row.items()} for row in features]
    else:
        values = np.asarray(features, dtype=None if isinstance(features, np.ndarray) else object)
        if values.ndim != 2:
            raise BadCall(
                f"features have {values.ndim} dimension(s), not (rows, features)",
                hint="one row is a list of one list: [[1.0, 2.0]]",
            )
        rows = [[plain_value(value) for value in row] for row in values.tolist()]
    if any(value in (float("inf"), float("-inf")) for row in rows for value in _values(row)):
        raise BadCall("features contain infinite values", hint="replace them by finite or missing values")
    return rows


def _libraries() -> None:
    import httpx  # noqa: F401
    import pandas  # noqa: F401


def _values(row: Any) -> Any:
    return row.values() if isinstance(row, dict) else row


def _array(predictions: list[Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.asarray(predictions)

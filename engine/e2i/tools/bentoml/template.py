"""The service inside every Bento: rows of features go in, predictions come out.

This file is copied as it is into each Bento, beside ``scoring.py`` and ``service.json``; it imports nothing of e2i. It
is never written from a spec's text: what differs between Bentos is data.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import bentoml
from bentoml.exceptions import InvalidArgument

HERE = Path(__file__).parent
CONFIG: dict[str, Any] = json.loads((HERE / "service.json").read_text(encoding="utf-8"))
MAX_ROWS = 10_000


@bentoml.service(
    name=CONFIG["name"],
    workers=CONFIG["workers"],
    traffic={"timeout": CONFIG["timeout"], "concurrency": CONFIG["concurrency"]},
)
class ModelService:
    """Predicts with one model."""

    files = bentoml.models.BentoModel(CONFIG["model_tag"])

    def __init__(self) -> None:
        spec = importlib.util.spec_from_file_location("e2i_scoring", HERE / "scoring.py")
        assert spec is not None and spec.loader is not None
        scoring = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(scoring)
        self.scorer = scoring.load(self.files.path)
        self.refusal = scoring.ScoringError
        self.features: list[str] = [feature["name"] for feature in self.scorer.manifest["features"]]

    @bentoml.api  # type: ignore[untyped-decorator]  # BentoML's types are not followed
    def predict(
        self,
        input: list[list[float | str | bool | None] | dict[str, float | str | bool | None]],  # noqa: A002  # JSON's name
    ) -> dict[str, Any]:
        """Rows as mappings by feature name, or as lists in the order of the features; missing values are null.

        ``output`` has one entry a row: a number, or one for each class when there are more than two.
        """
        import pandas as pd

        if len(input) > MAX_ROWS:
            raise InvalidArgument(f"{len(input)} rows; at most {MAX_ROWS} in one request")
        if not input:
            return {"output": []}
        rows = [self.row(number, item) for number, item in enumerate(input)]
        try:
            output = self.scorer.predict(pd.DataFrame(rows, columns=self.features))
        except self.refusal as error:
            raise InvalidArgument(str(error)) from error
        return {"output": output.tolist()}

    @bentoml.api  # type: ignore[untyped-decorator]  # BentoML's types are not followed
    def metadata(self) -> dict[str, Any]:
        """Which model this is: its digest, features, classes, and the version of the Bento."""
        known = self.scorer.manifest
        return {
            "name": CONFIG["name"],
            "version": CONFIG["version"],
            "digest": CONFIG["digest"],
            "model": CONFIG["model"],
            **{key: known[key] for key in ("algorithm", "task", "target", "classes")},
            "features": [{key: feature[key] for key in ("name", "kind", "type")} for feature in known["features"]],
        }

    def row(self, number: int, values: list[Any] | dict[str, Any]) -> list[Any]:
        """One row in the order of the features."""
        if isinstance(values, dict):
            absent = [name for name in self.features if name not in values]
            if absent:
                raise InvalidArgument(f"row {number} lacks {', '.join(absent[:10])}; a missing value is null")
            return [values[name] for name in self.features]
        if len(values) != len(self.features):
            raise InvalidArgument(
                f"row {number} has {len(values)} values; the model has {len(self.features)} features: "
                f"{', '.join(self.features[:20])}"
            )
        return values

"""The service inside every Bento. In: rows of features. Out: predictions.

Web pages cannot call the service through a user's browser: only requests to this machine's host names are answered,
only from the same site, and only with JSON. E2I_SERVICE_HOSTS names other hosts, for a deployed Bento. This file is
copied unchanged into each Bento, beside ``callers.py``, ``flavours.py``, ``service.json`` and the modules that apply a
model, and imports nothing of e2i. It contains no text of a spec: Bentos differ in data only.
"""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import bentoml
from bentoml.exceptions import InvalidArgument

HERE = Path(__file__).parent
CONFIG: dict[str, Any] = json.loads((HERE / "service.json").read_text(encoding="utf-8"))
MAX_ROWS = 10_000
HOSTS = tuple(name.strip().lower() for name in os.environ.get("E2I_SERVICE_HOSTS", "").split(",") if name.strip())
"""Host names besides this machine's that are accepted; ``*``: any."""


def _module(name: str) -> Any:
    """Return the module of that file beside this one. Several Bentos have files of the same name."""
    spec = importlib.util.spec_from_file_location(f"e2i_{name}", HERE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class LocalOnly:
    """Pass on accepted requests; refuse the others before reading their body."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.refusal = _module("callers").refusal

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refused = self.refusal(scope.get("method", "WEBSOCKET"), scope["path"], scope["headers"], HOSTS)
        if refused is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            body = json.dumps({"error": refused[1]}).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": refused[0], "headers": headers})
            await send({"type": "http.response.body", "body": body})
        else:
            await send({"type": "websocket.close", "code": 1008})


@bentoml.service(
    name=CONFIG["name"],
    workers=CONFIG["workers"],
    traffic={"timeout": CONFIG["timeout"], "concurrency": CONFIG["concurrency"]},
)
class ModelService:
    """Predict with one model."""

    files = bentoml.models.BentoModel(CONFIG["model_tag"])

    def __init__(self) -> None:
        flavours = _module("flavours")
        self.model = flavours.load(self.files.path, _module)
        self.refusal = flavours.ServingError

    @bentoml.api  # type: ignore[untyped-decorator]  # BentoML's types are not followed
    def predict(
        self,
        input: list[list[float | str | bool | None] | dict[str, float | str | bool | None]],  # noqa: A002  # JSON's name
    ) -> dict[str, Any]:
        """Return predictions for rows, given by feature name or in the order of the features. Missing values are null.

        ``predictions`` has one entry per row, as the model's own ``predict`` gives them: a class, or a number.
        ``probabilities`` has one number per class for each row; it is null for a model that has none. A model with
        conformal quantiles has ``intervals``: for each row the lower and upper bound, or the classes of its set. Of an
        effect model, a prediction is the list of the effect on the row, and the bounds of its interval.
        """
        if len(input) > MAX_ROWS:
            raise InvalidArgument(f"{len(input)} rows; at most {MAX_ROWS} in one request")
        if not input:
            return {"predictions": [], "probabilities": None}
        try:
            answer: dict[str, Any] = self.model.answer(input)
        except self.refusal as error:
            raise InvalidArgument(str(error)) from error
        return answer

    @bentoml.api  # type: ignore[untyped-decorator]  # BentoML's types are not followed
    def metadata(self) -> dict[str, Any]:
        """Return the model's digest, features and classes, the version of the Bento, and its environment."""
        return {
            "name": CONFIG["name"],
            "version": CONFIG["version"],
            "digest": CONFIG["digest"],
            "model": CONFIG["model"],
            "environment": os.environ.get("E2I_ENVIRONMENT"),
            "classes": self.model.classes,
            **self.model.described(),
        }


ModelService.add_asgi_middleware(LocalOnly)  # type: ignore[attr-defined]  # the decorator makes a service of it

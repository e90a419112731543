"""The service inside every Bento. In: rows of features. Out: predictions.

Web pages cannot call the service through a user's browser: only requests to this machine's host names are answered,
only from the same site, and only with JSON. E2I_SERVICE_HOSTS names other hosts, for a deployed Bento. This file is
copied unchanged into each Bento, beside ``scoring.py`` and ``service.json``, and imports nothing of e2i. It contains no
text of a spec: Bentos differ in data only.
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
LOCAL = ("127.0.0.1", "localhost", "[::1]")
HOSTS = tuple(name.strip().lower() for name in os.environ.get("E2I_SERVICE_HOSTS", "").split(",") if name.strip())
"""Host names besides this machine's that are accepted; ``*``: any."""
PROBES = ("/livez", "/readyz", "/healthz")
"""Paths that are answered for any host name: health checks."""


def refusal(method: str, path: str, headers: list[tuple[bytes, bytes]]) -> tuple[int, str] | None:
    """Return the status and the reason of a refused request; None for an accepted one."""
    given: dict[str, list[str]] = {}
    for name, value in headers:
        given.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1").strip().lower())
    if method in ("GET", "HEAD") and path in PROBES and "origin" not in given:
        return None
    hosts = given.get("host", [])
    if len(hosts) != 1 or not ("*" in HOSTS or _name(hosts[0]) in LOCAL + HOSTS):
        return 421, "unknown host name; set E2I_SERVICE_HOSTS in the service's environment to accept it"
    if any(origin not in (f"http://{hosts[0]}", f"https://{hosts[0]}") for origin in given.get("origin", [])):
        return 403, "requests from other sites are refused"
    if any(site not in ("same-origin", "none") for site in given.get("sec-fetch-site", [])):
        return 403, "requests from other sites are refused"
    if method not in ("GET", "HEAD"):
        kinds = [kind.partition(";")[0].strip() for kind in given.get("content-type", [])]
        if kinds != ["application/json"]:
            return 415, "the content type must be application/json"
    return None


def _name(host: str) -> str:
    """Return the host without its port."""
    name, _, port = host.rpartition(":")
    return name if name and port.isdigit() and not host.endswith("]") else host


class LocalOnly:
    """Pass on accepted requests; refuse the others before reading their body."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refused = refusal(scope.get("method", "WEBSOCKET"), scope["path"], scope["headers"])
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
        """Return predictions for rows, given by feature name or in the order of the features. Missing values are null.

        The output has one entry per row: a number, or one number per class for more than two classes.
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
        """Return the model's digest, features and classes, and the version of the Bento."""
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
        """Return one row in the order of the features."""
        if isinstance(values, dict):
            absent = [name for name in self.features if name not in values]
            if absent:
                raise InvalidArgument(f"row {number} lacks {', '.join(absent[:10])}; use null for a missing value")
            return [values[name] for name in self.features]
        if len(values) != len(self.features):
            raise InvalidArgument(
                f"row {number} has {len(values)} values; the model has {len(self.features)} "
                f"features: {', '.join(self.features[:20])}"
            )
        return values


ModelService.add_asgi_middleware(LocalOnly)  # type: ignore[attr-defined]  # the decorator makes a service of it

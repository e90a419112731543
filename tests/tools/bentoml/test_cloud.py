"""BentoCloud, by BentoML's real client against a loopback server that speaks the routes it calls.

The server keeps what it is sent, and answers with the documents that the client reads. Uploading is not tested: the server
says that it has each Bento and model already.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from e2i.errors import AuthenticationFailed, Refused, StepError, ToolUnavailable
from e2i.tools.bentoml.connector import GuardedBentoML
from e2i.tools.bentoml.endpoints import Endpoint
from e2i.tools.bentoml.resources import Resources, read
from project import held_port
from served_models import client

pytestmark = pytest.mark.skipif(find_spec("bentoml") is None, reason="BentoML is not installed")
TOKEN = "a-token-of-the-account"
AT = "2026-01-02T03:04:05.000000Z"


def resource(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "uid": name, "created_at": AT, "updated_at": AT, "deleted_at": None, "name": name, "resource_type": kind,
        "labels": [], **more,
    }  # fmt: skip


USER = {"name": "u", "email": "u@example.test", "first_name": "U", "last_name": "V"}
CLUSTER = resource("eu", "cluster", description="", organization_name="o", creator=USER, is_first=True)


class BentoCloud(ThreadingHTTPServer):
    """The routes for Bentos and deployments, and the deployed services at ``/services/NAME``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.wanted: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.looks: dict[str, int] = {}
        self.ends = "running"
        self.failing = 0
        Thread(target=self.serve_forever, daemon=True).start()

    def deployment(self, name: str) -> dict[str, Any]:
        """The document of a deployment: it is ready when it was looked at twice."""
        wanted = self.wanted[name]
        self.looks[name] = self.looks.get(name, 0) + 1
        versions = (wanted.get("canary") or {}).get("versions") or {}
        targets = [target("main", wanted)] + [target(key, {**wanted, **one}) for key, one in versions.items()]
        manifest: dict[str, Any] = {"dev": False}
        if versions:
            weights = {key: one["weight"] for key, one in versions.items()}
            manifest["routing"] = {"route_type": "random", "weights": weights}
        status = wanted.get("status") or (self.ends if self.looks[name] > 2 else "deploying")
        revision = resource("1", "deployment_revision", creator=USER, status="active", targets=targets)
        return resource(
            name, "deployment", status=status, kube_namespace="ns", creator=USER, cluster=CLUSTER,
            latest_revision=revision, manifest=manifest, urls=[f"{self.url}/services/{name}"],
        )  # fmt: skip


def target(name: str, wanted: dict[str, Any]) -> dict[str, Any]:
    repository, _, version = wanted["bento"].partition(":")
    config = {key: wanted[key] for key in ("services", "envs", "access_authorization") if wanted.get(key) is not None}
    return resource(name, "target", creator=USER, config=config, bento=bento(repository, version))


def bento(name: str, version: str) -> dict[str, Any]:
    return resource(
        version, "bento", description="", version=version, image_build_status="success", upload_status="success",
        upload_finished_reason="", presigned_upload_url="", presigned_download_url="", manifest=None,
        repository=resource(name, "bento_repository", description="", latest_bento=None),
    )  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    server: BentoCloud

    def answer(self) -> tuple[int, Any]:
        path, body = urlsplit(self.path).path, self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append(f"{self.command} {path}")
        given = json.loads(body) if body else None
        if path.startswith("/services/"):
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return 401, {"error": "no token"}
            return 200, {"predictions": [1] * len(given["input"]), "probabilities": None}
        if self.headers.get("X-YATAI-API-TOKEN") != TOKEN:
            return 401, {"error": "who are you?"}
        if self.server.failing:
            return self.server.failing, {"error": "sorry"}
        if found := re.fullmatch(r"/api/v1/bento_repositories/(\w+)", path):
            return 200, resource(found[1], "bento_repository", description="", latest_bento=None)
        if found := re.fullmatch(r"/api/v1/bento_repositories/(\w+)/bentos/(\w+)", path):
            return 200, bento(found[1], found[2])
        if found := re.fullmatch(r"/api/v1/model_repositories/(\w+)", path):
            return 200, resource(found[1], "model_repository", description="", latest_model=None)
        if found := re.fullmatch(r"/api/v1/model_repositories/(\w+)/models/(\w+)", path):
            about = {"module": "", "api_version": "v1", "bentoml_version": "1.4", "size_bytes": 1}
            return 200, {**bento(found[1], found[2]), "manifest": about}
        if path == "/api/v1/instance_types":
            return 200, [instance("large", "4", "16Gi"), instance("small", "2", "4Gi"), instance("tiny", "500m", "1Gi")]
        return self.deployments(path, given)

    def deployments(self, path: str, given: Any) -> tuple[int, Any]:
        known, name = self.server.wanted, path.rpartition("/deployments/")[2].partition("/")[0]
        if path == "/api/v2/deployments" and self.command == "POST":
            known[given["name"]], self.server.looks[given["name"]] = given, 0
            return 200, self.server.deployment(given["name"])
        if path == "/api/v2/deployments":
            items = [self.server.deployment(each) for each in known]
            return 200, {"start": 0, "count": len(items), "total": len(items), "items": items}
        if name not in known:
            return 404, {"error": "record not found"}
        if self.command == "PUT":
            known[name], self.server.looks[name] = given, 0
        elif path.endswith("/terminate"):
            known[name] = {**known[name], "status": "terminated"}
        elif self.command == "DELETE":
            return 200, (self.server.deployment(name), known.pop(name))[0]
        return 200, self.server.deployment(name)

    def do_GET(self) -> None:
        status, document = self.answer()
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def instance(name: str, cpu: str, memory: str) -> dict[str, Any]:
    requests = {"cpu": cpu, "memory": memory, "gpu": ""}
    config = {"group": "cpu", "resources": {"requests": requests, "limits": requests}, "price": "1"}
    return resource(name, "instance", display_name=name, description="", config=config)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two Bentos, built apart."""
    from e2i.tools.bentoml.build import Recipe, ensure_bento
    from e2i.tools.bentoml.builder import build_apart
    from e2i.tools.bentoml.contents import of_mlflow
    from served_models import linear

    root = tmp_path_factory.mktemp("cloud")
    environ = client(root / "bentoml").environ or {}
    for version in ("v1", "v2"):
        contents = of_mlflow(linear(root / version, version == "v2"))

        def how(*what: Any) -> None:
            build_apart(environ, 200, *what)

        ensure_bento(root / "bentoml", contents, Recipe("hcp", version), how)
    return root / "bentoml"


@pytest.fixture
def cloud() -> Iterator[BentoCloud]:
    with BentoCloud() as server:
        yield server
        server.shutdown()


def of(cloud: BentoCloud, home: Path, **more: Any) -> GuardedBentoML:
    return client(home, cloud={"endpoint": cloud.url, "api_token": TOKEN, **more})


def deployed(bentoml: GuardedBentoML, tag: str, limits: Resources | None = None) -> Endpoint:
    return asyncio.run(bentoml.deploy(tag, "conversion", 2, limits or Resources(), "prod"))


@pytest.mark.slow
def test_a_bento_is_deployed_moved_asked_and_undeployed(cloud: BentoCloud, home: Path) -> None:
    bentoml = of(cloud, home)
    url = f"{cloud.url}/services/conversion"
    assert deployed(bentoml, "hcp:v1", read({"cpu": "1", "memory": "2Gi"})) == Endpoint("conversion", url, "hcp:v1", 2)
    wanted = cloud.wanted["conversion"]
    service = wanted["services"]["hcp"]
    assert (wanted["bento"], service["instance_type"]) == ("hcp:v1", "small")
    assert {"min_replicas": 2, "max_replicas": 2}.items() <= service["scaling"].items()
    assert {"name": "E2I_ENVIRONMENT", "value": "prod"}.items() <= wanted["envs"][0].items()

    assert asyncio.run(bentoml.move("conversion", 10, None)) == Endpoint("conversion", url, "hcp:v2", 2)
    (version,) = cloud.wanted["conversion"]["canary"]["versions"].values()
    assert (cloud.wanted["conversion"]["bento"], version["bento"], version["weight"]) == ("hcp:v1", "hcp:v2", 10)
    known = asyncio.run(bentoml.find("conversion"))
    assert known is not None and (known.main, known.canary, known.percent) == ("hcp:v1", "hcp:v2", 10)
    assert asyncio.run(bentoml.share("conversion", "hcp:v2")) == 10 and asyncio.run(bentoml.find("nobody")) is None
    assert asyncio.run(bentoml.url_of("conversion")) == url
    asyncio.run(bentoml.roll_back("conversion"))
    assert cloud.wanted["conversion"]["bento"] == "hcp:v1" and not cloud.wanted["conversion"].get("canary")
    with pytest.raises(StepError, match="keeps no earlier state"):
        asyncio.run(bentoml.roll_back("conversion"))
    with pytest.raises(StepError, match="no shadows"):
        asyncio.run(bentoml.move("conversion", 10, None, shadow=True))
    asyncio.run(bentoml.move("conversion", 100, None))
    assert cloud.wanted["conversion"]["bento"] == "hcp:v2" and not cloud.wanted["conversion"].get("canary")
    assert deployed(bentoml, "hcp:v1").bento_tag == "hcp:v1"
    assert cloud.wanted["conversion"]["bento"] == "hcp:v1"

    assert asyncio.run(of(cloud, home).ask(url, [[1.0, 2.0, 3.0]] * 3)).predictions == [1, 1, 1]  # of a later program
    asyncio.run(bentoml.undeploy("conversion"))
    assert cloud.wanted == {} and "POST /api/v2/deployments/conversion/terminate" in cloud.asked


def test_the_token_goes_to_the_clouds_own_addresses_only(cloud: BentoCloud, home: Path) -> None:
    bentoml = of(cloud, home)
    with pytest.raises(Refused):
        asyncio.run(bentoml.ask("https://evil.example.test/services/conversion", [[1.0]]))
    with pytest.raises(StepError, match="who are you"):  # a service of this machine that is none of the cloud's
        asyncio.run(bentoml.ask(cloud.url, [[1.0]]))


def test_a_refused_token_a_failing_cloud_and_a_silent_one_are_told_apart(cloud: BentoCloud, home: Path) -> None:
    with pytest.raises(AuthenticationFailed, match="refuses the token"):
        deployed(of(cloud, home, api_token="another-token-than-that"), "hcp:v1")
    cloud.failing = 503
    with pytest.raises(ToolUnavailable, match="is failing"):
        deployed(of(cloud, home), "hcp:v1")
    cloud.failing = 0
    cloud.ends = "failed"
    with pytest.raises(ToolUnavailable, match="conversion is failed"):
        deployed(of(cloud, home), "hcp:v1")
    with pytest.raises(StepError, match="no deployment nobody"):
        asyncio.run(of(cloud, home).undeploy("nobody"))
    with held_port() as port, pytest.raises(ToolUnavailable, match="does not answer"):
        deployed(client(home, cloud={"endpoint": f"http://127.0.0.1:{port}", "api_token": TOKEN}), "hcp:v1")

"""Bentos and services, asked about with BentoML's own client and over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from context import LocalContext
from e2i.catalog.artifacts import Bento, Service
from e2i.errors import Refused, StepError, ToolUnavailable
from e2i.estimators import scoring, travelling
from e2i.tools.bentoml import PackageParams, PredictParams, ServeParams, server
from e2i.tools.bentoml.actions import package, predict, serve
from e2i.tools.bentoml.kept import is_complete, mark_of
from e2i.tools.bentoml.ports import claim
from foreign_requests import check_foreign
from project import LONGEST, held_port, until
from small_model import small_model

pytestmark = pytest.mark.skipif(find_spec("bentoml") is None, reason="BentoML is not installed")


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalContext]:
    """One context for the module: BentoML reads its home once in a process."""
    context = LocalContext(tmp_path_factory.mktemp("studio"))
    yield context
    context.close()


def packaged(ctx: LocalContext, model: Any, **more: Any) -> Bento:
    return asyncio.run(package(PackageParams.model_validate({"model": model, "name": "hcp", **more}), ctx)).bento


@pytest.fixture(scope="module")
def served(studio: LocalContext) -> tuple[Any, Any, Bento, Service]:
    model, frame = small_model(studio)
    bento = packaged(studio, model)
    return model, frame, bento, asyncio.run(serve(ServeParams(bento=bento), studio)).service


def test_a_served_model_predicts_as_it_does_locally(studio: LocalContext, served: Any) -> None:
    model, frame, bento, service = served
    assert service.digest == bento.digest and not service.kept
    params = PredictParams(service=service, table=studio.table(frame), rows=150, model=model)
    outcome = asyncio.run(predict(params, studio))
    assert outcome.max_difference is not None and outcome.max_difference <= 1e-6
    local = scoring.load(studio.open(model)).predict(frame.head(150))
    np.testing.assert_allclose(studio.frame(outcome.predictions)["prediction"], local, atol=1e-6)


def test_columns_are_kept_beside_the_predictions(studio: LocalContext, served: Any) -> None:
    _, frame, _, service = served
    given = studio.table(frame.assign(visit=range(len(frame)), prediction=0.5))
    params = {"service": service, "table": given, "rows": 20, "key": "visit", "keep": ["visit"]}
    found = studio.frame(asyncio.run(predict(PredictParams.model_validate(params), studio)).predictions)
    assert list(found.columns) == ["visit", "prediction", "bento"] and found["visit"].tolist() == list(range(20))
    with pytest.raises(StepError, match="same name as those to keep: prediction") as caught:
        asyncio.run(predict(PredictParams.model_validate({**params, "keep": ["prediction"]}), studio))
    assert caught.value.code == "duplicate-column"
    with pytest.raises(ValidationError, match="`keep` copies columns of `table`"):
        PredictParams(service=service, input=({"x": 1},), keep=("x",))


def test_the_service_is_bentomls_own(served: Any) -> None:
    model, _, bento, service = served
    for path in ("/readyz", "/livez", "/metrics", "/docs.json"):
        assert httpx.get(service.url + path).status_code == 200, path
    assert "/predict" in httpx.get(service.url + "/docs.json").json()["paths"]
    known = httpx.post(service.url + "/metadata", json={}).json()
    assert (known["digest"], known["model"]) == (bento.digest, model.digest)
    assert known["features"] == [
        {"name": "calls", "kind": "number", "type": "int64"},
        {"name": "score", "kind": "number", "type": "double"},
        {"name": "brand", "kind": "category", "type": "string"},
    ]


def test_no_web_page_reaches_the_service_through_its_readers_browser(served: Any) -> None:
    url = served[3].url
    check_foreign(url)
    body = json.dumps({"input": [[12, None, "Kisqali"]]})
    kinds = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "",
             "application/vnd.bentoml+pickle", "text/plain; x=application/json")  # fmt: skip
    for kind in kinds:
        answer = httpx.post(url + "/predict", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 415, kind
    assert httpx.post(url + "/predict", content=body).status_code == 415
    port = url.rpartition(":")[2]
    for headers in (
        {"Content-Type": "application/json; charset=utf-8"},
        {"Host": f"localhost:{port}"},
        {"Host": "LOCALHOST"},
        {"Origin": url, "Sec-Fetch-Site": "same-origin"},
    ):
        answer = httpx.post(url + "/predict", content=body, headers={"Content-Type": "application/json", **headers})
        assert answer.status_code == 200, headers
    assert httpx.get(url + "/readyz", headers={"Host": "10.0.0.7:3000"}).status_code == 200


def test_the_service_listens_on_this_machine_only(served: Any) -> None:
    port = int(served[3].url.rpartition(":")[2])
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if " 0A " in line]
    assert f"0100007F:{port:04X}" in listening
    assert f"00000000:{port:04X}" not in listening


def test_the_server_ends_well_when_it_is_told_to_and_leaves_nothing(studio: LocalContext, served: Any) -> None:
    home = studio.home("bentoml")
    left = set(home.glob("metrics-*"))
    environ = {**os.environ, "BENTOML_HOME": str(home.resolve()), "BENTOML_DO_NOT_TRACK": "true"}
    with claim(0) as claimed:
        port = claimed.getsockname()[1]
        process = subprocess.Popen([sys.executable, "-P", server.__file__, served[2].tag, str(port)], env=environ)
        try:
            url = f"http://127.0.0.1:{port}/readyz"
            assert until(lambda: process.poll() is not None or answers(url))
            process.terminate()
            assert process.wait(LONGEST) == 0
        finally:
            process.kill()
    assert set(home.glob("metrics-*")) == left


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def test_rows_may_be_lists_or_mappings(served: Any) -> None:
    url = served[3].url + "/predict"
    rows = [[12, None, "Kisqali"], {"brand": "Kisqali", "calls": 12, "score": None}, [12, None, "never seen"]]
    answer = httpx.post(url, json={"input": rows}).json()
    for part in (answer["predictions"], answer["probabilities"]):
        assert part[0] == part[1] and len(part) == 3
    assert httpx.post(url, json={"input": []}).json() == {"predictions": [], "probabilities": None}
    for bad, reason in (([[1]], "3 features"), ([{"calls": 1}], "lacks score, brand"), ([["x", 1, "y"]], "calls")):
        refused = httpx.post(url, json={"input": bad})
        assert refused.status_code == 400 and reason in refused.text


def test_rows_written_out_are_predicted_too(studio: LocalContext, served: Any) -> None:
    model, _, _, service = served
    rows = ({"calls": 12, "score": 0.5, "brand": "Fabhalta", "ignored": 1}, {"calls": 1, "score": None, "brand": "x"})
    outcome = asyncio.run(predict(PredictParams(service=service, input=rows, model=model), studio))
    assert outcome.predictions.rows == 2 and outcome.max_difference <= 1e-6
    with pytest.raises(StepError, match="brand"):
        asyncio.run(predict(PredictParams(service=service, input=({"calls": 1, "score": 2.0},)), studio))


def test_a_service_with_another_model_is_found_out(studio: LocalContext, served: Any) -> None:
    _, frame, _, service = served
    other, _ = small_model(studio, params={"n_estimators": 1, "max_depth": 1})
    with pytest.raises(StepError) as caught:
        asyncio.run(predict(PredictParams(service=service, table=studio.table(frame), model=other), studio))
    assert caught.value.code == "prediction-mismatch"


def test_a_port_in_use_is_named_with_its_process(studio: LocalContext, served: Any) -> None:
    bento = served[2]
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(ToolUnavailable, match=f"port {port} .* process {os.getpid()} ") as caught:
            asyncio.run(serve(ServeParams(bento=bento, port=port), studio))
    assert "\n" not in str(caught.value)


def test_packaging_again_gives_the_same_bento(studio: LocalContext, served: Any) -> None:
    model, _, bento, _ = served
    assert packaged(studio, model) == bento
    assert packaged(studio, model, timeout=7) != bento
    versions = [path.name for path in (studio.home("bentoml") / "bentos" / "hcp").iterdir() if path.is_dir()]
    assert len(versions) == 2
    named = packaged(studio, model, version="v1", labels={"team": "tier0"})
    known = yaml.safe_load((studio.home("bentoml") / "bentos/hcp/v1/bento.yaml").read_text())
    assert named.tag == "hcp:v1" and known["labels"]["team"] == "tier0"
    with pytest.raises(StepError, match="other content"):
        packaged(studio, model, version="v1")


def test_an_interrupted_build_is_done_again(studio: LocalContext) -> None:
    model, _ = small_model(studio)
    bento = packaged(studio, model, name="crashed")
    home = studio.home("bentoml")
    folder = home / "bentos" / bento.tag.replace(":", "/")
    mark_of(home, bento.tag).unlink()
    shutil.rmtree(folder)  # what is left when it is killed after the model, before the Bento
    assert packaged(studio, model, name="crashed") == bento
    assert (folder / "src" / "service.json").is_file()


def test_a_second_home_in_the_same_process_is_used_as_well(
    ctx: LocalContext, studio: LocalContext, served: Any
) -> None:
    model, _ = small_model(ctx)
    bento = packaged(ctx, model, name="elsewhere")
    assert is_complete(ctx.home("bentoml"), bento.tag, bento.digest)
    assert not is_complete(studio.home("bentoml"), bento.tag, bento.digest)


def test_a_bento_needs_neither_e2i_nor_a_pickle(studio: LocalContext, served: Any) -> None:
    bento = studio.home("bentoml") / "bentos" / served[2].tag.replace(":", "/")
    sources = sorted(path.name for path in (bento / "src").iterdir() if path.suffix == ".py")
    assert {"callers.py", "flavours.py", *(f"{name}.py" for name in travelling.files(effects=True))} < set(sources)
    assert len(sources) == 10  # and the service
    for path in bento.rglob("*.py"):
        run = re.sub(r"if TYPE_CHECKING:\n(?:    .*\n)+", "", path.read_text())  # the rest is for type checkers
        assert not re.search(r"\b(import|from) e2i\b", run)
    assert all(item.count("==") == 1 for item in (bento / "env/python/requirements.txt").read_text().split())
    assert not [path for path in studio.home("bentoml").rglob("*") if path.suffix in (".pkl", ".pickle")]


@pytest.mark.slow
def test_a_store_that_was_moved_still_serves_its_bentos(studio: LocalContext, served: Any, tmp_path: Path) -> None:
    shutil.copytree(studio.home("bentoml"), tmp_path / "home")
    code = "import sys, bentoml; from starlette.testclient import TestClient\n"
    code += "with TestClient(bentoml.load(sys.argv[1]).to_asgi(), base_url='http://127.0.0.1') as client:\n"
    code += "    print(client.post('/predict', json={'input': [[12, 0.5, 'Kisqali']]}).text)"
    done = subprocess.run(
        [sys.executable, "-c", code, served[2].tag],
        env={**os.environ, "BENTOML_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=LONGEST,
    )
    assert "predictions" in json.loads(done.stdout.strip().splitlines()[-1]), done.stderr[-500:]


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "http://127.0.0.1:80/evil", "https://example.test", "file:///etc"]
)
def test_only_services_of_this_machine_are_asked(ctx: LocalContext, url: str) -> None:
    service = Service(digest=f"sha256:{'0' * 64}", url=url, pid=1)
    with pytest.raises(Refused):
        asyncio.run(predict(PredictParams(service=service, input=({"a": 1},)), ctx))


def test_a_service_that_has_gone_is_an_outage(ctx: LocalContext) -> None:
    with held_port() as port, pytest.raises(ToolUnavailable):
        service = Service(digest=f"sha256:{'0' * 64}", url=f"http://127.0.0.1:{port}", pid=1)
        asyncio.run(predict(PredictParams(service=service, input=({},)), ctx))


def test_a_service_that_fails_is_an_outage(ctx: LocalContext) -> None:
    class Failing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(503, "overloaded")

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Failing)
    Thread(target=server.serve_forever, daemon=True).start()
    service = Service(digest=f"sha256:{'0' * 64}", url=f"http://127.0.0.1:{server.server_port}", pid=1)
    with pytest.raises(ToolUnavailable, match="503"):
        asyncio.run(predict(PredictParams(service=service, input=({"a": 1},)), ctx))
    server.shutdown()


@pytest.mark.parametrize("name", ["os:system", "Upper", "a/b", "../x", "x\nRUN id", "a" * 62, ""])
def test_a_name_that_is_more_than_a_name_is_refused(studio: LocalContext, served: Any, name: str) -> None:
    with pytest.raises(ValidationError):
        PackageParams(model=served[0], name=name)

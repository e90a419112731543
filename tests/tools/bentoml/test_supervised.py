"""BentoML's own supervisor, for services that stay or have several workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from project import LONGEST, WITHIN

pytestmark = pytest.mark.skipif(find_spec("bentoml") is None, reason="BentoML is not installed")

SCRIPT = """
import asyncio, os, sys
from pathlib import Path
import conftest
from context import LocalContext
from small_model import small_model
from e2i.tools.bentoml import PackageParams, PredictParams, ServeParams
from e2i.tools.bentoml.actions import package, predict, serve

ctx = LocalContext(Path(sys.argv[1]))
model, frame = small_model(ctx)
bento = asyncio.run(package(PackageParams(model=model, name="kept"), ctx)).bento
import bentoml
planted = Path(sys.argv[1], "planted")
planted.mkdir()
for name in ("bentoml", "json", "sitecustomize", "usercustomize", "_bentoml_impl"):
    (planted / f"{name}.py").write_text(f"open({str(planted / 'ran')!r}, 'a').write(__name__)\\nraise SystemExit(3)\\n")
os.chdir(planted)
os.environ["PYTHONPATH"] = str(planted)
service = asyncio.run(serve(ServeParams(bento=bento, keep=True), ctx)).service
asyncio.run(predict(PredictParams(service=service, table=ctx.table(frame), model=model), ctx))
ctx.close()
print(service.pid, service.url)
"""


@pytest.mark.slow
def test_a_kept_service_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    tests = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": f"{tests.parent / 'engine'}:{tests}"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], env=env, capture_output=True, text=True, timeout=LONGEST
    )
    assert done.returncode == 0, done.stderr[-800:]
    assert not (tmp_path / "planted" / "ran").exists()  # neither BentoML's supervisor nor its workers
    pid, url = done.stdout.split()
    try:
        client = httpx.Client(base_url=url, timeout=WITHIN)
        assert client.get("/readyz").status_code == 200
        for method, path in (
            ("POST", "/predict"),
            ("POST", "/metadata"),
            ("GET", "/metrics"),
            ("GET", "/docs.json"),
            ("GET", "/"),
        ):
            for headers in (
                {"Host": "evil.example"},
                {"Origin": "http://evil.example"},
                {"Sec-Fetch-Site": "cross-site"},
            ):
                answer = client.request(method, path, headers=headers)
                assert answer.status_code in (403, 421), (method, path, headers)
        assert client.post("/metadata", content="{}", headers={"Content-Type": "text/plain"}).status_code == 415
        client.close()
        assert b"bentoml" in Path(f"/proc/{pid}/cmdline").read_bytes()
    finally:
        os.kill(int(pid), signal.SIGTERM)

"""Actions on endpoints, with real services: deployed, moved, shadowed, guarded, rolled back, asked and undeployed."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from context import LocalContext
from e2i.catalog.artifacts import Bento, Endpoint
from e2i.catalog.context import Superseded
from e2i.errors import StepError
from e2i.tools.bentoml import PredictParams, effects
from e2i.tools.bentoml.actions import deploy, metrics, predict, rollback, undeploy, update_traffic
from e2i.tools.bentoml.endpoint_params import (
    DeployParams,
    EndpointOutputs,
    MetricsParams,
    RollbackParams,
    UndeployOutputs,
    UndeployParams,
    UpdateTrafficParams,
)
from project import ENGINE, LONGEST, until
from served_models import client, processes, table, using

pytestmark = pytest.mark.skipif(find_spec("bentoml") is None, reason="BentoML is not installed")
BUILD = (
    "import sys, conftest\nfrom pathlib import Path\nfrom served_models import bento, linear\n"
    "root = Path(sys.argv[1])\n"
    "for version in ('v1', 'v2'):\n"
    "    print(bento(root / 'store' / 'bentoml', linear(root / version, version == 'v2'), 'hcp', version))\n"
)


@pytest.fixture(scope="module")
def ctx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalContext]:
    """A context whose store has the Bentos hcp:v1 and hcp:v2, which predicts the opposite."""
    root = tmp_path_factory.mktemp("deploying")
    environ = {**os.environ, "PYTHONPATH": f"{ENGINE}:{Path(__file__).parents[2]}"}
    done = subprocess.run([sys.executable, "-c", BUILD, str(root)], env=environ, capture_output=True, timeout=LONGEST)
    assert done.returncode == 0, done.stderr.decode()[-800:]
    context = LocalContext(root)
    yield context
    for folder in (root / "store" / "bentoml" / "endpoints").glob("*"):
        client(root / "store" / "bentoml").endpoints.stop(folder.name)
    context.close()
    assert until(lambda: using(root / "store" / "bentoml") == set())


def bento(version: str) -> Bento:
    return Bento(digest=f"sha256:{version[1:]:0>64}", tag=f"hcp:{version}", model="")


def done(action: Any, params: Any, ctx: LocalContext) -> Any:
    return asyncio.run(action(params, ctx))


def rows(ctx: LocalContext, number: int = 120) -> Any:
    frame, _ = table(number)
    return ctx.table(frame.assign(id=[f"k{row}" for row in range(number)]))


@pytest.mark.sweep
def test_an_endpoint_is_deployed_moved_guarded_rolled_back_and_undeployed(ctx: LocalContext) -> None:
    home, data = ctx.home("bentoml"), rows(ctx)
    reference = ctx.table(table()[0])
    deploying = DeployParams(bento=bento("v1"), name="conversion", environment="test", reference=reference)
    first = done(deploy, deploying, ctx).endpoint
    assert (first.bento, first.share) == ("hcp:v1", 100.0)
    assert effects.deploy(deploying, EndpointOutputs(endpoint=first), ctx) is None
    assert done(deploy, deploying, ctx).endpoint == first  # a second attempt

    guard = {"requests": 5, "max_difference": 0.2, "max_error_rate": 0.5}
    moving = UpdateTrafficParams.model_validate(
        {"endpoint": first, "bento": bento("v2"), "traffic": 30, "guard": guard}
    )
    canary = done(update_traffic, moving, ctx).endpoint
    assert (canary.bento, canary.share, canary.url) == ("hcp:v2", 30.0, first.url) and canary.digest != first.digest
    assert effects.update_traffic(moving, EndpointOutputs(endpoint=canary), ctx) is None
    assert effects.deploy(deploying, EndpointOutputs(endpoint=first), ctx) is None  # an advance is no return

    asked = done(predict, PredictParams(endpoint="conversion", table=data, key="id"), ctx)
    answers = ctx.frame(asked.predictions)
    assert set(answers["bento"]) == {"hcp:v1", "hcp:v2"} and len(answers) == 100
    with pytest.raises(StepError, match="mean difference of predictions is") as caught:  # v2 predicts the opposite
        done(metrics, MetricsParams(endpoint="conversion", wait=60), ctx)
    assert caught.value.code == "traffic-rolled-back"
    seen = done(metrics, MetricsParams(endpoint=canary, on_rollback="report"), ctx)
    assert seen.guard == "rolled_back" and "above 0.2" in seen.reason
    assert isinstance(effects.update_traffic(moving, EndpointOutputs(endpoint=canary), ctx), Superseded)
    figures = ctx.frame(seen.bentos).set_index("bento")
    assert figures["requests"].sum() == 100 and figures.loc["hcp:v1", "share"] == 100
    assert seen.max_psi is not None and seen.max_psi < 0.2 and ctx.metrics["hcp_v1_failures"] == 0
    text = httpx.get(f"{first.url}/metrics").text
    assert (
        'e2i_endpoint_requests_total{bento="hcp:v1",status="2xx"}' in text and "e2i_endpoint_rollbacks_total 1" in text
    )

    wide = UpdateTrafficParams(endpoint="conversion", bento=bento("v2"), traffic=100)
    done(update_traffic, wide, ctx)
    back = RollbackParams(endpoint="conversion")
    assert done(rollback, back, ctx).endpoint.bento == "hcp:v1"
    assert done(rollback, back, ctx).endpoint.bento == "hcp:v1"  # a second attempt goes no further back
    assert effects.rollback(back, EndpointOutputs(endpoint=first), ctx) is None
    assert isinstance(effects.deploy(deploying, EndpointOutputs(endpoint=first), ctx), Superseded)

    shadowing = UpdateTrafficParams(endpoint="conversion", bento=bento("v2"), traffic=50, shadow=True)
    assert done(update_traffic, shadowing, ctx).endpoint.share == 0
    asked = done(predict, PredictParams(endpoint="conversion", table=data, rows=20, key="id"), ctx)
    assert set(ctx.frame(asked.predictions)["bento"]) == {"hcp:v1"}
    log = home / "endpoints" / "conversion" / "compared.jsonl"
    assert until(lambda: sum('"compared":"hcp:v2"' in line for line in log.read_text().splitlines()) == 10)
    line = json.loads(log.read_text().splitlines()[-1])
    assert line["rows"] == 1 and line["error"] == "" and "calls" not in line

    assert done(undeploy, UndeployParams(endpoint="conversion"), ctx).name == "conversion"
    assert processes(home, "conversion") == set()
    gone = UndeployOutputs(name="conversion")
    assert effects.undeploy(UndeployParams(endpoint="conversion"), gone, ctx) is None
    assert effects.deploy(deploying, EndpointOutputs(endpoint=first), ctx) == "the endpoint conversion does not exist"


@pytest.mark.slow
def test_a_mistake_is_named(ctx: LocalContext) -> None:
    unknown = Endpoint(digest=f"sha256:{'0' * 64}", name="nobody", url="http://127.0.0.1:1", bento="hcp:v1")
    for action, params in (
        (update_traffic, UpdateTrafficParams(endpoint=unknown, traffic=10)),
        (rollback, RollbackParams(endpoint="nobody")),
        (metrics, MetricsParams(endpoint="nobody")),
        (predict, PredictParams(endpoint="nobody", input=({"calls": 1},))),
    ):
        with pytest.raises(StepError, match="no endpoint nobody"):
            done(action, params, ctx)
    assert (
        done(undeploy, UndeployParams(endpoint="nobody"), ctx).name == "nobody"
    )  # as after an attempt that was cut short
    assert ctx.warned == ["there is no endpoint nobody to end; deployed in this store: none"]
    with pytest.raises(StepError, match="whose requests could be copied"):
        done(deploy, DeployParams(bento=bento("v1"), name="fresh", shadow=True), ctx)
    assert not (ctx.home("bentoml") / "endpoints" / "fresh" / "endpoint.json").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"guard": {"requests": 5}}, "set one of max_error_rate"),
        ({"guard": {"max_difference": 0.1}, "traffic": 100}, "set traffic below 100"),
        ({"guard": {"max_error_rate": 0.1}, "shadow": True}, "answers no requests"),
        ({"traffic": 101}, "less than or equal to 100"),
    ],
)
def test_a_move_that_makes_no_sense_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UpdateTrafficParams.model_validate({"endpoint": "conversion", "traffic": 10, **given})


def test_whom_to_ask_is_one() -> None:
    with pytest.raises(ValueError, match="either `service` or `endpoint`"):
        PredictParams(input=({"a": 1},))


class Callers:
    """Twenty requests a second, from threads that do not wait for each other, while the block runs."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.statuses: list[int | str] = []
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(20)
        self._clock = threading.Thread(target=self._tick)

    def _tick(self) -> None:
        began = time.monotonic()
        for number in itertools.count():
            if self._over.wait(max(began + number / 20 - time.monotonic(), 0)):
                return
            self._pool.submit(self._ask)

    def _ask(self) -> None:
        try:
            answer = httpx.post(f"{self.url}/predict", json={"input": [[1.0, 0.0, 1.0]]}, timeout=LONGEST)
            self.statuses.append(answer.status_code)
        except httpx.HTTPError as error:
            self.statuses.append(repr(error))

    def __enter__(self) -> Callers:
        self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._clock.join()
        self._pool.shutdown(wait=True)


@pytest.mark.sweep
def test_promotion_rollback_and_redeployment_lose_no_request_of_twenty_a_second(ctx: LocalContext) -> None:
    one, other = bento("v1"), bento("v2")
    url = done(deploy, DeployParams(bento=one, name="busy"), ctx).endpoint.url
    with Callers(url) as callers:
        done(update_traffic, UpdateTrafficParams(endpoint="busy", bento=other, traffic=10), ctx)
        done(update_traffic, UpdateTrafficParams(endpoint="busy", bento=other, traffic=100), ctx)
        done(rollback, RollbackParams(endpoint="busy"), ctx)
        done(deploy, DeployParams(bento=other, name="busy", replicas=2), ctx)
    assert len(callers.statuses) > 40 and set(callers.statuses) == {200}, callers.statuses
    done(undeploy, UndeployParams(endpoint="busy"), ctx)

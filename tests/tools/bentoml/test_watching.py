"""What a router observes, compares, measures and judges, with small servers as replicas."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pandas as pd
import pytest
from aiohttp import web

from e2i.errors import StepError
from e2i.tools.bentoml import changes, copying, drifting, front, guarding, observing, proxy, records
from e2i.tools.bentoml.records import Guard, Share, Wanted
from e2i.tools.bentoml.resources import Resources
from e2i.tools.bentoml.watching import Watch
from e2i.tools.feast import statistics
from routed_endpoint import JSON, Group, listening, run, serving

ROWS = json.dumps({"input": [{"id": 1, "calls": 2.0}]}).encode()


def answering(prediction: int, share: float, asked: list[bytes] | None = None, after: float = 0.0) -> Any:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if asked is not None:
            asked.append(body)
        await asyncio.sleep(after)
        return web.json_response({"predictions": [prediction], "probabilities": [[1 - share, share]]})

    return answer


def wanted(*shares: Share, **more: Any) -> Wanted:
    return Wanted(
        name="e", generation=1, replicas=1, resources=Resources(), environment="t", home="", shares=shares, **more
    )


def watched(folder: Path, want: Wanted, servers: dict[str, Any], work: Any) -> Watch:
    """The observer of a router that wants this, with a server for each Bento, after ``work(client, url, watch)``."""
    found: list[Watch] = []

    async def observe() -> None:
        async with aiohttp.ClientSession() as http, aiohttp.ClientSession(headers=JSON) as caller:
            router = proxy.Proxy(http)
            watch = Watch(folder, router, http)
            found.append(watch)
            await _serve(folder, want, dict(servers), {}, router, watch, caller, work)

    run(observe)
    return found[0]


async def _serve(
    folder: Path, want: Wanted, left: dict[str, Any], groups: dict[str, Any], router: Any, watch: Watch, *rest: Any
) -> None:
    if left:
        tag, answer = left.popitem()
        async with serving(answer) as url:
            await _serve(folder, want, left, {**groups, tag: Group(tag, url)}, router, watch, *rest)
        return
    records.write(folder, want)
    router.split = proxy.Split([(groups[share.tag], share.percent) for share in want.shares if share.percent])
    router.sticky = want.sticky
    watch.begin(want, groups)
    caller, work = rest
    async with listening(front.Front(router.handle)) as url:
        await work(caller, url, watch)
    await watch.stop()


async def settled(watch: Watch) -> None:
    while watch.copies._tasks:
        await asyncio.sleep(0.01)


def test_a_shadow_is_compared_and_logged_and_never_returned(tmp_path: Path) -> None:
    asked: list[bytes] = []
    want = wanted(Share("m:1", 100.0), shadow=Share("m:2", 50.0))

    async def work(caller: Any, url: str, watch: Watch) -> None:
        for _ in range(10):
            async with caller.post(f"{url}/predict", data=ROWS) as answer:
                assert (await answer.json())["predictions"] == [1] and answer.headers["E2I-Bento"] == "m:1"
        await settled(watch)
        async with caller.get(f"{url}/metrics") as answer:
            text = await answer.text()
            assert answer.headers["Content-Type"] == observing.CONTENT_TYPE
        assert 'e2i_endpoint_requests_total{bento="m:1",status="2xx"} 10' in text
        assert 'e2i_endpoint_different_rows_total{bento="m:2"} 5' in text

    watch = watched(tmp_path, want, {"m:1": answering(1, 0.75), "m:2": answering(0, 0.25, asked)}, work)
    assert asked == [ROWS] * 5
    lines = [json.loads(line) for line in (tmp_path / copying.LOG).read_text().splitlines()]
    assert len(lines) == 5 and {line["mean_difference"] for line in lines} == {0.5}
    snapshot = observing.observed(tmp_path)
    assert snapshot is not None and snapshot.bentos == watch.snapshot().bentos
    assert [(one.bento, one.requests, one.copies) for one in snapshot.bentos] == [("m:1", 10, 0), ("m:2", 0, 5)]


def test_a_shadow_that_hangs_is_not_waited_for_and_copies_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "MOST", 3)
    want = wanted(Share("m:1", 100.0), shadow=Share("m:2", 100.0))

    async def work(caller: Any, url: str, watch: Watch) -> None:
        for _ in range(8):
            async with caller.post(f"{url}/predict", data=ROWS) as answer:
                assert answer.status == 200
        assert len(watch.copies._tasks) == 3

    servers = {"m:1": answering(1, 0.75), "m:2": answering(0, 0.25, after=600.0)}
    (_, shadow) = watched(tmp_path, want, servers, work).snapshot().bentos
    assert shadow.dropped_copies == 5


def test_a_canary_that_breaks_its_guard_is_taken_back(tmp_path: Path) -> None:
    guard = Guard(tag="m:2", requests=4, seconds=600.0, difference=0.1)
    before = wanted(Share("m:1", 100.0), history=("m:1", "m:2"))
    after = changes.noted(
        before,
        changes.moved(before, "m:2", 50.0, guard=guard),
        changes.change_of("move", "m:2", 50.0, "key", 1),
    )

    async def work(caller: Any, url: str, watch: Watch) -> None:
        for _ in range(6):
            async with caller.post(f"{url}/predict", data=ROWS):
                pass
        await settled(watch)
        watch.keep()
        assert records.wanted(tmp_path) == after  # three copies are less than four requests
        for _ in range(6):
            async with caller.post(f"{url}/predict", data=ROWS):
                pass
        await settled(watch)
        watch.keep()

    watched(tmp_path, after, {"m:1": answering(1, 0.75), "m:2": answering(0, 0.25)}, work)
    now = records.wanted(tmp_path)
    assert now is not None and now.shares == before.shares and now.guard is None and now.generation == 2
    assert now.changes[-1].kind == "guard" and "mean difference" in now.changes[-1].why


def test_a_feature_is_the_key_of_a_request_without_the_header(tmp_path: Path) -> None:
    want = wanted(Share("m:1", 50.0), Share("m:2", 50.0), sticky="id")

    async def work(caller: Any, url: str, watch: Watch) -> None:
        seen: dict[Any, set[str]] = {}
        for number in range(60):
            key = number % 12
            async with caller.post(f"{url}/predict", json={"input": [{"id": key}]}) as answer:
                seen.setdefault(key, set()).add(answer.headers["E2I-Bento"])
        assert all(len(tags) == 1 for tags in seen.values()) and len(set.union(*seen.values())) == 2
        for body in (b"[]", b'{"input": 3}', b'{"input": [[1]]}', b"\xff", b'{"input": []}'):
            async with caller.post(f"{url}/predict", data=body) as answer:
                assert answer.status == 200

    watched(tmp_path, want, {"m:1": answering(1, 0.75), "m:2": answering(0, 0.25)}, work)


def test_each_rule_of_a_guard_is_judged_by_its_figure() -> None:
    def counts(seconds: float, failures: int = 0, rows: int = 0, difference: float = 0.0) -> observing.Counts:
        found = observing.Counts()
        for number in range(20):
            found.answered(500 if number < failures else 200, seconds)
        for _ in range(rows):
            found.copies += 1
            found.compared(observing.Difference(1, 0, difference, difference))
        return found

    others = counts(0.01, rows=20, difference=0.3)
    for rule, own, broken in (
        ({"errors": 0.1}, counts(0.01, failures=3), True),
        ({"errors": 0.15}, counts(0.01, failures=3), False),
        ({"latency": 0.05}, counts(0.06), True),
        ({"slowdown": 2.0}, counts(0.06), True),
        ({"slowdown": 7.0}, counts(0.06), False),
        ({"difference": 0.2}, counts(0.01), True),
        ({"difference": 0.4}, counts(0.01), False),
        ({"errors": 0.1, "requests": 21}, counts(0.01, failures=20), False),
    ):
        guard = Guard(**{"tag": "b", "requests": 20, "seconds": 1.0, **rule})
        verdict = guarding.judge(guard, {"a": others, "b": own})
        assert bool(verdict.broken) == broken, (rule, verdict)


def test_the_drift_is_that_of_feast_and_grows_when_a_feature_moves(tmp_path: Path) -> None:
    import pyarrow as pa

    random = np.random.default_rng(1)
    frame = pd.DataFrame({"calls": random.normal(size=2_000), "brand": random.choice(["a", "b", "c"], 2_000)})
    found = drifting.reference(frame, ["calls", "brand"])
    (tmp_path / "r.json").write_bytes(drifting.encoded(found))
    against = drifting.read(tmp_path / "r.json")
    assert against == found
    same, moved = drifting.Drift(found), drifting.Drift(found)
    now = pd.DataFrame({"calls": random.normal(1.0, size=400), "brand": random.choice(["a", "b"], 400)})
    assert same.psi() == {}
    same.add(frame.head(200).to_dict("records"))
    moved.add(now.head(200).to_numpy().tolist())
    moved.add(now.tail(200).to_dict("records"))
    expected = statistics.drift(
        pa.chunked_array([pa.array(now["calls"])]), pa.chunked_array([pa.array(frame["calls"])])
    )
    assert moved.psi()["calls"] == pytest.approx(expected["psi"], rel=1e-9) and moved.psi()["brand"] > 0.25
    assert max(same.psi().values()) < 0.15 and same.rows == 200


def test_rollbacks_return_through_the_states_and_a_repetition_changes_nothing() -> None:
    first = wanted(Share("m:1", 100.0), history=("m:1",))
    states = [first]
    for percent in (10.0, 50.0, 100.0):
        change = changes.change_of("move", "m:2", percent, f"k{percent:g}", 1)
        states.append(changes.noted(states[-1], changes.moved(states[-1], "m:2", percent), change))
        again = changes.noted(states[-1], changes.moved(states[-1], "m:2", percent), change)
        assert again == states[-1]
    now = states[-1]
    for earlier in reversed(states[:-1]):
        now = changes.returned(now)
        assert changes.state_of(now) == changes.state_of(earlier)
    with pytest.raises(StepError, match="no earlier state"):
        changes.returned(now)


def test_an_answer_that_cannot_be_compared_is_an_error() -> None:
    one = b'{"predictions": [1, 2]}'
    assert copying.difference(one, b'{"predictions": [1, 4]}') == observing.Difference(2, 1, 2.0, 2.0)
    assert copying.difference(b'{"predictions": ["a"]}', b'{"predictions": ["b"]}').total == 1.0
    for other in (b'{"predictions": [1]}', b"[]", b"\xff", b"{}"):
        with pytest.raises(ValueError):
            copying.difference(one, other)


@pytest.mark.slow
def test_a_canary_of_a_tenth_has_a_tenth_of_5000_keys(tmp_path: Path) -> None:
    want = wanted(Share("m:1", 90.0), Share("m:2", 10.0))
    seen: dict[str, str] = {}

    async def work(caller: Any, url: str, watch: Watch) -> None:
        for number in range(5_000):
            async with caller.post(f"{url}/predict", data=ROWS, headers={"E2I-Key": f"hcp-{number}"}) as answer:
                seen[f"hcp-{number}"] = answer.headers["E2I-Bento"]
        for number in range(0, 5_000, 50):  # the same again
            async with caller.post(f"{url}/predict", data=ROWS, headers={"E2I-Key": f"hcp-{number}"}) as answer:
                assert answer.headers["E2I-Bento"] == seen[f"hcp-{number}"]

    watched(tmp_path, want, {"m:1": answering(1, 0.75), "m:2": answering(0, 0.25)}, work)
    share = sum(tag == "m:2" for tag in seen.values()) / len(seen)
    assert abs(share - 0.10) <= 0.015, share

from __future__ import annotations

import json
import math

import pytest

from e2i.planning.model import Plan, PlanStep, Reason, Verdict, Why, canonical

STEP = PlanStep(
    "a", "a", "debug.echo", (), Verdict.RUN, Reason(Why.NEVER_RUN, "new"), None, {"with": {}, "params": {}}, {}
)


def test_the_document_has_the_keys_of_the_contract() -> None:
    document = json.loads(json.dumps(Plan("p", (STEP,), {"n": 1}).to_json()))
    assert document["schema_version"] == 1
    assert document["digest"].startswith("sha256:")
    assert document["steps"] == [
        {"id": "a", "uses": "debug.echo", "needs": [], "verdict": "run",
         "reason": {"code": "never-run", "detail": "new"}, "fingerprint": None,
         "inputs": {"params": {}}, "options": {}}
    ]  # fmt: skip
    assert document["summary"]["run"] == 1


def test_canonical_text_is_sorted_and_only_of_plain_data() -> None:
    assert canonical({"b": (1,), "a": {2, 1}}) == b'{"a":[1,2],"b":[1]}'
    texts = {
        canonical({"a": [value], "b": None}) for value in (None, math.nan, math.inf, -math.inf, 0.0, -0.0, 0, False)
    }
    assert len(texts) == 8, "each is another value"
    assert canonical({"a": "\x7f\xf0", "b": None, "c": 2**70}) == canonical({"c": 2**70, "b": None, "a": "\x7f\xf0"})
    with pytest.raises(TypeError, match="not plain data"):
        canonical(object())

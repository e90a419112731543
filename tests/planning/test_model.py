from __future__ import annotations

import json

from e2i.planning.model import Plan
from e2i.spec.models import StepOptions
from plans import step


def test_the_document_has_the_keys_of_the_contract() -> None:
    document = json.loads(json.dumps(Plan("p", (step("a", "debug.echo"),), {"n": 1}).to_json()))
    assert document["schema_version"] == 1
    assert document["digest"].startswith("sha256:")
    assert document["steps"] == [
        {"id": "a", "uses": "debug.echo", "needs": [], "verdict": "run",
         "reason": {"code": "never-run", "detail": "new"}, "fingerprint": None,
         "inputs": {"action": "debug.echo", "version": 1, "files": {}, "libraries": {}, "python": "3.11", "seed": 0,
                    "params": {}},
         "options": {"when": [True], "selected": True, "fresh": False, **StepOptions().as_json}}
    ]  # fmt: skip
    assert document["summary"]["run"] == 1

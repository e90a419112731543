from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2i import api
from e2i.errors import Refused
from e2i.execution import secrets
from e2i.settings import Settings
from e2i.spec.expressions import Secret

DECLARED = {"TOKEN": "MY_TOKEN", "UNSET": "NOT_THERE"}
ENVIRON = {"MY_TOKEN": "hunter2hunter2", "OTHER": "x"}
CANARY = "canary/+&value-1234567\nand a second line of it"
CODE = """
import base64, os, sys, urllib.parse

def leak(token, fail):
    raw = token.encode()
    print(token, base64.b64encode(b"user:" + raw), raw.hex(), urllib.parse.quote(token, safe=""))
    sys.stdout.write(token[:9]); sys.stdout.flush()
    sys.stdout.write(token[9:] + "\\n"); sys.stdout.flush()
    os.write(2, raw)
    for line in token.splitlines():
        print("line", line)
    if fail:
        raise ValueError("bad token " + token)
    return {"token": token, token: base64.b64encode(raw).decode()}
"""


def test_secrets_anywhere_are_filled_in() -> None:
    value = {"a": [Secret("TOKEN"), 1], "b": {"$secret": "TOKEN"}}
    assert secrets.reveal(value, DECLARED, ENVIRON) == (
        {"a": ["hunter2hunter2", 1], "b": {"$secret": "TOKEN"}}, {"hunter2hunter2"},
    )  # fmt: skip


@pytest.mark.parametrize(("name", "code"), [("OTHER", "secret-refused"), ("UNSET", "secret-unset")])
def test_only_declared_secrets_that_are_set_are_given(name: str, code: str) -> None:
    with pytest.raises(Refused) as raised:
        secrets.reveal({"a": Secret(name)}, DECLARED, ENVIRON)
    assert raised.value.code == code


def test_the_values_are_those_that_are_set() -> None:
    assert secrets.values(DECLARED, ENVIRON) == ("hunter2hunter2",)


def test_a_secret_is_in_no_plan_event_log_record_or_file_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", CANARY)
    (tmp_path / "leak.py").write_text(CODE)
    calls = {
        name: {"uses": "python.call", "needs": needs, "with": {"file": "leak.py", "function": "leak", "arguments": {
            "token": "${{ secrets.TOKEN }}", "fail": fail}}}
        for name, fail, needs in (("say", False, []), ("fail", True, []))
    }  # fmt: skip
    spec = {"version": 1, "name": "leak", "steps": calls, "outputs": {"said": "${{ steps.say.value }}"}}
    workspace = api.Workspace(tmp_path, tmp_path / ".e2i", Settings(sinks=(), workers=1, secrets={"TOKEN": "MY_TOKEN"}))
    told: list[str] = [json.dumps(api.plan(spec, workspace=workspace).to_json())]
    record = api.run(spec, workspace=workspace, listen=lambda event: told.append(json.dumps(event.to_json())))
    told.append(json.dumps(record.to_json()))
    assert record.status == "failed"
    assert {name: (step.error or {})["code"] for name, step in record.steps.items()} == {
        "say": "secret-in-output", "fail": "user-code-failed",
    }  # fmt: skip
    assert record.outputs == {"said": None}
    kept = {str(path): path.read_bytes() for path in (tmp_path / ".e2i").rglob("*") if path.is_file()}
    logs = [content for path, content in kept.items() if path.endswith(".log")]
    assert any(b"line ***" in content for content in logs)
    for form in (b"value-1234567", b"second line", b"Y2FuYXJ5", b"canary".hex().encode(), b"value-1234567"[::1]):
        assert [path for path, content in kept.items() if form in content] == []
        assert [text for text in told if form.decode() in text] == []

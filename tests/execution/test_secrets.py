from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2i import api
from e2i.errors import Refused
from e2i.execution import secrets
from e2i.settings import Settings
from e2i.spec.values import Secret
from project import Project, held_port

DECLARED = {"TOKEN": "MY_TOKEN", "UNSET": "NOT_THERE"}
ENVIRON = {"MY_TOKEN": "hunter2hunter2", "OTHER": "x"}
CANARY = "canary/+&value-1234567\nand a second line of it"
CODE = """
import base64, os, sys, urllib.parse

import e2i

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


def cut(token, fail):
    with e2i.llm_call("m") as call:
        call.input = "x" * 19_990 + token
"""


def test_secrets_anywhere_are_filled_in() -> None:
    value = {"a": [Secret("TOKEN"), 1], "b": {"$secret": "TOKEN"}}
    assert secrets.reveal(value, DECLARED, ENVIRON) == (
        {"a": ["hunter2hunter2", 1], "b": {"$secret": "TOKEN"}}, {"hunter2hunter2"},
    )  # fmt: skip


@pytest.mark.parametrize(("name", "code"), [("OTHER", "secret-refused"), ("UNSET", "secret-unset")])
def test_only_declared_secrets_that_are_set_are_revealed(name: str, code: str) -> None:
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
        name: {"uses": "python.call", "needs": needs, "with": {"file": "leak.py", "function": function, "arguments": {
            "token": "${{ secrets.TOKEN }}", "fail": fail}}}
        for name, function, fail, needs in (
            ("say", "leak", False, []), ("fail", "leak", True, []), ("cut", "cut", False, []),
        )
    }  # fmt: skip
    spec = {"version": 1, "name": "leak", "steps": calls, "outputs": {"said": "${{ steps.say.value }}"}}
    workspace = api.Workspace(tmp_path, tmp_path / ".e2i", Settings(sinks=(), workers=1, secrets={"TOKEN": "MY_TOKEN"}))
    reported: list[str] = [json.dumps(api.plan(spec, workspace=workspace).to_json())]
    record = api.run(spec, workspace=workspace, listen=lambda event: reported.append(json.dumps(event.to_json())))
    reported.append(json.dumps(record.to_json()))
    assert record.status == "failed"
    assert {name: step.error and step.error.code for name, step in record.steps.items()} == {
        "say": "secret-in-output", "fail": "user-code-failed", "cut": "secret-in-output",
    }  # fmt: skip
    assert record.outputs == {"said": None}
    kept = {str(path): path.read_bytes() for path in (tmp_path / ".e2i").rglob("*") if path.is_file()}
    logs = [content for path, content in kept.items() if path.endswith(".log")]
    assert any(b"line ***" in content for content in logs)
    for form in (b"value-1234567", b"second line", b"Y2FuYXJ5", b"canary".hex().encode(), b"value-1234567"[::1]):
        assert [path for path, content in kept.items() if form in content] == []
        assert [text for text in reported if form.decode() in text] == []


def test_the_credentials_in_tool_settings_are_in_no_message_or_file(project: Project) -> None:
    with held_port() as port:  # nothing answers there
        passwords = {"mlflow": "k9Xq2LmZvT", "key": "Yb5hQn8Wd2"}
        project.write(
            "config/default.yaml",
            f"""
sinks: [mlflow, opik]
flush: 1
tools:
  mlflow: {{tracking_uri: "http://u:{passwords["mlflow"]}@127.0.0.1:{port}"}}
  opik: {{url: "http://127.0.0.1:{port}/api", api_key: {passwords["key"]}}}
""",
        )
        spec = {
            "version": 1,
            "name": "s",
            "steps": {"load": {"uses": "mlflow.load", "with": {"name": "m", "version": 1}, "on_error": "continue"}},
        }
        said: list[str] = [json.dumps(project.plan(spec).to_json())]
        record = api.run(
            spec, workspace=project.workspace, listen=lambda event: said.append(json.dumps(event.to_json()))
        )
    assert record.steps["load"].error
    said.append(json.dumps(record.to_json()))
    kept = [path for path in project.root.rglob("*") if path.is_file() and "config" not in path.parts]
    found = [where for where in (*kept, *said) for password in passwords.values()
             if password.encode() in (where.encode() if isinstance(where, str) else where.read_bytes())]  # fmt: skip
    assert found == []

"""The settings of hooks, log and attempts of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from e2i import settings
from e2i.alerting import Hook
from e2i.errors import BadInput


def load(folder: Path, text: str, environ: dict[str, str] | None = None) -> settings.Settings:
    (folder / "default.yaml").write_text(text)
    return settings.load(folder, None, environ or {})


def test_a_hook_has_variables_in_its_headers_and_a_deadline_by_its_type(tmp_path: Path) -> None:
    text = """
    on_finish:
      - {webhook: "https://hooks.example/x", when: failed, headers: {Authorization: "Bearer ${TOKEN}"}}
      - {command: [/usr/local/bin/notify, --channel, ops], when: [failed, degraded], env: [CHANNEL]}
    """
    webhook, command = load(tmp_path, text, {"TOKEN": "t-4711-aZ"}).on_finish
    assert (webhook.when, webhook.headers, webhook.deadline) == (("failed",), {"Authorization": "Bearer t-4711-aZ"}, 5)
    assert (command.when, command.env, command.deadline) == (("failed", "degraded"), ("CHANNEL",), 10)
    assert (webhook.name, command.name) == ("webhook https://hooks.example", "command notify")


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ("{when: failed}", "either webhook or command"),
        ("{webhook: 'http://a', command: [b]}", "either webhook or command"),
        ("{webhook: 'ftp://a'}", "http:// or https://"),
        ("{webhook: 'http://'}", "http:// or https://"),
        ("{webhook: 'http://a/${BREAK}b'}", "http:// or https://"),
        ("{webhook: 'http://u:p@a'}", "as a header"),
        ("{webhook: 'http://a:port'}", "ort"),
        ("{webhook: 'http://a', when: sometimes}", "when"),
        ("{webhook: 'http://a', when: []}", "when"),
        ("{webhook: 'http://a', headers: {'a b': c}}", "not the name of an HTTP header"),
        ("{webhook: 'http://a', headers: {a: 'b${BREAK}c: d'}}", "printable ASCII"),
        ("{webhook: 'http://a', env: [A]}", "env belongs to a command"),
        ("{command: []}", "command"),
        ("{command: [a], headers: {a: b}}", "headers belong to a webhook"),
        ("{webhook: 'http://a', deadline: 0}", "deadline"),
        ("{webhook: 'http://a', deadlien: 1}", "deadlien"),
    ],
)
def test_a_wrong_hook_is_found_before_anything_runs(tmp_path: Path, hook: str, said: str) -> None:
    with pytest.raises(BadInput, match="on_finish") as raised:
        load(tmp_path, f"on_finish: [{hook}]\n", {"BREAK": "\r\n"})
    assert said in raised.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("log: {file: a, max_bytes: 10}", "amount of memory"),
        ("log: {level: loud}", "level"),
        ("log: {keep: -1}", "keep"),
        ("retry_run: {initial: soon}", "soon"),
        ("metrics_file: ''", "metrics_file"),
    ],
)
def test_other_wrong_settings_are_found_too(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        load(tmp_path, text)


def test_worker_processes_do_not_receive_the_hooks(tmp_path: Path) -> None:
    found = load(tmp_path, "on_finish: [{webhook: 'http://a', headers: {Authorization: canary-4711}}]\nworkers: 2\n")
    assert "canary" not in found.model_dump_json() and "on_finish" not in found.model_dump()
    assert settings.Settings.model_validate_json(found.model_dump_json()).on_finish == ()


@pytest.mark.parametrize(
    ("headers", "private"),
    [
        ({"Authorization": "Bearer t-4711"}, {"Bearer t-4711", "t-4711"}),
        ({"X-Api-Key": "k-4711"}, {"k-4711"}),
        ({"X-Team": "data-platform"}, set()),
    ],
)
def test_the_headers_with_credentials_and_the_url_are_private(headers: dict[str, Any], private: set[str]) -> None:
    url = "https://hooks.example/services/T000/B000/XXXX"
    hook = Hook(webhook=url, headers=headers)
    assert {*hook.private} == {*private, url, "/services/T000/B000/XXXX"}

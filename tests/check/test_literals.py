from __future__ import annotations

from typing import Any

import pytest

from e2i import api


def locations(held: Any, params: dict[str, Any] | None = None, **given: Any) -> list[str]:
    spec = {
        "version": 1,
        "name": "x",
        "params": params or {},
        "steps": {"a": {"uses": "debug.echo", "with": {"value": held}}},
    }
    found = api.validate(spec, given).problems
    assert all("hunter2" not in str(problem) for problem in found)
    return [problem.path for problem in found if problem.code == "secret-literal"]


@pytest.mark.parametrize(
    "name", ["password", "db_password", "API-KEY", "apikey", "access_token", "client_secret", "privateKey"]
)
def test_what_is_called_a_secret_must_be_a_name(name: str) -> None:
    assert locations({name: "hunter2"}) == [f"/steps/a/with/value/{name}"]
    assert locations({name: "${{ secrets.X }}"}) == locations({name: 5}) == locations({name: ""}) == []


@pytest.mark.parametrize("name", ["tokens", "max_tokens", "tokenizer", "key", "passwordless", "secretary"])
def test_other_names_are_free(name: str) -> None:
    assert locations({name: "hunter2"}) == []


@pytest.mark.parametrize(
    "text", ["-----BEGIN RSA PRIVATE KEY-----", "AKIA" + "A" * 16, "ghp_" + "a" * 36, "postgresql://u:hunter2@db/x"]
)
def test_what_looks_like_a_secret_is_one(text: str) -> None:
    assert locations([{"x": f"see {text}"}]) == ["/steps/a/with/value/0/x"]


def test_addresses_without_a_password_are_free() -> None:
    assert locations(["https://example.com/a@b", "postgresql://u@db/x", "time 12:30@noon"]) == []


def test_parameters_are_no_place_for_secrets_either() -> None:
    declared = {"token": {"type": "string"}}
    assert locations(1, declared, token="hunter2") == ["/params/token"]
    assert locations(1, {"token": {"type": "string", "default": "hunter2"}}) == ["/params/token/default"]
    assert locations(1, declared) == []


def test_what_plans_call_a_secret_is_nothing_to_write() -> None:
    assert locations({"$secret": "TOKEN"}) == ["/steps/a/with/value"]

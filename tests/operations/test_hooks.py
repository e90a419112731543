"""Hooks: what a webhook and a command receive, and how each kind of failure ends within its deadline."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from e2i.alerting import Hook
from e2i.operations import hooks
from live.unwell import unwell
from operations.webhooks import Receiver
from project import Stopwatch, until

BODY = json.dumps({"run": "r", "status": "failed"}).encode()
KEY = "r/failed"


def notify(hook: Hook, tmp_path: Path, environ: dict[str, str] | None = None) -> hooks.HookResult:
    (result,) = hooks.notify([hook], BODY, KEY, folder=tmp_path, environ=os.environ if environ is None else environ)
    return result


def test_a_webhook_receives_the_notification_with_its_headers_and_a_key(tmp_path: Path) -> None:
    with Receiver() as receiver:
        hook = Hook(webhook=f"{receiver.url}/a?b=c", headers={"Authorization": "Bearer x"})
        result = notify(hook, tmp_path)
    assert (result.problem, result.attempts) == (None, 1)
    assert receiver.received == [{"run": "r", "status": "failed"}]
    (headers,) = receiver.headers
    assert (headers["Authorization"], headers["Idempotency-Key"]) == ("Bearer x", KEY)
    assert headers["Content-Type"] == "application/json"


def test_a_webhook_that_is_busy_is_tried_once_more_with_the_same_key(tmp_path: Path) -> None:
    with Receiver([503, 200]) as receiver:
        result = notify(Hook(webhook=receiver.url), tmp_path)
    assert (result.problem, result.attempts) == (None, 2)
    assert [headers["Idempotency-Key"] for headers in receiver.headers] == [KEY, KEY]


@pytest.mark.parametrize(("statuses", "attempts"), [([503], 2), ([404], 1), ([302], 1)])
def test_what_a_webhook_answers_instead_of_success_is_reported(
    tmp_path: Path, statuses: list[int], attempts: int
) -> None:
    with Receiver(statuses) as receiver:
        result = notify(Hook(webhook=receiver.url), tmp_path)
    assert (result.problem, result.attempts) == (f"HTTP status {statuses[0]}", attempts)
    assert len(receiver.received) == attempts


@pytest.mark.parametrize("kind", ["refusing", "silent", "never accepting", "dripping", "garbage"])
def test_a_webhook_that_is_not_there_ends_within_its_deadline(tmp_path: Path, kind: str) -> None:
    with unwell(kind, "http") as port:
        hook = Hook(webhook=f"http://127.0.0.1:{port}/secret-path", deadline=1.5)
        with Stopwatch() as watch:
            result = notify(hook, tmp_path)
    assert result.problem is not None and "secret-path" not in str(result)
    assert watch.seconds < 2.0
    assert result.attempts == (2 if kind in ("refusing", "garbage") else 1)


def test_hooks_run_at_the_same_time(tmp_path: Path) -> None:
    with unwell("silent", "http") as port, Receiver() as receiver, Stopwatch() as watch:
        silent = Hook(webhook=f"http://127.0.0.1:{port}", deadline=1)
        found = hooks.notify([silent, silent, Hook(webhook=receiver.url)], BODY, KEY, folder=tmp_path, environ={})
    assert [result.problem is None for result in found] == [False, False, True]
    assert watch.seconds < 1.5


def test_a_command_reads_the_notification_and_has_a_clean_environment(tmp_path: Path) -> None:
    script = 'cat > note.json; env | sort > env.txt; printf "%s|" "$@" > arguments.txt'
    hook = Hook(command=("/bin/sh", "-c", script, "name", "a b", "$HOME", "; exit 3"), env=("CHANNEL", "UNSET"))
    environ = {"PATH": os.environ["PATH"], "HOME": "/home/x", "CHANNEL": "ops", "TOKEN": "hidden-token-1"}
    result = notify(hook, tmp_path, environ)
    assert result.problem is None
    assert json.loads((tmp_path / "note.json").read_text()) == {"run": "r", "status": "failed"}
    assert (tmp_path / "arguments.txt").read_text() == "a b|$HOME|; exit 3|"
    names = {line.partition("=")[0] for line in (tmp_path / "env.txt").read_text().splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "HOME", "CHANNEL"}


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (("/bin/sh", "-c", "exit 3"), "it ended with exit code 3"),
        (("/bin/sh", "-c", "kill -9 $$"), "it ended with signal 9"),
        (("/nowhere/notify",), "it cannot be started: No such file or directory"),
        (("/bin/sh", "-c", "yes; yes >&2"), "it did not end within"),
    ],
)
def test_how_a_command_failed_is_reported(tmp_path: Path, command: tuple[str, ...], problem: str) -> None:
    result = notify(Hook(command=command, deadline=1), tmp_path)
    assert result.problem is not None and result.problem.startswith(problem)
    assert result.attempts == 1


def test_a_command_and_its_children_are_ended_within_its_deadline(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 600 & echo $! > child; echo $$ > self; while :; do sleep 600; done"
    with Stopwatch() as watch:
        result = notify(Hook(command=("/bin/sh", "-c", script), deadline=2), tmp_path)
    assert result.problem is not None and watch.seconds < 2.5
    for name in ("self", "child"):
        pid = int((tmp_path / name).read_text())
        assert until(lambda pid=pid: not is_running(pid), 10)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_large_notification_does_not_block_a_command_that_does_not_read(tmp_path: Path) -> None:
    began = time.monotonic()
    hook = Hook(command=("/bin/true",))
    (result,) = hooks.notify([hook], b"x" * (4 << 20), KEY, folder=tmp_path, environ=dict(os.environ))
    assert result.problem is None and time.monotonic() - began < hook.deadline

"""``e2i outbox``: what waits and what was refused is shown, tried again, or given up; nothing vanishes silently."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from e2i.store.database import FILE
from e2i.telemetry.entries import Entry
from e2i.telemetry.outbox import Outbox
from project import ENGINE, Project

LOCAL = "0123456789abcdef" * 2
STAGING = json.dumps({"project_name": "e2i", "url": "http://staging/api"})
STARTED = {"pipeline": "p", "params": {}, "started_ms": 1_764_000_000_000}


@pytest.fixture
def store(project: Project) -> Project:
    """Three entries wait for the embedded Opik, one is dead-lettered; one waits for a server."""
    (project.root / ".e2i").mkdir(mode=0o700)
    project.write("config/default.yaml", "sinks: [opik]\n")
    with Outbox(project.store / FILE) as outbox:
        outbox.put([Entry(f"{LOCAL}/start", "opik", LOCAL, "run.started", STARTED)])
        outbox.put([Entry(f"{LOCAL}/{n}", "opik", LOCAL, "metric", {"value": n}) for n in range(3)])
        outbox.put([Entry("r2/a@1", "opik", "r2", "metric", {"value": 1}, target=STAGING)])
        outbox.dead_letter([entry for entry in outbox.take("opik") if entry.key.endswith("/1")], "no such field")
        outbox.name("opik", "", LOCAL, "trace-7")
    (project.store / FILE).chmod(0o600)
    return project


def listed(project: Project) -> list[dict[str, Any]]:
    done = project.cli("outbox", "list", "--json")
    assert done.returncode == 0, done.stderr
    trackers: list[dict[str, Any]] = json.loads(done.stdout)["trackers"]
    return trackers


def test_the_list_counts_by_tracker_with_the_reasons(store: Project) -> None:
    shown = store.cli("outbox", "list")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0] == "opik  the embedded tracker of the store"
    assert lines[1].startswith("  3 waiting, 0 delivered, 1 dead-lettered, ")
    assert lines[2:4] == [
        "       1 × no such field (e2i outbox retry)",
        "opik  http://staging/api (project e2i)",
    ]
    embedded, staging = listed(store)
    assert (embedded["waiting"], embedded["dead_lettered"], staging["waiting"]) == (3, 1, 1)
    bodies = len(json.dumps(STARTED, separators=(",", ":"))) + 3 * len('{"value":1}')
    assert embedded["bytes"] == bodies + sum(len(f"{LOCAL}/{name}") for name in ("start", 0, 1, 2))
    assert embedded["oldest_ms"] > STARTED["started_ms"]
    assert embedded["reasons"] == [{"reason": "no such field", "entries": 1}]


def test_listing_changes_nothing_and_works_without_a_store(project: Project) -> None:
    assert project.cli("outbox", "list").stdout == "the outbox is empty\n"
    assert not project.store.exists()
    assert project.cli("outbox", "retry").stdout == "retried 0 entries\n"
    assert project.cli("outbox", "drop", "--dead-lettered").stdout == "dropped 0 entries\n"
    assert not project.store.exists()


@pytest.mark.parametrize("name", [LOCAL, LOCAL[:4], "trace-7"])
def test_a_run_is_shown_with_both_ids_by_the_beginning_of_either(store: Project, name: str) -> None:
    shown = store.cli("outbox", "show", name).stdout.splitlines()
    assert shown[0] == f"opik: {LOCAL} → trace-7 (the embedded tracker of the store)"
    assert f"{LOCAL}/1  metric  opik  dead-lettered: no such field" in shown
    document = json.loads(store.cli("outbox", "show", name, "--json").stdout)
    assert [run["remote"] for run in document["runs"]] == ["trace-7"]
    assert [entry["key"].partition("/")[2] for entry in document["entries"]] == ["start", "0", "1", "2"]


def test_an_entry_is_shown_by_its_key(store: Project) -> None:
    (entry,) = json.loads(store.cli("outbox", "show", "r2/a@1", "--json").stdout)["entries"]
    assert (entry["tracker"], entry["body"], entry["state"]) == (
        "http://staging/api (project e2i)",
        {"value": 1},
        "waiting",
    )


@pytest.mark.parametrize("name", ["zzz", ""])
@pytest.mark.parametrize("command", ["show", "retry", "drop"])
def test_an_unknown_name_is_invalid_input(store: Project, command: str, name: str) -> None:
    done = store.cli("outbox", command, name)
    assert (done.returncode, "[unknown-entry]" in done.stderr) == (2, True), done.stderr


def test_a_tool_that_takes_no_telemetry_is_invalid_input(store: Project) -> None:
    done = store.cli("outbox", "retry", "--tool", "opk")
    assert (done.returncode, "[unknown-tool]" in done.stderr, "opik" in done.stderr) == (2, True, True), done.stderr


def test_what_was_refused_is_retried_and_delivered(store: Project) -> None:
    assert store.cli("outbox", "retry", "--tool", "mlflow").stdout == "retried 0 entries\n"
    done = store.cli("outbox", "retry")
    assert done.stdout.splitlines() == [
        "retried 1 entry",
        "       1 metric for opik, the embedded tracker of the store",
        "`e2i sync` delivers them",
    ]
    assert listed(store)[0]["waiting"] == 4


def test_nothing_is_dropped_without_a_yes(store: Project) -> None:
    assert store.cli("outbox", "drop").returncode == 2
    done = store.cli("outbox", "drop", LOCAL[:6])
    assert (done.returncode, "4 entries would be dropped" in done.stderr, "--yes" in done.stderr) == (2, True, True)
    assert listed(store)[0]["waiting"] == 3


def test_drops_are_reported_and_counted_and_do_not_return(store: Project) -> None:
    done = store.cli("outbox", "drop", "--tool", "opik", "--dead-lettered", "--yes")
    assert done.stdout == "dropped 1 entry\n       1 metric for opik, the embedded tracker of the store\n"
    done = store.cli("outbox", "drop", f"{LOCAL}/2", "r2", "--yes", "--json")
    assert json.loads(done.stdout)["done"] == "dropped"
    assert [item["entries"] for item in json.loads(done.stdout)["entries"]] == [1, 1]
    with Outbox(store.store / FILE) as outbox:
        outbox.put([Entry(f"{LOCAL}/2", "opik", LOCAL, "metric", {"value": 2})])
    embedded, staging = listed(store)
    assert (embedded["waiting"], embedded["dead_lettered"], embedded["dropped"]) == (2, 0, 2)
    assert (staging["waiting"], staging["dropped"]) == (0, 1)
    assert "2 dropped" in store.cli("outbox", "list").stdout


@pytest.mark.parametrize(("answer", "code", "left"), [(b"n\n", 130, 1), (b"y\n", 0, 0)])
def test_a_terminal_is_asked(store: Project, answer: bytes, code: int, left: int) -> None:
    master, slave = pty.openpty()
    os.write(master, answer)
    done = subprocess.run(
        [sys.executable, "-m", "e2i.cli.main", "outbox", "drop", "--dead-lettered"],
        cwd=store.root,
        env={**os.environ, "PYTHONPATH": str(ENGINE)},
        stdin=slave,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    os.close(slave)
    os.close(master)
    assert done.returncode == code, done.stderr
    assert "Drop these? They are then delivered to no tracker." in done.stderr
    assert listed(store)[0]["dead_lettered"] == left


def test_an_altered_entry_is_neither_shown_nor_retried(store: Project, tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(store.store / FILE) as database:
        database.execute("UPDATE outbox SET body = '{\"value\":9}' WHERE key = ?", (f"{LOCAL}/0",))
    with Outbox(store.store / FILE) as outbox:
        outbox.take("opik")
    (entry,) = json.loads(store.cli("outbox", "show", f"{LOCAL}/0", "--json").stdout)["entries"]
    assert (entry["state"], entry["body"]) == ("dead-lettered", None)
    assert store.cli("outbox", "retry", f"{LOCAL}/0").stdout == "retried 0 entries\n"


def test_the_start_of_a_run_is_not_dropped_without_its_other_entries(store: Project) -> None:
    done = store.cli("outbox", "drop", f"{LOCAL}/start", "--yes")
    assert done.returncode == 2
    assert "3 entries could not be delivered" in done.stderr and f"e2i outbox drop {LOCAL}" in done.stderr
    assert listed(store)[0]["waiting"] == 3
    done = store.cli("outbox", "drop", LOCAL, "--yes")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "dropped 4 entries")


def test_the_limit_is_that_of_the_profile(store: Project) -> None:
    store.write("config/small.yaml", "outbox_limit: 5MB\n")
    limits = [
        json.loads(store.cli("outbox", "list", "--json", *more).stdout)["limit"]
        for more in ((), ("--profile", "small"))
    ]
    assert limits[1] == 5_000_000 != limits[0]

"""Online reads of a file of this machine: in the caller's thread where that cannot wait, in another one where it can."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from context import LocalContext
from e2i.tools.feast import FeastSettings, at_hand
from e2i.tools.feast.programs import Repository
from tools.feast.feast_case import apply, client, log, run
from tools.feast.test_online import publish
from tools.feast.test_programs import existing, frame, register

WANTED: dict[str, Any] = {"join_keys": {"history": ("hcp_id",)}, "names": {("history", "calls"): "calls"}}


def test_a_read_of_few_values_needs_no_thread_unless_the_file_is_locked(ctx: LocalContext) -> None:
    repo = apply(ctx, log())
    publish(ctx, repo)
    feast = client(ctx)
    first = run(feast.get_online_features(repo, ["history"], [{"hcp_id": "a"}]))
    store = feast._versions().open(repo).store
    readers: set[int] = set()
    connection = at_hand._connection(store)
    connection.set_trace_callback(lambda _: readers.add(threading.get_ident()))
    assert run(feast.get_online_features(repo, ["history"], [{"hcp_id": "a"}])) == first
    assert readers == {threading.get_ident()}
    rows = [{"hcp_id": "a"}, {"hcp_id": None}]
    found = [{"hcp_id": "a", "calls": 2.0}, {"hcp_id": None, "calls": None}]
    assert at_hand.is_local(store)
    assert at_hand.read(store, rows=rows, stored={"history": 1}, **WANTED) == found
    assert at_hand.read(store, rows=rows, stored={"history": at_hand.MOST_VALUES}, **WANTED) is None
    (file,) = (ctx.home("feast") / "e2i").rglob("online.db")
    with closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        assert at_hand.read(store, rows=rows, stored={"history": 1}, **WANTED) is None
        (wait,) = connection.execute("PRAGMA busy_timeout").fetchone()
        assert wait == at_hand.USUAL_WAIT
    assert run(feast.get_online_features(repo, ["history"], [{"hcp_id": "a"}])) == first


@pytest.mark.parametrize("own", [True, False])
def test_programs_read_at_hand_what_they_read_otherwise(tmp_path: Path, own: bool) -> None:
    if not own:
        existing(tmp_path / "theirs")
    settings = FeastSettings() if own else FeastSettings(repo_path="theirs")
    repository = Repository(settings, tmp_path / "feast", tmp_path)
    if own:
        register(repository)
    rows, names = [{"hcp_id": frame().hcp_id[0]}, {"hcp_id": "nobody"}], ["hcp_id", "calls"]
    assert repository.at_hand(rows, ["group:calls"]) is None or own  # Feast has not opened the file yet
    repository.push("group", frame())
    found = repository.online(*repository.online_request(rows, ["group:calls"]))
    assert repository.at_hand(rows, ["group:calls"]) == (found, names)
    with repository.locked():  # as a push in another thread does
        outcome: list[Any] = []
        other = threading.Thread(target=lambda: outcome.append(repository.at_hand(rows, ["group:calls"])))
        other.start()
        other.join()
    assert outcome == [None]

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from e2i.errors import BadInput, Refused
from e2i.resilience.processes import process_identity
from e2i.store import collect as collecting
from e2i.store import retention
from e2i.store.artifacts import ArtifactStore
from e2i.store.collect import DAY_MS, Wish, collect, pin, unpin
from e2i.store.database import FILE, StoreError
from e2i.store.history import Reader
from e2i.store.runs import RunStore
from e2i.store.use import in_use
from store.written import result, run_row, step_end

NOW = time.time_ns() // 1_000_000


class Past:
    """A store with runs in it, each of which made artifacts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = ArtifactStore(root)
        root.mkdir(exist_ok=True)

    def run(self, name: str, days_ago: float, *, made: str = "", size: int = 10, open_: bool = False) -> str:
        """A run of one step, and the digest of what it made: by default something of its own."""
        source = self.root / "source"
        source.write_text((made or name).ljust(size))
        digest = self.store.put(source)
        at = NOW - round(days_ago * DAY_MS)
        run_store = RunStore(self.root, self.store.has)
        run_store.start_run(run_row(name, started_ms=at))
        outputs = {"table": {"type": "table", "digest": digest, "columns": [], "rows": 1}}
        mark = f"mark of {made or name}"
        run_store.start_step(name, "make", 1, at)
        end = step_end(ended_ms=at, fingerprint=mark, outputs=outputs)
        run_store.finish_step(name, "make", end, result(fingerprint=mark, outputs=outputs, run=name), [])
        (self.root / "runs" / name / "logs").mkdir(parents=True)
        if open_:
            self.opened = run_store
        else:
            run_store.finish_run(name, "succeeded", {}, at, [])
            run_store.close()
        return digest

    def runs(self) -> list[str]:
        with Reader(self.root, self.store.is_intact) as reader:
            return sorted(run.id for run in reader.runs())

    def reusable(self, name: str) -> bool:
        with Reader(self.root, self.store.is_intact) as reader:
            return reader.outputs(f"mark of {name}") is not None

    def collect(self, days: float | None = None, most: int | None = None, **options: Any) -> collecting.Freed:
        return collect(self.root, Wish(None if days is None else round(days * DAY_MS), most), NOW, **options)


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past(tmp_path / "store")


def test_old_runs_go_with_all_that_only_they_need(past: Past) -> None:
    old, young = past.run("old", 40), past.run("young", 3)
    freed = past.collect(30)
    assert (freed.runs, freed.results, freed.objects, freed.left) == (["old"], 1, 1, 10)
    assert past.runs() == ["young"]
    assert (past.store.has(old), past.store.has(young)) == (False, True)
    assert (past.reusable("old"), past.reusable("young")) == (False, True)
    assert [folder.name for folder in (past.root / "runs").iterdir()] == ["young"]
    assert not (past.root / "trash").exists()
    assert past.collect(30).size == 0


def test_what_a_kept_run_names_stays_and_so_does_the_record_of_who_made_it(past: Past) -> None:
    shared = past.run("maker", 40, made="same")
    past.run("user", 3, made="same")
    with_result = past.collect(30)
    assert past.store.has(shared)
    assert past.reusable("same")
    assert with_result.objects == 0


def test_dry_run_says_the_same_and_removes_nothing(past: Past) -> None:
    past.run("old", 40)
    past.run("young", 3)
    before = sorted(path.name for path in past.root.rglob("*") if "state.db" not in path.name)
    forecast = past.collect(30, dry_run=True)
    assert sorted(path.name for path in past.root.rglob("*") if "state.db" not in path.name) in (
        before,
        sorted([*before, "runs.lock"]),
    )
    assert replace(forecast, dry_run=False) == past.collect(30)


def test_the_latest_runs_that_fit_are_kept(past: Past) -> None:
    for days in (1, 2, 3, 4):
        past.run(f"run{days}", days, size=1_000)
    assert past.collect(most=2_500).runs == ["run3", "run4"]
    assert past.runs() == ["run1", "run2"]


def test_pinned_runs_stay_until_they_are_let_go(past: Past) -> None:
    past.run("old", 400)
    pin(past.root, "old", NOW)
    assert past.collect(30).runs == []
    assert past.collect(most=0).runs == []
    assert past.reusable("old")
    unpin(past.root, "old")
    assert past.collect(30).runs == ["old"]
    for act in (lambda: pin(past.root, "old", NOW), lambda: unpin(past.root, "old")):
        with pytest.raises(BadInput) as raised:
            act()
        assert raised.value.code == "unknown-run"


def test_running_runs_are_never_touched(past: Past) -> None:
    past.run("live", 400, open_=True)
    past.run("old", 399)
    with in_use(past.root):
        freed = past.collect(0)
    assert freed.runs == ["old"]
    assert past.reusable("live")
    assert (past.root / "runs" / "live").is_dir()
    past.opened.close()


def test_what_somebody_may_have_planned_on_waits_until_they_are_through(past: Past) -> None:
    digest = past.run("old", 40)
    with in_use(past.root):
        freed = past.collect(30)
        assert (freed.runs, freed.objects, freed.postponed) == (["old"], 0, 1)
        assert past.store.has(digest)
    assert past.collect(30).objects == 1
    assert not past.store.has(digest)


def test_leftovers_of_dead_processes_go(past: Past) -> None:
    past.run("young", 3)
    (past.root / "objects" / ".put-1:2:3-0").write_text("half")
    (past.root / "tmp" / "gone").mkdir(parents=True)
    (past.root / "quarantine").mkdir()
    (past.root / "quarantine" / "x").write_text("y")
    mine = past.root / "objects" / f".put-{process_identity()}-9"
    mine.write_text("being put")
    assert past.collect(30).folders == 2
    assert mine.exists()
    assert (past.root / "quarantine" / "x").exists(), "what was quarantined is as young as this test"


def test_plans_that_agents_asked_for_go_with_the_runs_of_their_age_and_approved_ones_stay(past: Past) -> None:
    past.run("young", 3)
    for name in ("a" * 16, "b" * 16):
        (past.root / "plans" / name).mkdir(parents=True)
    run_store = RunStore(past.root, past.store.has)
    with run_store.together():
        run_store.approvals.add("one", f"sha256:{'b' * 64}", "{}", once=False)
    run_store.close()
    assert past.collect(30).folders == 0 and past.collect(most=10**9).folders == 0
    later = NOW + 40 * DAY_MS
    assert collect(past.root, Wish(30 * DAY_MS), later, dry_run=True).folders == 2  # a plan, the folder of the run
    collect(past.root, Wish(30 * DAY_MS), later)
    assert [path.name for path in (past.root / "plans").iterdir()] == ["b" * 16]


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert collect(tmp_path / "none", Wish(0), NOW).runs == []
    assert not (tmp_path / "none").exists()


def test_a_corrupt_state_does_not_empty_the_store(past: Past) -> None:
    digest = past.run("old", 40)
    (past.root / FILE).write_bytes(b"no database" * 1_000)
    with pytest.raises(StoreError, match="nothing was removed"):
        past.collect(30)
    assert past.store.has(digest)


def test_a_collection_that_is_killed_leaves_a_sound_store(tmp_path: Path) -> None:
    """It dies in turn at every file that it moves or removes; the next one ends what it began."""
    for after in range(40):
        past = Past(tmp_path / str(after))
        old, young = past.run("old", 40), past.run("young", 3)
        child = os.fork()
        if child == 0:
            die(after, past)
        _, status = os.waitpid(child, 0)
        assert past.store.has(young)
        assert past.reusable("young")
        assert not past.reusable("old") or past.store.has(old)
        past.collect(30)
        assert not past.store.has(old)
        if os.waitstatus_to_exitcode(status) == 0:
            break
    assert 3 < after < 39


def die(after: int, past: Past) -> None:
    left = after

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                os._exit(9)
            return function(*args, **kwargs)

        return call

    for name in ("rename", "replace", "unlink", "rmdir", "utime"):
        setattr(os, name, dying(getattr(os, name)))
    with contextlib.suppress(Exception):
        past.collect(30)
        os._exit(0)
    os._exit(1)


def test_collections_at_once_take_turns(tmp_path: Path) -> None:
    for turn in range(4):
        past = Past(tmp_path / str(turn))
        for number in range(8):
            past.run(f"old{number}", 40)
        past.run("young", 3)
        with ThreadPoolExecutor(4) as threads:
            freed = [ended.result() for ended in [threads.submit(past.collect, 30) for _ in range(4)]]
        assert sorted(each.objects for each in freed) == [0, 0, 0, 8]
        assert past.runs() == ["young"]


@pytest.mark.parametrize("looks", range(1, 4))
def test_what_goes_while_it_is_looked_at_is_nobodys_fault(
    past: Past, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    """A run takes its scratch folder away, or sets corruption aside, whenever it wants."""
    past.run("old", 40)
    (past.root / "tmp" / "other").mkdir(parents=True)
    look, seen = Path.lstat, Counter[Path]()

    def late(path: Path) -> os.stat_result:
        seen[path] += 1
        if path.parts[len(past.root.parts)] in ("tmp", "objects") and seen[path] >= looks:
            raise FileNotFoundError(path)
        return look(path)

    monkeypatch.setattr(Path, "lstat", late)
    with in_use(past.root):
        assert past.collect(30).runs == ["old"]


def test_collections_and_puts_side_by_side_lose_nothing(past: Past) -> None:
    """A process puts what another one collects: what a put has returned during a run is there until the run is over."""
    chance = random.Random(1)
    store = past.store
    past.run("first", 40)
    child = os.fork()
    if child == 0:
        with contextlib.suppress(Exception):
            for _ in range(30):
                past.collect(0)
            os._exit(0)
        os._exit(1)
    with in_use(past.root):
        for _ in range(150):
            source = past.root / f"s{chance.random()}"
            source.write_text(str(chance.randrange(5)))
            assert store.has(store.put(source))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    "link",
    ["runs/old", "tmp/step", "objects/ab", "objects/.put-1", "quarantine/x", "runs/young/x", "verified/ab", "trash/x"],
)
def test_a_link_inside_the_store_goes_and_what_it_leads_to_stays(past: Past, tmp_path: Path, link: str) -> None:
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o755)
    for name in ("a", "0" * 62, "old", ".put-dead-1"):
        (victim / name).write_text("kept")
    past.run("young", 1)
    (past.root / link).parent.mkdir(parents=True, exist_ok=True)
    (past.root / link).symlink_to(victim)
    past.collect(0)
    assert {path.name: path.read_text() for path in victim.iterdir()} == dict.fromkeys(
        ("a", "0" * 62, "old", ".put-dead-1"), "kept"
    )
    assert victim.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("name", ["runs", "tmp", "objects", "quarantine", "verified", "trash"])
def test_a_folder_that_is_a_link_is_refused_and_nothing_where_it_leads_is_touched(
    past: Past, tmp_path: Path, name: str
) -> None:
    victim = tmp_path / "victim"
    (victim / "old").mkdir(parents=True)
    (victim / "0123").write_text("kept")
    past.run("old", 40)
    if (past.root / name).exists():
        (past.root / name).rename(tmp_path / "was")
    (past.root / name).symlink_to(victim)
    with pytest.raises(Refused, match="contains a link"):
        past.collect(0)
    assert sorted(path.name for path in victim.iterdir()) == ["0123", "old"]


@pytest.mark.parametrize("name", ["runs", "tmp", "objects", "quarantine", "verified"])
def test_a_folder_that_becomes_a_link_meanwhile_is_not_followed(
    past: Past, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    (victim / "ab").mkdir(parents=True)
    (victim / "0123").write_text("kept")
    (victim / "ab" / ("0" * 62)).write_text("kept")
    past.run("old", 40)
    if (past.root / name).exists():
        (past.root / name).rename(tmp_path / "was")
    (past.root / name).symlink_to(victim)
    monkeypatch.setattr("e2i.store.ownership.check", lambda root: None)
    with contextlib.suppress(StoreError, Refused):
        past.collect(0)
    assert sorted(str(path.relative_to(victim)) for path in victim.rglob("*")) == ["0123", "ab", f"ab/{'0' * 62}"]


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes."""
    disk = tmp_path / "full"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("nothing can be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(folder: Path) -> None:
    """Leaves not a byte."""
    with contextlib.suppress(OSError), (folder / "filling").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


@pytest.mark.parametrize("what", ["scratch", "trash", "unnamed", "old"])
def test_a_full_disk_is_freed(full: Path, what: str) -> None:
    past = Past(full / "store")
    past.run("old", 40, size=200_000)
    past.run("young", 1)
    (past.root / "source").unlink(missing_ok=True)
    if what == "scratch":
        (past.root / "tmp" / "dead").mkdir(parents=True)
        (past.root / "tmp" / "dead" / "file").write_bytes(bytes(300_000))
    elif what == "trash":
        (past.root / "trash").mkdir()
        (past.root / "trash" / "file").write_bytes(bytes(300_000))
    elif what == "unnamed":
        (past.root / "big").write_bytes(bytes(300_000))
        past.store.put(past.root / "big")
    fill(full)
    freed = past.collect(30)
    assert freed.runs == ["old"]
    assert freed.size >= (200_000 if what == "old" else 500_000)
    assert past.runs() == ["young"]
    assert past.reusable("young")


def test_a_disk_that_only_tools_fill_is_freed(full: Path) -> None:
    past = Past(full / "store")
    past.run("young", 1)
    (past.root / "source").unlink(missing_ok=True)
    for number in range(3):
        bento = past.root / "bentoml" / "bentos" / "demo" / f"v{number}"
        bento.mkdir(parents=True)
        (bento / "bento.yaml").write_bytes(bytes(100_000))
        os.utime(bento, (number, number))
    fill(full)
    tools = retention.wishes(DAY_MS, bentos=1, ages={}, logs=None, every_tool=False)
    freed = collect(past.root, Wish(30 * DAY_MS, None, tools), NOW)
    assert freed.tools == {"bentoml": ["demo:v0", "demo:v1"]}
    assert freed.size >= 200_000
    assert past.reusable("young")


def test_where_nothing_can_be_freed_the_full_disk_is_named(full: Path) -> None:
    past = Past(full / "store")
    past.run("young", 1)
    fill(full)
    with contextlib.suppress(StoreError):
        assert past.collect(30).runs == []
    assert past.reusable("young")

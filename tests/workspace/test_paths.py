from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from context import LocalContext
from e2i.errors import Refused, StepError
from e2i.workspace import paths
from e2i.workspace.files import WorkspaceFiles
from e2i.workspace.paths import Roots

CANARY = b"canary"


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    workspace, outside = tmp_path / "workspace", tmp_path / "outside"
    (workspace / "data").mkdir(parents=True)
    outside.mkdir()
    (workspace / "data" / "a.csv").write_bytes(b"fine")
    (outside / "a.csv").write_bytes(CANARY)
    (workspace / "out").symlink_to(outside)
    (workspace / "inner").symlink_to("data")
    (workspace / "loop").symlink_to("loop")
    os.mkfifo(workspace / "pipe")
    return Roots(workspace)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("data/a.csv", "file"),
        ("inner/a.csv", "file"),
        ("data", "directory"),
        (".", "directory"),
        ("pipe", "special"),
        ("loop", "special"),
        ("x.csv", "missing"),
        ("data/a.csv/x", "missing"),
        ("out/a.csv", "outside"),
        ("../outside", "outside"),
    ],
)
def test_looking_tells_what_is_there(roots: Roots, text: str, found: str) -> None:
    assert paths.look(roots, text) == found


def read(roots: Roots, text: str) -> bytes:
    with os.fdopen(paths.open_file(roots, text), "rb") as file:
        return file.read()


def test_files_inside_are_opened_also_through_links_that_stay_inside(roots: Roots) -> None:
    assert read(roots, "data/a.csv") == read(roots, "inner/a.csv") == b"fine"


@pytest.mark.parametrize("text", ["out/a.csv", "../outside/a.csv", "loop", "", "a\0b", "https://x/y"])
def test_what_leads_elsewhere_is_refused(roots: Roots, text: str) -> None:
    with pytest.raises(Refused):
        paths.open_file(roots, text)


@pytest.mark.parametrize("text", ["missing.csv", "data", "pipe"])
def test_what_is_no_file_is_a_fault_of_the_step(roots: Roots, text: str) -> None:
    with pytest.raises(StepError):
        paths.open_file(roots, text)


def test_more_roots_allow_more(roots: Roots, tmp_path: Path) -> None:
    more = Roots(roots.workspace, ("data", str(tmp_path / "outside")))
    assert read(more, "out/a.csv") == read(more, str(tmp_path / "outside" / "a.csv")) == CANARY
    assert paths.look(more, "pipe") == "outside"


def test_a_folder_that_is_swapped_for_a_link_meanwhile_is_never_followed(roots: Roots, tmp_path: Path) -> None:
    folder, link = roots.workspace / "data", roots.workspace / "link"
    aside, ended = roots.workspace / "aside", threading.Event()

    def swap() -> None:
        while not ended.is_set():
            link.symlink_to(tmp_path / "outside")
            folder.rename(aside)
            link.rename(folder)
            folder.unlink()
            aside.rename(folder)

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        for _ in range(10_000):
            try:
                seen.add(read(roots, "data/a.csv"))
            except (Refused, StepError):
                continue
    finally:
        ended.set()
        thread.join()
    assert seen <= {b"fine"}


def test_a_held_file_stays_what_it_was_when_it_was_checked(ctx: LocalContext) -> None:
    path = ctx.workspace / "a.csv"
    path.write_bytes(b"fine")
    held = ctx.held_file("a.csv")
    path.unlink()
    path.write_bytes(CANARY)
    assert (held.name, held.read_bytes()) == ("a.csv", b"fine")
    with pytest.raises(StepError, match=r"there is no file missing\.csv"):
        ctx.held_file("missing.csv")
    ctx.release()
    with pytest.raises(OSError):
        held.read_bytes()


@pytest.mark.parametrize("name", ["config/policy.yaml", "config/default.yaml", "alias/default.yaml", "link.yaml"])
def test_the_settings_of_the_operator_are_not_for_specs(tmp_path: Path, name: str) -> None:
    (tmp_path / "config" / "expectations").mkdir(parents=True)
    for file in ("policy.yaml", "default.yaml", "expectations/s.yaml", "data.csv"):
        (tmp_path / "config" / file).write_text("a: 1\n")
    (tmp_path / "alias").symlink_to("config")
    (tmp_path / "link.yaml").symlink_to("config/policy.yaml")
    here = Roots(tmp_path)
    assert paths.look(here, name) == "settings"
    with pytest.raises(Refused, match="a file of the operator's settings"):
        paths.read(here, name, 100)
    assert WorkspaceFiles(here).own(name) is None
    for other in ("config/expectations/s.yaml", "config/data.csv"):
        assert paths.look(here, other) == "file"


def test_files_of_the_operator_are_settings(tmp_path: Path) -> None:
    here = Roots(tmp_path, operator=("logs/run.log", "scripts/notify.sh", str(tmp_path / "metrics.prom")))
    for name in (
        "logs/run.log",
        "logs/run.log.1",
        "logs/run.log.lock",
        "scripts/notify.sh",
        "metrics.prom",
        "./logs/../metrics.prom",
    ):
        assert paths.look(here, name) == "settings", name
        with pytest.raises(Refused):
            paths.place(here, name, tmp_path / "any")
    assert paths.look(here, "logs/other.log") == "missing"


def test_a_folder_and_a_pattern_leave_out_the_settings(roots: Roots) -> None:
    (roots.workspace / "config").mkdir()
    for name in ("policy.yaml", "default.YML", "seeds.csv"):
        (roots.workspace / "config" / name).write_bytes(CANARY)
    (roots.workspace / "data" / "own.yaml").write_bytes(b"fine")
    assert paths.matching(roots, "config") == ("config/seeds.csv",)
    assert paths.matching(roots, "**/*.y*ml") == ("data/own.yaml",)
    assert paths.matching(roots, "conf*/*.yaml") == ("conf*/*.yaml",)

"""Trees that a step or a stranger may have made are removed, and nothing that a link leads to is."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from e2i.resilience.removal import names, remove


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    folder = tmp_path / "victim"
    folder.mkdir()
    (folder / "kept").write_text("kept")
    folder.chmod(0o555)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def is_whole(victim: Path) -> bool:
    return (victim / "kept").read_text() == "kept" and victim.stat().st_mode & 0o777 == 0o555


def test_files_and_read_only_folders_go(root: Path) -> None:
    (root / "a" / "b" / "c").mkdir(parents=True)
    (root / "a" / "b" / "c" / "file").write_text("x")
    (root / "a" / "b").chmod(0o000)
    remove(root, "a")
    (root / "f").write_text("x")
    remove(root, "f")
    remove(root, "f")
    assert list(root.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        remove(root, "f", missing_ok=False)


def test_several_that_remove_the_same_tree_at_once_all_succeed(root: Path) -> None:
    for _ in range(20):
        for number in range(30):
            folder = root / "a" / str(number) / "b"
            folder.mkdir(parents=True)
            (folder / "file").write_text("x")
        with ThreadPoolExecutor(4) as threads:
            assert [ended.result() for ended in [threads.submit(remove, root, "a") for _ in range(4)]] == [None] * 4
        assert list(root.iterdir()) == []


def test_links_go_and_what_they_lead_to_stays(root: Path, victim: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "folder").symlink_to(victim)
    (root / "a" / "b" / "file").symlink_to(victim / "kept")
    (root / "a" / "gone").symlink_to("/nonexistent")
    (root / "top").symlink_to(victim)
    remove(root, "a")
    remove(root, "top")
    assert list(root.iterdir()) == []
    assert is_whole(victim)


def test_a_link_on_the_way_is_refused(root: Path, victim: Path) -> None:
    (root / "a").symlink_to(victim)
    with pytest.raises(OSError, match="a"):
        remove(root, "a", "kept")
    assert names(root, "a") == []
    assert is_whole(victim)


@pytest.mark.parametrize("name", ["..", ".", "", "a/b"])
def test_a_name_leads_nowhere_else(root: Path, name: str) -> None:
    with pytest.raises(OSError, match="not a name"):
        remove(root, name, "x")


def test_a_tree_of_any_depth_goes(root: Path) -> None:
    here = os.open(root, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    remove(root, "d")
    assert list(root.iterdir()) == []


def test_a_removal_that_is_cut_short_takes_no_rights_from_the_group(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = root / "tree" / "inner"
    inner.mkdir(parents=True)
    for folder in (inner.parent, inner):
        folder.chmod(0o770)

    def ended(*arguments: object, **keywords: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "rmdir", ended)
    with pytest.raises(KeyboardInterrupt):
        remove(root, "tree")
    left = [path for path in root.rglob("*") if path.is_dir()]
    assert len(left) == 2
    assert {path.stat().st_mode & 0o777 for path in left} == {0o770}

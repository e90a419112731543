from __future__ import annotations

from pathlib import Path

import pytest

from e2i.errors import Refused
from e2i.workspace import matches
from e2i.workspace.paths import Roots

FILES = ("a.csv", "data/a.csv", "data/b.txt", "data/in/c.csv", "data/in/deep/d.csv", "data/.hidden.csv", ".git/x.csv")


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    for name in FILES:
        path = tmp_path / "workspace" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return Roots(tmp_path / "workspace")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("data/a.csv", ["data/a.csv"]),
        ("./data/a.csv", ["data/a.csv"]),
        ("*.csv", ["a.csv"]),
        ("data/*", ["data/a.csv", "data/b.txt"]),
        ("data/?.csv", ["data/a.csv"]),
        ("data/[b-z].*", ["data/b.txt"]),
        ("data/**/*.csv", ["data/a.csv", "data/in/c.csv", "data/in/deep/d.csv"]),
        ("**/d.csv", ["data/in/deep/d.csv"]),
        ("data/in/**", ["data/in/c.csv", "data/in/deep/d.csv"]),
        ("*/*/c.csv", ["data/in/c.csv"]),
        ("data", []),
        ("nothing/*", []),
        ("../*", []),
        ("", []),
        ("data/", []),
    ],
)
def test_a_pattern_names_files_below_the_workspace(roots: Roots, pattern: str, found: list[str]) -> None:
    assert matches.of(roots, pattern) == found


def test_links_do_not_lead_outside_and_folders_behind_links_are_not_searched(roots: Roots, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.csv").write_text("x")
    (roots.workspace / "data" / "link").symlink_to(tmp_path / "outside")
    (roots.workspace / "data" / "out.csv").symlink_to(tmp_path / "outside" / "x.csv")
    (roots.workspace / "data" / "same.csv").symlink_to(roots.workspace / "a.csv")
    (roots.workspace / "data" / "loop").symlink_to(roots.workspace / "data")
    assert matches.of(roots, "data/**/*.csv") == [
        "data/a.csv", "data/in/c.csv", "data/in/deep/d.csv", "data/same.csv"]  # fmt: skip


def test_too_many_files_are_refused(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matches, "MOST", 1)
    with pytest.raises(Refused, match="more than 1 files"):
        matches.of(roots, "data/*")
    monkeypatch.setattr(matches, "MOST_SEEN", 3)
    with pytest.raises(Refused, match="more than 3 names"):
        matches.of(roots, "**/nothing")

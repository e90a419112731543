from __future__ import annotations

import os
from pathlib import Path

import pytest

from e2i.store.digests import digest_of, files_of, folder_digest, signature_of


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b", "a/x", "a.txt"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(name)
    return tmp_path / "tree"


def test_a_folder_goes_by_its_files_in_the_order_of_paths(tree: Path) -> None:
    assert [name for name, _ in files_of(tree)] == ["a/x", "a.txt", "b"]
    assert folder_digest(files_of(tree)) == digest_of(tree)


def test_a_name_need_not_be_utf8(tree: Path) -> None:
    (tree / os.fsdecode(b"\xff")).write_text("")
    assert digest_of(tree).startswith("sha256:")


def test_every_change_shows_in_the_signature(tree: Path) -> None:
    seen = {signature_of(tree)[0]}
    file = tree / "a" / "x"
    file.write_text("y/x")
    seen.add(signature_of(tree)[0])
    os.utime(file, ns=(0, 0))
    seen.add(signature_of(tree)[0])
    file.rename(tree / "a" / "z")
    seen.add(signature_of(tree)[0])
    (tree / "more").write_text("")
    seen.add(signature_of(tree)[0])
    assert len(seen) == 5


def test_there_is_no_signature_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        signature_of(tmp_path / "none")

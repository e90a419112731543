from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2i.execution.store import ArtifactStore, MissingArtifact, digest_of


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def folder(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_file_comes_back_under_its_digest_and_cannot_be_changed(store: ArtifactStore, tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_text("text")
    digest = store.put(source)
    assert digest == "sha256:982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1"
    assert not source.exists()
    assert store.path(digest).read_text() == "text"
    assert store.path(digest).stat().st_mode & 0o222 == 0
    assert store.has(digest)


def test_equal_content_is_kept_once(store: ArtifactStore, tmp_path: Path) -> None:
    digests = {store.put(folder(tmp_path / name, {"a": "1", "b/c": "2"})) for name in ("one", "two")}
    assert len(digests) == 1
    assert not (tmp_path / "two").exists()
    assert len(list((store.root / "objects").glob("*/*"))) == 1


def test_a_folder_is_told_apart_by_names_and_contents(tmp_path: Path) -> None:
    trees = [{"a": "1"}, {"b": "1"}, {"a": "2"}, {"a": "1", "b": ""}, {"a/b": "1"}, {"ab": "1"}]
    digests = [digest_of(folder(tmp_path / str(index), files)) for index, files in enumerate(trees)]
    assert len(set(digests)) == len(trees)


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "sha256:",
        "md5:" + "0" * 64,
        "sha256:" + "0" * 63,
        "sha256:" + "g" * 64,
        "sha256:../../../../etc/passwd",
        "sha256:" + "0" * 64,
    ],
)
def test_what_is_not_there_or_no_digest_is_refused(store: ArtifactStore, digest: str) -> None:
    with pytest.raises(MissingArtifact):
        store.path(digest)


def test_damage_is_found_and_can_be_dropped(store: ArtifactStore, tmp_path: Path) -> None:
    digest = store.put(folder(tmp_path / "model", {"weights": "1"}))
    assert store.is_sound(digest)
    inside = store.path(digest) / "weights"
    inside.chmod(0o644)
    inside.write_text("2")
    assert not store.is_sound(digest)
    store.drop(digest)
    assert not store.has(digest)
    assert store.put(folder(tmp_path / "model", {"weights": "1"})) == digest


def test_many_may_put_the_same_at_once(store: ArtifactStore, tmp_path: Path) -> None:
    sources = [folder(tmp_path / str(index), {"x": "same", "y": "same"}) for index in range(16)]
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(store.put, sources))) == 1
    (shelf,) = (store.root / "objects").iterdir()
    assert len(list(shelf.iterdir())) == 1


def test_an_unfinished_put_leaves_nothing_under_the_digest(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "file"
    source.write_text("text")
    digest = digest_of(source)

    def killed(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", killed)
    with pytest.raises(OSError, match="No space"):
        store.put(source)
    assert not store.has(digest)


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=100))
def test_bytes_come_back_unchanged(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    root = tmp_path_factory.mktemp("store")
    source = root / "file"
    source.write_bytes(content)
    store = ArtifactStore(root / "store")
    assert store.path(store.put(source)).read_bytes() == content

from __future__ import annotations

import contextlib
import os
import pickle
import random
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2i.errors import StepError
from e2i.store.artifacts import ArtifactStore, CorruptArtifact, Corruption, MissingArtifact
from e2i.store.digests import digest_of


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


def test_a_folder_is_distinguished_by_names_and_contents(tmp_path: Path) -> None:
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


def test_corruption_is_found_and_can_be_dropped(store: ArtifactStore, tmp_path: Path) -> None:
    digest = store.put(folder(tmp_path / "model", {"weights": "1"}))
    assert store.is_intact(digest)
    inside = store.path(digest) / "weights"
    inside.chmod(0o644)
    inside.write_text("2")
    assert not store.is_intact(digest)
    store.drop(digest)
    assert not store.has(digest)
    assert store.put(folder(tmp_path / "model", {"weights": "1"})) == digest


def test_many_may_put_and_ask_for_the_same_at_once(tmp_path: Path) -> None:
    reported: list[Corruption] = []
    for turn in range(20):
        sources = [folder(tmp_path / str(index), {"x": "same", "y": str(turn)}) for index in range(16)]
        digest = digest_of(sources[0])
        stores = [ArtifactStore(tmp_path / "store", reported.append) for _ in range(4)]
        with ThreadPoolExecutor(8) as threads:
            asked = [threads.submit(store.has, digest) for store in stores for _ in range(8)]
            assert set(threads.map(ArtifactStore.put, stores * 4, sources)) == {digest}
            assert all(future.exception() is None for future in asked)
        assert stores[0].has(digest)
    assert reported == []
    assert sum(len(list(shelf.iterdir())) for shelf in (tmp_path / "store/objects").iterdir()) == 20


def test_corruption_that_many_find_at_once_is_quarantined_once(tmp_path: Path) -> None:
    reported: list[Corruption] = []
    for turn in range(20):
        store = ArtifactStore(tmp_path / "store", reported.append)
        digest = store.put(folder(tmp_path / "one", {"x": str(turn)}))
        (store.path(digest) / "x").chmod(0o644)
        (store.path(digest) / "x").write_text("corrupt")
        sources = [folder(tmp_path / str(index), {"x": str(turn)}) for index in range(8)]
        with ThreadPoolExecutor(8) as threads:
            assert set(threads.map(store.put, sources)) == {digest}
        assert store.has(digest)
    assert len(reported) == 20


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


def test_a_folder_that_is_kept_cannot_be_changed_and_links_are_refused(store: ArtifactStore, tmp_path: Path) -> None:
    kept = store.path(store.put(folder(tmp_path / "one", {"a": "1", "b/c": "2"})))
    assert all(path.stat().st_mode & 0o222 == 0 for path in (kept, *kept.rglob("*")))
    linked = folder(tmp_path / "two", {"a": "1"})
    outside = tmp_path / "outside"
    outside.write_text("")
    mode = outside.stat().st_mode
    (linked / "b").symlink_to(outside)
    with pytest.raises(StepError, match="b cannot be stored: it is a link") as raised:
        store.put(linked)
    assert raised.value.code == "bad-artifact"
    assert outside.stat().st_mode == mode


def test_what_was_verified_is_not_read_again(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = store.put(folder(tmp_path / "model", {"weights": "1", "more/x": "2"}))

    def read(*_: object) -> str:
        raise AssertionError("it was read")

    monkeypatch.setattr("e2i.store.artifacts.digest_of", read)
    for other in (store, ArtifactStore(store.root)):
        assert other.has(digest)
        assert other.is_intact(digest)
        assert other.path(digest).is_dir()


def test_an_artifact_without_memory_is_read_once_and_only_looking_writes_nothing(
    store: ArtifactStore, tmp_path: Path
) -> None:
    digest = store.put(folder(tmp_path / "model", {"weights": "1"}))
    shutil.rmtree(store.root / "verified")
    other = ArtifactStore(store.root)
    assert other.is_intact(digest)
    assert not (store.root / "verified").exists()
    assert other.has(digest)
    assert (store.root / "verified").is_dir()


def test_a_step_that_writes_to_its_input_harms_no_other(store: ArtifactStore, tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_text("text")
    digest = store.put(source)
    path = store.path(digest)
    if os.geteuid() == 0:  # modes do not hold root back, so the corruption must show
        with path.open("a") as file:
            file.write("more")
        with pytest.raises(CorruptArtifact) as raised:
            store.path(digest)
        assert raised.value.code == "artifact-corrupt"
        assert not store.has(digest)
        assert not path.exists()
    else:
        with pytest.raises(PermissionError):
            path.open("a")


def test_two_artifacts_with_each_others_bytes_are_both_corrupt(tmp_path: Path) -> None:
    reported: list[Corruption] = []
    store = ArtifactStore(tmp_path / "store", reported.append)
    (tmp_path / "a").write_text("one")
    (tmp_path / "b").write_text("two")
    digests = [store.put(tmp_path / name) for name in "ab"]
    one, two = (Path(store.object_path(digest)) for digest in digests)
    one.rename(tmp_path / "c")
    two.rename(one)
    (tmp_path / "c").rename(two)
    assert [store.is_intact(digest) for digest in digests] == [False, False]
    assert [store.has(digest) for digest in digests] == [False, False]
    assert [corruption.digest for corruption in reported] == digests
    assert sorted(corruption.kept.read_text() for corruption in reported) == ["one", "two"]


def test_a_pickle_in_the_place_of_an_artifact_is_a_miss(store: ArtifactStore, tmp_path: Path) -> None:
    fired = tmp_path / "fired"

    class Malicious:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(fired),)

    source = tmp_path / "file"
    source.write_text("text")
    digest = store.put(source)
    path = Path(store.object_path(digest))
    path.unlink()
    path.write_bytes(pickle.dumps(Malicious()))
    assert not store.has(digest)
    assert not fired.exists()


@pytest.mark.parametrize("seed", range(4))
def test_no_corruption_is_ever_taken_for_the_artifact(tmp_path: Path, seed: int) -> None:
    """Bits flipped, files cut, bytes added, files swapped or gone: 240 in all; repaired by putting the artifact again."""
    chance = random.Random(seed)
    store = ArtifactStore(tmp_path / "store")
    contents = [{"a": chance.randbytes(300), "b/c": chance.randbytes(50)}, {"only": chance.randbytes(1_000)}, None]
    for number in range(60):
        files = contents[number % 3]
        source = tmp_path / "source"
        if files is None:
            source.write_bytes(b"a file of its own")
        else:
            for name, content in files.items():
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                (source / name).write_bytes(content)
        digest = store.put(source)
        assert store.is_intact(digest)
        corrupt(Path(store.object_path(digest)), chance)
        reader = ArtifactStore(store.root) if number % 2 else store
        with pytest.raises(MissingArtifact):
            reader.path(digest)
        assert not reader.is_intact(digest)
        assert not reader.has(digest)


def corrupt(path: Path, chance: random.Random) -> None:
    file = chance.choice(sorted(p for p in path.rglob("*") if p.is_file())) if path.is_dir() else path
    content = bytearray(file.read_bytes())
    match chance.randrange(6):
        case 0:
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        case 1:
            content.clear()
        case 2:
            del content[len(content) // 2 :]
        case 3:
            content += b"x"
        case 4:
            file.parent.chmod(0o755)
            file.unlink()
            return
        case 5:
            file.parent.chmod(0o755)
            file.rename(file.with_name("moved"))
            return
    file.chmod(0o644)
    file.write_bytes(content)


def test_a_put_that_is_killed_leaves_nothing_under_a_digest(tmp_path: Path) -> None:
    """The process dies in turn at every call by which a put makes things durable or visible."""
    for after in range(100):
        shutil.rmtree(tmp_path, ignore_errors=True)
        source = folder(tmp_path / "source", {"a": "1", "b/c": "2"})
        digest = digest_of(source)
        child = os.fork()
        if child == 0:
            put_and_die(tmp_path / "store", source, after)
        _, status = os.waitpid(child, 0)
        store = ArtifactStore(tmp_path / "store")
        assert store.is_intact(digest) or not Path(store.object_path(digest)).exists()
        if os.waitstatus_to_exitcode(status) == 0:
            assert store.is_intact(digest)
            break
        assert source.exists() or store.is_intact(digest) or list((store.root / "objects").glob(".put-*"))
        assert store.put(folder(tmp_path / "again", {"a": "1", "b/c": "2"})) == digest
    assert 8 < after < 40


def put_and_die(root: Path, source: Path, after: int) -> NoReturn:
    left = after

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                os._exit(9)
            return function(*args, **kwargs)

        return call

    for name in ("fsync", "rename", "utime", "fchmod", "chmod"):
        setattr(os, name, dying(getattr(os, name)))
    with contextlib.suppress(Exception):
        ArtifactStore(root).put(source)
        os._exit(0)
    os._exit(1)

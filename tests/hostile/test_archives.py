"""Z07: archives with devices, pipes and setuid members. No archive is ever unpacked, and no artifact holds such files."""

from __future__ import annotations

import ast
import io
import os
import socket
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from context import LocalContext
from e2i.errors import BadInput, StepError
from e2i.store.artifacts import ArtifactStore
from e2i.tools.data import LoadParams, actions

ENGINE = Path(__file__).parents[2] / "engine" / "e2i"
UNPACKING = frozenset(("extract", "extractall", "unpack_archive", "_extract_member"))
MEMBERS = (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE)


def archive(folder: Path) -> Path:
    """A tar with one member of each kind that no data has, and a setuid program."""
    path = folder / "data.tar"
    with tarfile.open(path, "w") as made:
        for kind in MEMBERS:
            member = tarfile.TarInfo(f"member-{kind.decode()}")
            member.type, member.linkname, member.mode = kind, "/etc/passwd", 0o666
            made.addfile(member)
        program = tarfile.TarInfo("../program")
        program.mode, program.size = 0o6755, 4
        made.addfile(program, io.BytesIO(b"evil"))
    return path


def test_no_module_unpacks_an_archive() -> None:
    found = []
    for path in sorted(ENGINE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Import(names=names) if any(name.name.startswith("tarfile") for name in names):
                    found.append(f"{path}: tarfile")
                case ast.ImportFrom(module="tarfile"):
                    found.append(f"{path}: tarfile")
                case ast.Call(func=ast.Attribute(attr=name)) if name in UNPACKING:
                    found.append(f"{path}:{node.lineno}: {name}")
    assert found == []


@pytest.mark.parametrize("name", ["data.tar", "data.tar.gz", "data.tgz", "data.zip", "data.csv"])
def test_an_archive_is_no_table_under_any_name(tmp_path: Path, name: str) -> None:
    if name.endswith("zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as made:
            member = zipfile.ZipInfo("../program")
            member.external_attr = (stat.S_IFIFO | 0o6755) << 16
            made.writestr(member, b"a,b\n1,2\n")
    else:
        archive(tmp_path).rename(tmp_path / name)
    context = LocalContext(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises((BadInput, StepError)):
        actions.load(LoadParams(path=name), context)
    context.close()
    assert [path for path in tmp_path.rglob("*") if path not in before and not _is_plain(path)] == []
    assert not (tmp_path.parent / "program").exists()


def test_an_archive_is_kept_as_one_file_that_nobody_can_run(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "store")
    source = archive(tmp_path)
    source.chmod(0o6755)
    kept = store.path(store.put(source))
    assert stat.S_IMODE(kept.stat().st_mode) == 0o444
    assert tarfile.is_tarfile(kept)


@pytest.mark.parametrize("kind", ["pipe", "socket", "link", "device"])
def test_an_artifact_with_a_special_file_is_refused_without_opening_it(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    (folder / "weights").write_text("1")
    place = folder / "inner" / "special"
    match kind:
        case "pipe":
            os.mkfifo(place)  # opening it would block
        case "socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(os.path.relpath(place))
        case "link":
            place.symlink_to("/dev/zero")
        case "device":
            try:
                os.mknod(place, stat.S_IFCHR | 0o666, os.makedev(1, 5))
            except PermissionError:
                pytest.skip("only an administrator can make a device")
    with pytest.raises(StepError, match="special cannot be stored") as caught:
        ArtifactStore(tmp_path / "store").put(folder)
    assert caught.value.code == "bad-artifact"
    assert [path for path in (tmp_path / "store").rglob("*") if not _is_plain(path)] == []


def test_modes_of_files_are_masked(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    for name, mode in (("program", 0o6755), ("inner/open", 0o1777)):
        (folder / name).write_text("x")
        (folder / name).chmod(mode)
    (folder / "inner").chmod(0o3777)
    store = ArtifactStore(tmp_path / "store")
    kept = store.path(store.put(folder))
    for path in (kept, *kept.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & (0o7022 if path.is_dir() else 0o7133) == 0


def _is_plain(path: Path) -> bool:
    mode = path.lstat().st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)

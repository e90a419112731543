from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from e2i import regular


@pytest.fixture(params=["pipe", "folder", "socket", "device", "link to a pipe"])
def special(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """What is no regular file."""
    path = tmp_path / "special"
    match request.param:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "socket":
            held = socket.socket(socket.AF_UNIX)
            request.addfinalizer(held.close)
            here = Path.cwd()
            os.chdir(tmp_path)  # the path of a socket must be short
            held.bind("special")
            os.chdir(here)
        case "device":
            path.symlink_to("/dev/zero")
        case _:
            os.mkfifo(tmp_path / "pipe")
            path.symlink_to("pipe")
    return path


def test_what_is_no_regular_file_is_never_opened(special: Path) -> None:
    with pytest.raises(OSError, match="not a regular file"):
        regular.read(special, 10)


def test_nothing_is_written_in_the_place_of_a_special_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/null")):
        with pytest.raises(OSError, match="not a regular file"):
            regular.write(path, b"x")


def test_a_long_file_is_refused_or_cut(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert regular.read(tmp_path / "a", 5) == b"12345"
    assert regular.read(tmp_path / "a", 4, cut=True) == b"1234"
    with pytest.raises(OSError, match="more than 4 bytes"):
        regular.read(tmp_path / "a", 4)


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "link").symlink_to("kept")
    regular.write(tmp_path / "link", b"new")
    assert (tmp_path / "kept").read_text() == "kept"
    assert (tmp_path / "link").read_text() == "new" and not (tmp_path / "link").is_symlink()


def test_a_link_in_a_folder_does_not_lead_out_of_it(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.write_text("x")
    (inside / "link").symlink_to(outside)
    (inside / "file").write_text("y")
    (inside / "near").symlink_to("file")
    assert regular.read(inside / "near", 9, within=[inside]) == b"y"
    assert regular.read(outside, 9, within=[inside]) == b"x"  # named by itself
    assert regular.read(inside / "link", 9, within=[inside, tmp_path]) == b"x"
    with pytest.raises(OSError, match="leads outside the workspace"):
        regular.read(inside / "link", 9, within=[inside])


def test_a_link_that_leads_nowhere_is_there(tmp_path: Path) -> None:
    assert not regular.is_there(tmp_path / "none" / "file")
    (tmp_path / "dangling").symlink_to("nowhere")
    assert regular.is_there(tmp_path / "dangling")
    assert regular.is_there(tmp_path / "dangling" / "file")
    (tmp_path / "file").touch()
    assert regular.is_there(tmp_path / "file" / "below")

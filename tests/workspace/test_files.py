"""What checks may look at: files of the workspace, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from e2i.workspace.files import WorkspaceFiles
from e2i.workspace.paths import Roots


@pytest.fixture
def files(tmp_path: Path) -> WorkspaceFiles:
    (tmp_path / "workspace" / "data").mkdir(parents=True)
    (tmp_path / "workspace" / "data" / "t.csv").write_text("a\n", "utf-8")
    (tmp_path / "secret.csv").write_text("s\n", "utf-8")
    return WorkspaceFiles(Roots(tmp_path / "workspace"))


def test_a_file_is_opened_and_a_missing_one_is_none(files: WorkspaceFiles) -> None:
    file = files.open("data/t.csv")
    assert file is not None
    with file:
        assert file.read() == b"a\n"
    assert files.open("data/other.csv") is None
    assert files.open("data/t.csv/deeper") is None


@pytest.mark.parametrize(
    "path", ["../secret.csv", "data", "link.csv", "pipe", "/dev/zero", "\0", "http://host/t.csv", ""]
)
def test_what_is_no_file_of_the_workspace_is_not_looked_at(files: WorkspaceFiles, path: str) -> None:
    workspace = files.roots.workspace
    (workspace / "link.csv").symlink_to(workspace.parent / "secret.csv")
    os.mkfifo(workspace / "pipe")
    with pytest.raises(OSError):
        files.open(path)


def test_names_are_those_of_files_in_a_folder_of_the_workspace(files: WorkspaceFiles) -> None:
    assert files.names("data") == ["t.csv"]
    assert files.names(".") == []
    assert files.names("nowhere") == files.names("..") == files.names("data/t.csv") == ()

"""A run that writes a file and reads it again, whatever became of the file since the last run."""

from __future__ import annotations

import pytest

from project import Project

SPEC = """
version: 1
name: files
steps:
  load: {uses: data.load, with: {path: in.csv}}
  write: {uses: data.write, with: {table: "${{ steps.load.table }}", path: out/t.parquet, mode: replace}}
  again: {uses: data.load, with: {path: "${{ steps.write.file.path }}"}}
outputs: {file: "${{ steps.write.file }}", rows: "${{ steps.again.table }}"}
"""


@pytest.mark.parametrize("accident", ["none", "removed", "changed"])
def test_a_file_is_written_once_and_again_when_it_is_not_as_it_was_written(project: Project, accident: str) -> None:
    project.write("in.csv", "id,x\n1,0.5\n,1.5\n")
    project.write("files.yaml", SPEC)
    first = project.run(project.root / "files.yaml")
    assert first.status == "succeeded"
    path = project.root / "out" / "t.parquet"
    content, made = path.read_bytes(), path.stat()
    if accident == "removed":
        path.unlink()
    elif accident == "changed":
        path.write_bytes(b"other")
    second = project.run(project.root / "files.yaml")
    assert second.status == "succeeded" and second.outputs == first.outputs
    assert path.read_bytes() == content
    assert second.steps["write"].status.value == ("reused" if accident == "none" else "succeeded")
    assert ((path.stat().st_ino, path.stat().st_ctime_ns) == (made.st_ino, made.st_ctime_ns)) == (accident == "none")

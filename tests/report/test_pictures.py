"""Pictures of reports: only real, small PNG files of the artifact itself, wherever its names point."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from e2i.report import pictures, steps
from e2i.store.artifacts import ArtifactStore
from report.past import past_run, png, recorded, report_artifact


def look(root: Path, folder: Path | None = None, **artifact: Any) -> pictures.Look:
    run = past_run(steps=[recorded("first", outputs={"report": report_artifact(**artifact)})])
    (found,) = pictures.gallery(steps.of(run, None), lambda given: root, folder)
    return found


def test_the_pictures_of_a_page_have_its_headings_as_captions(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<h2>First &amp; best</h2><img src="a%20b.png"><h2>Second</h2><img alt="told" src="c.png">'
    )
    (tmp_path / "a b.png").write_bytes(png(7, 5))
    (tmp_path / "c.png").write_bytes(png())
    one, two = look(tmp_path).pictures
    assert (one.caption, one.width, one.height, two.caption) == ("First & best", 7, 5, "told")


def test_pictures_inside_a_single_page_are_found(tmp_path: Path) -> None:
    page = tmp_path / "abcdef"
    page.write_text(f'<img alt="plots" src="data:image/png;base64,{base64.b64encode(png()).decode()}">')
    found = look(page, tmp_path, entry="")
    assert [picture.caption for picture in found.pictures] == ["plots"]
    assert found.href == ""  # browsers show a file without a suffix as text


def test_a_picture_and_a_folder_of_pictures_need_no_page(tmp_path: Path) -> None:
    (tmp_path / "roc_curve.png").write_bytes(png())
    assert [picture.caption for picture in look(tmp_path, media_type="x/folder", entry="").pictures] == ["roc curve"]
    single = look(tmp_path / "roc_curve.png", media_type="image/png", entry="", title="The ROC")
    assert [picture.caption for picture in single.pictures] == ["The ROC"]


def test_large_files_and_files_that_are_no_png_are_counted_not_shown(tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(png(padding=pictures.LARGEST))
    (tmp_path / "page.png").write_text("<script>alert(1)</script>")
    (tmp_path / "short.png").write_bytes(pictures.SIGNATURE)
    (tmp_path / "sound.png").write_bytes(png())
    found = look(tmp_path, media_type="x/folder", entry="")
    assert (len(found.pictures), found.left_out) == (1, 3)


@pytest.mark.parametrize(
    "name", ["../secret.png", "../../secret.png", "/etc/hostname", "a\0b", "x" * 5_000, "file:///etc/hostname"]
)
def test_names_that_lead_out_of_the_artifact_are_not_followed(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.png").write_bytes(png())
    inner = tmp_path / "artifact"
    inner.mkdir()
    (inner / "index.html").write_text(f'<img src="{name}">')
    assert look(inner).pictures == ()
    assert look(inner, tmp_path, entry=name).href == ""


def test_a_symbolic_link_out_of_the_artifact_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png())
    inner = tmp_path / "artifact"
    inner.mkdir()
    (inner / "index.html").write_text('<img src="link.png">')
    (inner / "link.png").symlink_to(tmp_path / "secret.png")
    assert look(inner).pictures == ()


def test_links_are_relative_to_the_page_and_quoted(tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "a page.html").write_text("")
    found = look(tmp_path / "objects", tmp_path / "runs" / "r", entry="a page.html")
    assert found.href == "../../objects/a%20page.html"


def test_a_report_that_is_not_in_the_store_any_more_is_reported(tmp_path: Path) -> None:
    run = past_run(steps=[recorded("first", outputs={"report": report_artifact()})])
    (found,) = pictures.gallery(steps.of(run, None), lambda given: ArtifactStore(tmp_path).path(given.digest), None)
    assert "is not in the store" in found.missing
    assert look(tmp_path / "missing").pictures == ()

"""Links lead to the web or to files beside the page, and never run anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2i.report import links


@pytest.mark.parametrize(
    ("target", "safe"),
    [
        ("https://example.org/a", True),
        ("HTTP://localhost:80", True),
        ("../objects/ab/index.html", True),
        ("logs/train%5B1%5D.log", True),
        ("javascript:alert(1)", False),
        (" JaVaScRiPt:alert(1)", False),
        ("java\nscript:alert(1)", False),
        ("data:text/html,x", False),
        ("vbscript:x", False),
        ("file:///etc/passwd", False),
        ("//evil.example/x", False),
        ("\\\\evil.example\\x", False),
        ("http://", False),
    ],
)
def test_links_are_http_https_or_relative(target: str, safe: bool) -> None:
    assert links.safe(target) == (target.strip() if safe else "")


@pytest.mark.parametrize("target", ["../a.html", "javascript:alert(1)", "", "https://", "https://a\u202eb"])
def test_a_web_address_is_http_or_https(target: str) -> None:
    assert links.web(target) == ""
    assert links.web("https://example.org") == "https://example.org"


def test_only_files_that_a_browser_can_open_are_linked(tmp_path: Path) -> None:
    for name in ("page.html", "abcdef", "run.log"):
        (tmp_path / name).write_text("")
    found = [
        links.to_file(tmp_path / name, tmp_path / "runs") for name in ("page.html", "abcdef", "run.log", "gone.html")
    ]
    assert found == ["../page.html", "", "../run.log", ""]

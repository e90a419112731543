"""Collect the pictures of report artifacts as data URIs, with links to their pages, never their markup.

In: report artifacts. Out: pictures and links. Pictures are PNG only: those on a page, with its headings as captions, or
else those in the folder.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from msgspec import Struct

from e2i.catalog.artifacts import Report, Stored
from e2i.errors import E2IError
from e2i.report import links
from e2i.report.steps import Step
from e2i.report.values import artifacts, short

OpenArtifact = Callable[[Stored], Path]
LARGEST = 1_000_000
"""Maximum bytes of one picture; a larger one is not shown."""
IN_ALL = 24_000_000
"""Maximum bytes of all pictures of one page."""
LARGEST_PAGE = 40_000_000
"""Maximum bytes of a page that is searched for pictures."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"
INLINE = "data:image/png;base64,"
HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6", "figcaption"}


class Picture(Struct, frozen=True):
    """The bytes of a PNG file as text, its size in pixels, and its caption."""

    caption: str
    data: str
    width: int
    height: int


class Look(Struct, frozen=True):
    """A report artifact and its pictures. ``href`` is "" when a browser could not open the report from the page.

    ``missing`` is the reason when the artifact cannot be read; ``left_out`` counts pictures that are too large to show.
    """

    step: Step
    title: str
    digest: str
    href: str = ""
    pictures: tuple[Picture, ...] = ()
    left_out: int = 0
    missing: str = ""


def gallery(steps: Sequence[Step], open_artifact: OpenArtifact, folder: Path | None) -> tuple[Look, ...]:
    """Returns one look for each report of the steps, in their order, each report once.

    ``folder`` is where the page will be, so that links to other files of the store stay valid when the store is moved.
    """
    found: dict[str, Look] = {}
    space = IN_ALL
    for step in steps:
        for artifact in artifacts(dict(step.outputs)):
            if isinstance(artifact, Report) and artifact.digest not in found:
                look = _look(step, artifact, open_artifact, folder, space)
                space -= sum(len(picture.data) for picture in look.pictures)
                found[artifact.digest] = look
    return tuple(found.values())


def _look(step: Step, report: Report, open_artifact: OpenArtifact, folder: Path | None, space: int) -> Look:
    digest = short(report.digest)
    try:
        root = open_artifact(report)
        entry = _inside(root, report.entry) if report.entry else root
        pictures = list(_pictures(report, root, entry))
    except (E2IError, OSError) as error:
        return Look(step, report.title, digest, missing=str(error))
    shown: list[Picture] = []
    for caption, content in pictures:
        picture = _picture(caption, content)
        if picture is not None and len(picture.data) <= space:
            shown.append(picture)
            space -= len(picture.data)
    href = links.to_file(entry, folder) if entry and folder else ""
    return Look(step, report.title, digest, href, tuple(shown), len(pictures) - len(shown))


def _pictures(report: Report, root: Path, entry: Path | None) -> Iterator[tuple[str, bytes]]:
    """Yields captions and bytes: the report itself if it is a picture, else those on its page or in its folder."""
    if entry and report.media_type == "image/png":
        yield report.title, _read(entry)
    elif entry and report.media_type == "text/html" and entry.stat().st_size <= LARGEST_PAGE:
        page = _Page()
        page.feed(entry.read_text("utf-8", "replace"))
        for caption, source in page.images:
            if source.startswith(INLINE):
                yield caption or report.title, _decoded(source)
            elif (file := _inside(root, str(Path(report.entry).parent / unquote(source)))) is not None:
                yield caption or file.stem, _read(file)
    elif root.is_dir():
        for file in sorted(root.rglob("*.png")):
            yield file.stem.replace("_", " "), _read(file)


class _Page(HTMLParser):
    """Collects the images of a page, each with its description or the preceding heading."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[tuple[str, str]] = []
        self._heading = ""
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in HEADINGS:
            self._open, self._heading = True, ""
        elif tag == "img":
            found = dict(attrs)
            self.images.append(((found.get("alt") or self._heading).strip()[:200], found.get("src") or ""))

    def handle_endtag(self, tag: str) -> None:
        if tag in HEADINGS:
            self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            self._heading += data


def _inside(folder: Path, name: str) -> Path | None:
    """Returns the existing file of that relative name inside the folder. Names in artifacts are not trusted."""
    try:
        path = (folder / name).resolve()
        return path if name and path.is_relative_to(folder.resolve()) and path.is_file() else None
    except (OSError, ValueError):  # a name too long for a file, or with a NUL
        return None


def _read(file: Path) -> bytes:
    """Returns a file's bytes; empty for a file that is too large to be shown."""
    return file.read_bytes() if file.stat().st_size <= LARGEST else b""


def _decoded(source: str) -> bytes:
    try:
        return base64.b64decode(source.removeprefix(INLINE), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _picture(caption: str, content: bytes) -> Picture | None:
    """Returns the picture, if the bytes are a PNG file of at most ``LARGEST`` bytes."""
    if not content.startswith(SIGNATURE) or content[12:16] != b"IHDR" or not 24 <= len(content) <= LARGEST:
        return None
    width, height = struct.unpack(">II", content[16:24])
    return Picture(caption, base64.b64encode(content).decode("ascii"), width, height)

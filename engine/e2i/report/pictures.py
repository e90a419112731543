"""Report artifacts go in; their pictures as data URIs and links to their pages come out, never their markup.

Pictures are PNG only: those that a page shows, with its headings as captions, or else those that lie in the folder.
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
"""Bytes of one picture; a larger one is not shown."""
IN_ALL = 24_000_000
"""Bytes of all pictures of one page."""
LARGEST_PAGE = 40_000_000
"""Bytes of a page that is searched for pictures."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"
INLINE = "data:image/png;base64,"
HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6", "figcaption"}


class Picture(Struct, frozen=True):
    """A PNG file's bytes as text, its size in pixels, and what it shows."""

    caption: str
    data: str
    width: int
    height: int


class Look(Struct, frozen=True):
    """A report artifact and what of it can be seen. ``href`` is "" when a browser could not open it from the page.

    ``missing`` says why when the artifact cannot be read; ``left_out`` counts pictures that are too large to show.
    """

    step: Step
    title: str
    digest: str
    href: str = ""
    pictures: tuple[Picture, ...] = ()
    left_out: int = 0
    missing: str = ""


def gallery(steps: Sequence[Step], open_artifact: OpenArtifact, folder: Path | None) -> tuple[Look, ...]:
    """One look for each report that the steps made, in their order, each report once.

    ``folder`` is where the page will be, so that links to other files of the store stay right when the store is moved.
    """
    found: dict[str, Look] = {}
    room = IN_ALL
    for step in steps:
        for artifact in artifacts(dict(step.outputs)):
            if isinstance(artifact, Report) and artifact.digest not in found:
                look = _look(step, artifact, open_artifact, folder, room)
                room -= sum(len(picture.data) for picture in look.pictures)
                found[artifact.digest] = look
    return tuple(found.values())


def _look(step: Step, report: Report, open_artifact: OpenArtifact, folder: Path | None, room: int) -> Look:
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
        if picture is not None and len(picture.data) <= room:
            shown.append(picture)
            room -= len(picture.data)
    href = links.to_file(entry, folder) if entry and folder else ""
    return Look(step, report.title, digest, href, tuple(shown), len(pictures) - len(shown))


def _pictures(report: Report, root: Path, entry: Path | None) -> Iterator[tuple[str, bytes]]:
    """Captions and bytes: the picture that the report is, those that its page shows, or those in its folder."""
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
    """Collects the images of a page, each with its description or the last heading above it."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[tuple[str, str]] = []
        self._heading = ""
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in HEADINGS:
            self._open, self._heading = True, ""
        elif tag == "img":
            given = dict(attrs)
            self.images.append(((given.get("alt") or self._heading).strip()[:200], given.get("src") or ""))

    def handle_endtag(self, tag: str) -> None:
        if tag in HEADINGS:
            self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            self._heading += data


def _inside(folder: Path, name: str) -> Path | None:
    """The existing file of that relative name, if it lies in the folder: names in artifacts are not to be trusted."""
    try:
        path = (folder / name).resolve()
        return path if name and path.is_relative_to(folder.resolve()) and path.is_file() else None
    except (OSError, ValueError):  # a name too long for a file, or with a NUL
        return None


def _read(file: Path) -> bytes:
    """A file's bytes; none of a file that would not be shown anyway."""
    return file.read_bytes() if file.stat().st_size <= LARGEST else b""


def _decoded(source: str) -> bytes:
    try:
        return base64.b64decode(source.removeprefix(INLINE), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _picture(caption: str, content: bytes) -> Picture | None:
    """The picture, if the bytes are a PNG file of at most ``LARGEST`` bytes."""
    if not content.startswith(SIGNATURE) or content[12:16] != b"IHDR" or not 24 <= len(content) <= LARGEST:
        return None
    width, height = struct.unpack(">II", content[16:24])
    return Picture(caption, base64.b64encode(content).decode("ascii"), width, height)

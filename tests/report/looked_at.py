"""A page as a browser takes it in: its elements, its texts and everything that it would fetch or follow."""

from __future__ import annotations

import re
from html.parser import HTMLParser


class LookedAt(HTMLParser):
    """``text`` is what can be read, ``elements`` every start tag with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.style = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.style += data
        else:
            self.text += data

    def values(self, attribute: str, tag: str | None = None) -> list[str]:
        return [given[attribute] for name, given in self.elements if attribute in given and tag in (None, name)]

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}

    @property
    def fetched(self) -> list[str]:
        """Everything that would be loaded without a click, but what the page holds itself."""
        sources = [*self.values("src"), *self.values("srcset"), *self.values("data"), *self.values("poster")]
        sources += [
            given["href"] for tag, given in self.elements if tag in ("link", "image", "use", "base") and "href" in given
        ]
        sources += self.values("xlink:href")
        sources += re.findall(r"url\(([^)]*)\)", self.style) + re.findall(r"@import\s*([^;]*)", self.style)
        sources += [
            url
            for _, given in self.elements
            for value in given.values()
            for url in re.findall(r"url\(([^)]*)\)", value)
        ]
        return [source for source in sources if not source.startswith(("data:", "#"))]

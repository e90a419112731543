"""Good specs: the shipped ones, the golden ones, those of the documentation and of the tools, and those beside this file.

In: the repository. Out: ``Good`` specs that know where everything in them stands, in a workspace that can be checked.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path as File
from typing import Any

from e2i.catalog.action import Action
from e2i.catalog.registry import BUILT_IN
from e2i.spec import document
from mutation.sites import Path, Site, sites

ROOT = File(__file__).parents[2]
HERE = File(__file__).parent
ENTRIES = {
    "prep.yaml": "specs/golden_parts.yaml",
    "nested.yaml": "specs/golden_parts.yaml",
    "prepare.yaml": "specs/including.yaml",
    "model.yaml": "specs/including.yaml",
}
"""Part → a spec that includes it."""


@dataclass(frozen=True)
class Reference:
    """A reference in an expression: ``steps.load.table`` with the offsets of its parts."""

    site: Site
    root: tuple[str, int]
    parts: tuple[tuple[str, int], ...]
    """Below the root, each with its offset."""

    @property
    def whole(self) -> tuple[int, int]:
        """The value that it stands in."""
        return self.site.start, self.site.end


@dataclass(frozen=True)
class Good:
    """A spec without a fault. ``file`` is its name in the workspace; ``parts`` are the specs that may be parts of it."""

    file: str
    text: str
    entry: str = ""
    """The spec that is checked: this one, or one that includes it."""
    parts: dict[str, Good] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def data(self) -> Any:
        return plain(self.text)

    @cached_property
    def sites(self) -> dict[Path, Site]:
        return sites(self.text)

    def raw(self, site: Site) -> str:
        """A value as it is written."""
        return self.text[site.start : site.end]

    def value(self, path: Path) -> Any:
        found = self.data
        for key in path:
            found = found[key]
        return found

    @cached_property
    def steps(self) -> dict[str, Path]:
        """The path of each step, by its id."""
        return {name: (part, name) for part in ("steps", "finally") for name in self.data.get(part, {})}

    def uses(self, step: str) -> str:
        uses: str = self.value((*self.steps[step], "uses"))
        return uses

    def part(self, step: str) -> Good | None:
        """The part that a step includes."""
        return self.parts.get(posixpath.join(posixpath.dirname(self.file), posixpath.normpath(self.uses(step))))

    def outputs(self, step: str) -> Iterable[str]:
        """The names of what a step gives."""
        action, part = self.action(step), self.part(step)
        return action.outputs.model_fields if action else part.data["outputs"] if part else ()

    def parameters(self, step: str) -> Iterable[str]:
        """The names of what a step takes."""
        action, part = self.action(step), self.part(step)
        return action.params.model_fields if action else part.data["params"] if part else ()

    def action(self, step: str) -> Action | None:
        """The action of a step; None for a part."""
        found = BUILT_IN.action(self.uses(step))
        return found if found else None

    def below(self, *path: str | int) -> Iterator[Site]:
        """Every site below a path, that of the path left out."""
        for other, site in self.sites.items():
            if len(other) > len(path) and other[: len(path)] == path:
                yield site

    def matching(self, *pattern: str) -> Iterator[Site]:
        """The sites whose paths have this form; ``*`` stands for any key or index."""
        for path, site in self.sites.items():
            if len(path) == len(pattern) and all(part in ("*", key) for part, key in zip(pattern, path, strict=True)):
                yield site

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """Every reference, in the order of the text."""
        return tuple(
            Reference(
                site,
                (found["root"], site.start + found.start("root")),
                tuple(
                    (part[1], site.start + part.start(1))
                    for part in _PART.finditer(self.raw(site), *found.span("rest"))
                ),
            )
            for site in self.sites.values()
            if site.kind == "scalar" and "${{" in self.raw(site)
            for found in _REFERENCE.finditer(self.raw(site))
        )

    def reads(self, step: str) -> set[str]:
        """The steps that a step must wait for, directly."""
        path = self.steps[step]
        read = {ref.parts[0][0] for ref in self.references if ref.site.path[:2] == path and ref.root[0] == "steps"}
        return read | set(self.value(path).get("needs", ()))

    def upstream(self, step: str) -> set[str]:
        """The steps that a step must wait for, with theirs."""
        found: set[str] = set()
        waiting = [step]
        while waiting:
            new = self.reads(waiting.pop()) - found
            found |= new
            waiting += new
        return found


def plain(text: str) -> Any:
    """What a text says, as YAML 1.2."""
    found, problems = document.read(text, "")
    assert found is not None, problems
    return found.data


PLACES = """
  database: {connections: {warehouse: {url: "sqlite:///data/shop.db", read_only: false}}}
  great_expectations: {datasources: {warehouse: {type: sqlite, path: data/shop.db}}}
  remote:
    locations:
      sales: {kind: https, root: "https://data.example.com/sales"}
      results: {kind: s3, root: bucket/results, read_only: false}
"""
"""What the examples name, for the end of the shipped settings: their last key is ``tools``."""


def specs(workspace: File) -> list[Good]:
    """All good specs, put into ``workspace`` with the files that they read."""
    shutil.copytree(ROOT / "config", workspace / "config", dirs_exist_ok=True)
    shutil.copytree(HERE / "workspace", workspace, dirs_exist_ok=True)
    with (workspace / "config" / "default.yaml").open("a") as settings:
        settings.write(PLACES)
    shipped = [path for path in sorted((ROOT / "specs").glob("*.yaml")) if not path.name.endswith(".test.yaml")]
    texts = {f"specs/{path.name}": path.read_text("utf-8") for path in shipped}
    for path in sorted((ROOT / "tests/golden/good").glob("*.yaml")):
        texts[f"specs/golden_{path.name}"] = path.read_text("utf-8")
    for path in sorted((ROOT / "engine/e2i/tools").glob("*/example.yaml")):
        texts[f"specs/{path.parent.name}_example.yaml"] = path.read_text("utf-8")
    for path in sorted((ROOT / "tests/golden/good/parts").glob("*.yaml")):
        texts[f"specs/parts/{path.name}"] = path.read_text("utf-8")
    for path in sorted((HERE / "workspace/specs").rglob("*.yaml")):
        texts[path.relative_to(HERE / "workspace").as_posix()] = path.read_text("utf-8")
    for name, text in texts.items():
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text(text, "utf-8")
    parts: dict[str, Good] = {}
    for name, text in texts.items():
        entry = ENTRIES.get(name.removeprefix("specs/parts/"), name)
        parts[name] = Good(name, text, entry, parts)
    return list(parts.values())


_REFERENCE = re.compile(r"(?<![\w.'\"])(?P<root>steps|params|matrix|env|run)(?P<rest>(?:\.\w+)+)")
_PART = re.compile(r"\.(\w+)")

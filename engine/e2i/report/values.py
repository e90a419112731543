"""Prepare values for a page: texts, cards, pairs and grids, all of bounded size.

In: outputs of steps. Out: values to show. Nothing here is markup: the template escapes every text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, ClassVar

from msgspec import Struct
from pydantic import ValidationError

from e2i.catalog.artifacts import (
    ARTIFACTS,
    Artifact,
    Bento,
    Endpoint,
    FeatureRepo,
    Model,
    ModelVersion,
    Report,
    Service,
    Study,
    Table,
    read_artifacts,
)
from e2i.documents import JsonObject
from e2i.report import links

LONGEST = 4_000
"""Maximum number of characters of one text."""
MOST = 40
"""Maximum number of entries of a mapping, or rows of a grid."""
WIDEST = 8
"""Maximum number of columns of a grid."""
DEEPEST = 3
"""Maximum depth of mappings within mappings; deeper ones are shown as JSON."""


class Text(Struct, frozen=True):
    """A number, a word, a sentence. ``cut`` is the number of omitted characters."""

    kind: ClassVar[str] = "text"
    text: str
    number: bool = False
    cut: int = 0


class Card(Struct, frozen=True):
    """An artifact: type, short digest and main facts. ``url`` is the web address of a service, if there is one."""

    kind: ClassVar[str] = "card"
    type: str
    title: str
    digest: str
    facts: tuple[tuple[str, str], ...]
    columns: tuple[tuple[str, str], ...] = ()
    url: str = ""


class Pairs(Struct, frozen=True):
    """A mapping. ``more`` is the number of omitted entries."""

    kind: ClassVar[str] = "pairs"
    rows: tuple[tuple[str, Shown], ...]
    more: int = 0


class Grid(Struct, frozen=True):
    """A list of flat mappings. ``more`` is the number of omitted rows."""

    kind: ClassVar[str] = "grid"
    headers: tuple[str, ...]
    rows: tuple[tuple[Text, ...], ...]
    more: int = 0


class Raw(Struct, frozen=True):
    """Any other value, as JSON."""

    kind: ClassVar[str] = "raw"
    text: str
    cut: int = 0


Shown = Text | Card | Pairs | Grid | Raw
SENTENCES = 160
"""Longest text, in characters, of the usual width."""


def show(value: Any, depth: int = 0) -> Shown:
    """Returns what to show of a value of plain JSON data."""
    if isinstance(value, dict):
        if (artifact := as_artifact(value)) is not None:
            return _card(artifact)
        if depth < DEEPEST:
            rows = tuple((str(name), show(item, depth + 1)) for name, item in list(value.items())[:MOST])
            return Pairs(rows, max(len(value) - MOST, 0)) if rows else Text("empty")
    elif isinstance(value, list):
        if value and all(isinstance(item, dict) and _is_flat(item) for item in value):
            return _grid(value)
        if all(_is_scalar(item) for item in value):
            return _text(", ".join(scalar(item) for item in value) or "empty")
    else:
        return _text(scalar(value), number=_is_number(value))
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return Raw(text[:LONGEST], max(len(text) - LONGEST, 0))


def is_wide(shown: Shown) -> bool:
    """Returns True for values that need the width of the page: grids, JSON, long texts, mappings of more than texts."""
    match shown:
        case Grid() | Raw():
            return True
        case Text(text):
            return len(text) > SENTENCES
        case Pairs(rows):
            return any(not isinstance(item, Text) for _, item in rows)
    return False


def artifacts(value: Any) -> Iterator[Artifact]:
    """Yields every artifact in plain data, from the outside inwards."""
    if isinstance(value, dict):
        if (artifact := as_artifact(value)) is not None:
            yield artifact
            return
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from artifacts(item)


def as_artifact(value: JsonObject) -> Artifact | None:
    """Returns the artifact that a mapping describes; None for other mappings or those of another version of e2i."""
    if value.get("type") not in ARTIFACTS or "digest" not in value:
        return None
    try:
        found = read_artifacts(value)
    except ValidationError:
        return None
    return found if isinstance(found, Artifact) else None


def numbers(value: Any) -> dict[str, float]:
    """Returns the finite numbers of a mapping, by name; empty for anything else."""
    if not isinstance(value, dict) or value.get("type") in ARTIFACTS:
        return {}
    return {str(name): item for name, item in value.items() if _is_number(item) and math.isfinite(item)}


def scalar(value: Any) -> str:
    """Returns a scalar on one line, with numbers in a readable format."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return number(value)
    return str(value)


def number(value: float, digits: int = 5) -> str:
    """Returns a number with that many significant digits, whole numbers and thousands in full."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if 1e5 <= abs(value) < 1e15 else f"{value:.{digits}g}"


def duration(seconds: float) -> str:
    """``0.3 s``, ``12 s``, ``2 min 05 s``, ``1 h 03 min``."""
    if seconds < 0.095:
        return f"{seconds:.2f} s".replace("0.00 s", "0 s")
    if seconds < 59.95:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if minutes else f"{hours} h"


def short(digest: str) -> str:
    """Returns the first twelve digits of a digest."""
    return digest.rpartition(":")[2][:12]


def _card(artifact: Artifact) -> Card:
    title, url = "", ""
    columns: tuple[tuple[str, str], ...] = ()
    facts: list[tuple[str, str]] = []
    match artifact:
        case Table():
            title = f"{_counted(artifact.rows, 'row')} × {_counted(len(artifact.columns), 'column')}"
            columns = tuple((column.name, column.type) for column in artifact.columns)
        case Model():
            title = f"{artifact.algorithm} {artifact.task}"
            facts = [("target", artifact.target), ("features", f"{len(artifact.features):,}")]
            columns = tuple((name, "") for name in artifact.features)
        case Report():
            title, facts = artifact.title, [("kind", artifact.media_type)]
        case Study():
            title, facts = artifact.name, [("trials", f"{artifact.trials:,}")]
        case FeatureRepo():
            title = artifact.project
            facts = [(view, f"{len(names):,} features") for view, names in sorted(artifact.views.items())[:MOST]]
        case ModelVersion():
            title = f"{artifact.name} version {artifact.version}"
            facts = [("alias", artifact.alias or "none"), ("address", artifact.uri), ("MLflow run", artifact.run)]
        case Bento():
            title, facts = artifact.tag, [("model", short(artifact.model))]
        case Service():
            title, url = artifact.url, links.web(artifact.url)
            facts = [("running", "yes, as process " + str(artifact.pid) if artifact.kept else "stopped with the run")]
        case Endpoint():
            title, url = artifact.name, links.web(artifact.url)
            facts = [("address", artifact.url), ("Bento", artifact.bento), ("share", f"{artifact.share:g} %")]
    return Card(artifact.type.replace("_", " "), title, short(artifact.digest), tuple(facts), columns, url)


def _grid(rows: list[JsonObject]) -> Shown:
    headers = list(dict.fromkeys(str(name) for row in rows for name in row))
    empty = {name for name in headers if all(row.get(name) in (None, "", []) for row in rows)}
    shown = tuple(name for name in headers if name not in empty)[:WIDEST]
    cells = tuple(
        tuple(
            _text("" if row.get(name) is None else scalar(row[name]), 300, number=_is_number(row.get(name)))
            for name in shown
        )
        for row in rows[:MOST]
    )
    return Grid(shown, cells, max(len(rows) - MOST, 0)) if shown else Text("empty")


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _text(text: str, longest: int = LONGEST, *, number: bool = False) -> Text:
    return Text(text[:longest], number, max(len(text) - longest, 0))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


def _is_flat(value: JsonObject) -> bool:
    return all(_is_scalar(item) for item in value.values())

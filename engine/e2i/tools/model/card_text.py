"""Write a model card as Markdown and as a page. In: a card. Out: text, equal for equal cards."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from e2i.estimators.calibrating import Bin
from e2i.tools.model import pages
from e2i.tools.model.pages import between, number


class Described(Struct, frozen=True):
    """The model itself. ``threshold`` and ``calibrated`` are what was done after its training."""

    algorithm: str
    task: str
    target: str
    classes: list[str] | None
    features: list[str]
    params: dict[str, str]
    preparation: list[str]
    requirements: list[str]
    threshold: float | None
    calibrated: bool
    digest: str


class Column(Struct, frozen=True):
    """A column of the training table. ``missing`` is a share, ``span`` its smallest and largest value."""

    name: str
    role: str
    type: str
    missing: float
    distinct: int
    span: str | None


class Data(Struct, frozen=True):
    """The training table."""

    rows: int
    columns: list[Column]


class Figure(Struct, frozen=True):
    """A metric, its interval, and that of a constant answer."""

    name: str
    value: float
    low: float | None
    high: float | None
    constant: float | None


class Sliced(Struct, frozen=True):
    """A metric of a slice."""

    by: str
    value: str
    rows: int
    metric: str
    estimate: float
    low: float | None
    high: float | None


class Calibrated(Struct, frozen=True):
    """How well probabilities are shares: the expected error, and the points of the calibration curve."""

    positive: str
    rows: int
    expected_error: float
    curve: list[Bin]


class Disparity(Struct, frozen=True):
    """How far groups are apart."""

    by: str
    metric: str
    estimate: float
    low: float | None
    high: float | None
    lowest: str
    highest: str


class Card(Struct, frozen=True, kw_only=True):
    """All that a card says; ``card.json`` has these fields."""

    schema_version: int = 1
    intended_use: str
    not_for: list[str]
    limitations: list[str]
    owner: str | None
    model: Described
    data: Data | None
    metrics: list[Figure]
    slices: list[Sliced]
    calibration: Calibrated | None
    errors: str | None
    fairness: list[Disparity]


class Part(Struct, frozen=True):
    """A heading with paragraphs, a list, and a table whose first line is its head."""

    title: str
    paragraphs: Sequence[str] = ()
    items: Sequence[str] = ()
    table: Sequence[Sequence[str]] = ()


def markdown(title: str, card: Card) -> str:
    """Return the card as Markdown. Texts of users cannot end a table or begin markup."""
    lines = [f"# {_escaped(title)}", ""]
    for part in parts(card):
        lines += [f"## {_escaped(part.title)}", ""]
        lines += [line for text in part.paragraphs for line in (_escaped(text), "")]
        lines += [f"- {_escaped(item)}" for item in part.items] + ([""] if part.items else [])
        if part.table:
            head, *rest = part.table
            lines += [_row(head), _row(["---"] * len(head), escape=False), *(_row(line) for line in rest), ""]
    return "\n".join(lines)


def page(title: str, card: Card) -> str:
    """Return the card as one HTML page."""
    body = ""
    for part in parts(card):
        body += pages.heading(part.title) + "".join(pages.paragraph(text) for text in part.paragraphs)
        body += pages.items(part.items) if part.items else ""
        body += pages.table(part.table[0], part.table[1:]) if part.table else ""
    return pages.document(title, body)


def parts(card: Card) -> Iterator[Part]:
    """Yield the parts that have something to say, in order."""
    yield Part("Intended use", [card.intended_use, *([f"Questions: {card.owner}"] if card.owner else [])])
    if card.not_for:
        yield Part("Not for", items=card.not_for)
    if card.limitations:
        yield Part("Limitations", items=card.limitations)
    yield _model(card.model)
    if card.data is not None:
        yield _data(card.data)
    if card.metrics:
        yield _metrics(card.metrics)
    yield from _slices(card.slices)
    if card.calibration is not None:
        yield _calibration(card.calibration)
    if card.errors is not None:
        yield Part("Where it is wrong", [card.errors])
    if card.fairness:
        yield _fairness(card.fairness)


def _model(model: Described) -> Part:
    facts = [
        f"{model.algorithm}, {model.task} of {model.target}"
        + ("" if model.classes is None else f" with the classes {', '.join(model.classes)}"),
        f"Features: {', '.join(model.features)}",
    ]
    if model.preparation:
        facts.append(f"Preparation: {', '.join(model.preparation)}")
    if model.params:
        facts.append(f"Parameters: {', '.join(f'{name} = {value}' for name, value in sorted(model.params.items()))}")
    if model.calibrated:
        facts.append("Its probabilities were calibrated after training")
    if model.threshold is not None:
        facts.append(f"Positive from a probability of {model.threshold:g}")
    return Part("Model", items=[*facts, f"Libraries: {', '.join(model.requirements)}", f"Digest: {model.digest}"])


def _data(data: Data) -> Part:
    head = ("column", "role", "type", "missing", "distinct", "range")
    lines = [
        (one.name, one.role, one.type, f"{one.missing:.1%}", f"{one.distinct:,}", one.span or "–")
        for one in data.columns
    ]
    return Part("Training data", [f"{data.rows:,} rows."], table=[head, *lines])


def _metrics(found: Sequence[Figure]) -> Part:
    head = ("metric", "value", "interval", "constant answer")
    lines = [(one.name, number(one.value), between(_bounds(one.low, one.high)), number(one.constant)) for one in found]
    return Part("Metrics", ["On rows that the model was not trained on."], table=[head, *lines])


def _fairness(found: Sequence[Disparity]) -> Part:
    head = ("by", "disparity", "value", "interval", "lowest", "highest")
    lines = [
        (
            *(one.by, one.metric, number(one.estimate), between(_bounds(one.low, one.high))),
            *(one.lowest, one.highest),
        )
        for one in found
    ]
    return Part("Fairness", table=[head, *lines])


def _slices(slices: Sequence[Sliced]) -> Iterator[Part]:
    for by in dict.fromkeys(one.by for one in slices):
        lines = [
            (one.value, f"{one.rows:,}", one.metric, number(one.estimate), between(_bounds(one.low, one.high)))
            for one in slices
            if one.by == by
        ]
        yield Part(f"By {by}", table=[("value", "rows", "metric", "estimate", "interval"), *lines])


def _calibration(found: Calibrated) -> Part:
    text = (
        f"Expected calibration error {found.expected_error:.3g} on {found.rows:,} rows; probabilities are of "
        f"{found.positive}."
    )
    head = ("predicted", "observed", "95% band", "rows")
    lines = [
        (number(one.predicted), number(one.observed), between((one.low, one.high)), f"{one.rows:,}")
        for one in found.curve
    ]
    return Part("Calibration", [text], table=[head, *lines])


def _bounds(low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None else (low, high)


def _row(cells: Sequence[str], *, escape: bool = True) -> str:
    return "| " + " | ".join(_escaped(cell) if escape else cell for cell in cells) + " |"


def _escaped(text: str) -> str:
    """Return one line of text in which nothing is markup."""
    line = re.sub(r"([\\`*_{}\[\]<>#|~!])", r"\\\1", " ".join(text.split()))
    return re.sub(r"^([0-9]*)([-+=.)])(?=[-= ]|$)", r"\1\\\2", line)  # no list, and no underline of the line before

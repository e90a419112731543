"""Render a run as one HTML page that loads nothing and runs no script.

In: a past run and its artifacts. Out: the page. Jinja escapes everything recorded, and a content policy in
the page forbids requests, scripts and foreign styles.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from e2i import __version__
from e2i.records import one_row
from e2i.records.past import PastRun
from e2i.report import graph, links, measures, origin, pictures, registered, reproduce, steps, timeline, values
from e2i.report.pictures import OpenArtifact
from e2i.spec.models import PipelineSpec
from e2i.store import names
from e2i.store.past import RecordedRun

DECEPTIVE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
"""Characters that a browser drops, or that change how a text appears."""
BLANK = re.compile(r"\n\s*\n")
"""What separates paragraphs. Other ends of lines are those of the spec's own width."""
SIGNS = {
    "succeeded": "✓",
    "reused": "=",
    "failed": "✗",
    "skipped": "–",
    "deferred": "?",
    "cancelled": "×",
    "interrupted": "×",
    "running": "▸",
    "pending": "·",
}


def build(past: PastRun, open_artifact: OpenArtifact, folder: Path | None = None) -> str:
    """Returns the page for a run, as ``records.lookup.run`` returns it. Equal input produces equal text.

    ``open_artifact`` returns the file or folder of a stored artifact, or raises E2IError. ``folder`` is where the page
    will be written: links to pages of the store are relative to it. Without it there are no links.
    """
    run, spec = past.run, steps.read_spec(past.run)
    found = steps.of(past, spec)
    chart = timeline.build(found, run.started_ms, run.ended_ms)
    style, policy = _style()
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            style=style,
            policy=policy,
            version=__version__,
            run=run,
            spec=spec,
            steps=found,
            counts=_counts(found),
            seconds=_seconds(run),
            work=sum(step.seconds or 0.0 for step in found),
            params=_params(run, spec),
            outputs=[
                (name, values.show(one_row.of(value, open_artifact) or value))
                for name, value in (run.outputs or {}).items()
            ],
            failures=[(step, _details(step), _log(step, folder)) for step in found if step.error],
            chart=chart,
            chained={step.id for step in chart.chain.steps} if chart and chart.chain else set(),
            graph=graph.draw(found),
            questions=registered.of(past, found),
            bound=run.options.bound is True,
            metrics=measures.metrics(found),
            importances=measures.importances(found),
            gallery=pictures.gallery(found, open_artifact, folder),
            commands=reproduce.commands(run, finished=run.status == "succeeded"),
            origin=origin.of(run, found, folder),
            spec_pieces=list(reproduce.pieces(run.spec)),
        )
    )


def _name(text: object) -> Markup:
    """Returns a name that may be broken behind its ``_`` and dots, so that words stay whole."""
    return Markup(re.sub(r"([_./])(?=\w)", r"\1<wbr>", str(escape(_visible(str(text))))))


def environment() -> Environment:
    """Returns the templates of this package: everything is escaped, an unknown name is an error."""
    environment = Environment(
        loader=PackageLoader("e2i.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "name": _name,
        "duration": values.duration,
        "short": values.short,
        "show": values.show,
        "is_wide": values.is_wide,
        "moment": _moment,
        "safe_href": links.safe,
        "web": links.web,
        "sign": lambda status: SIGNS.get(status, "·"),
        "paragraphs": lambda text: "\n\n".join(" ".join(part.split()) for part in BLANK.split(text.strip())),
        "percent": lambda value: f"{value:.3f}%",
    }
    return environment


def _visible(value: Any) -> Any:
    """Escapes deceptive characters in every value that a template prints."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return DECEPTIVE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), value.replace("\r\n", "\n"))


def _style() -> tuple[Markup, str]:
    """Returns the style sheet, and the content policy that allows only the style sheet and pictures inside the page."""
    style = (Path(__file__).parent / "report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    return Markup(style), policy


def _counts(found: tuple[steps.Step, ...]) -> list[tuple[str, int]]:
    """Returns the number of steps in each status, the good ones first."""
    counts = Counter(step.status for step in found)
    order = [*steps.GOOD, *steps.ATTENTION]
    return sorted(counts.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order))


def _params(run: RecordedRun, spec: PipelineSpec | None) -> list[tuple[str, values.Shown, str, bool]]:
    """Returns name, value, description, and whether the value differs from the spec's default."""
    declared = spec.params if spec else {}
    return [
        (
            name,
            values.show(value),
            declared[name].description if name in declared else "",
            name in declared and not declared[name].required and declared[name].default != value,
        )
        for name, value in run.params.items()
    ]


def _details(step: steps.Step) -> values.Shown | None:
    details = step.error.details if step.error else None
    return None if details in (None, {}, []) else values.show(details)


def _log(step: steps.Step, folder: Path | None) -> str:
    """Returns a link to the log of a step, when the page will be in the run's own folder."""
    return links.to_file(folder / "logs" / f"{names.of_step(step.id)}.log", folder) if folder else ""


def _seconds(run: RecordedRun) -> float | None:
    """Returns the duration of the run without its pauses; None while it is running."""
    if not run.ended_ms:
        return None
    return max(0, int(run.ended_ms - run.started_ms - run.paused_ms)) / 1000


def _moment(milliseconds: int | None) -> str:
    return "" if milliseconds is None else f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"

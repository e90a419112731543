"""Describe the features of rows, and what drifted. In: rows, a reference, limits. Out: figures, a table, a page.

The page needs nothing beside it: its pictures are SVG in the text.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from e2i.catalog.artifacts import Report
from e2i.errors import StepError
from e2i.spec.suggest import hint
from e2i.tools.feast import Period, StatisticsParams
from e2i.tools.feast import statistics as numbers
from e2i.tools.feast.columns import FIGURES

ARROW = {"string": pa.string(), "int64": pa.int64(), "double": pa.float64(), "bool": pa.bool_()}
QUANTILES = {f"q{round(share * 100):02d}": str(share) for share in numbers.QUANTILES}
WIDTH, HEIGHT = 300, 90
"""Size of a histogram, in pixels."""
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;border-bottom:1px solid #ddd;text-align:right}"
    "td:first-child,th:first-child{text-align:left}.bad{color:#a13}.now{fill:#4477aa}.then{fill:none;stroke:#cc8844}"
    "figure{display:inline-block;margin:1rem 1rem 0 0}figcaption{font-size:.85rem}"
)


class Feature(Struct, frozen=True):
    """The figures of one feature (see ``statistics.describe``), and how far it drifted; None without a reference."""

    name: str
    figures: Mapping[str, Any]
    psi: float | None
    ks: float | None
    ks_p_value: float | None
    drifted: bool
    then: Sequence[float] = ()
    """Shares of the reference in the bins of the histogram."""


class Found(Struct, frozen=True):
    """The figures of all features."""

    features: Sequence[Feature]
    rows: int
    reference: int | None


def of(params: StatisticsParams, rows: pa.Table, time: str | None, reference: pa.Table | None, what: str) -> Found:
    """Return the figures of rows, and their drift. ``time`` is the column of periods. Raises StepError."""
    plain = [field.name for field in rows.schema if field.name != time and not pa.types.is_nested(field.type)]
    wanted = list(params.features) if params.features else plain
    _present(rows, [*wanted, *([time] if time else [])], what)
    if nested := [name for name in wanted if pa.types.is_nested(rows.schema.field(name).type)]:
        raise StepError(
            f"column {nested[0]!r} has lists or mappings, which have no figures",
            code="bad-feature",
            hint="leave it out of `features`",
        )
    before = _within(rows, time, params.reference_period) if params.reference_period else reference
    now = _within(rows, time, params.period)
    if before is not None and not any(name in before.column_names for name in wanted):
        raise StepError(
            f"the reference has none of the features of {what}",
            code="unknown-feature",
            hint=f"features: {', '.join(wanted[:20])}",
        )
    features = [_feature(params, name, now, before) for name in wanted]
    return Found(features, now.num_rows, None if before is None else before.num_rows)


def as_table(found: Found) -> pa.Table:
    """Return one row for each feature, in the columns of ``FIGURES``."""
    lines = [_line(feature) for feature in found.features]
    schema = pa.schema([(name, ARROW[str(kind)]) for name, kind in FIGURES.items()])
    return pa.Table.from_pylist(lines, schema=schema)


def drift_error(found: Found, report: Report) -> StepError:
    """Return the error that fails the step."""
    drifted = [feature for feature in found.features if feature.drifted]
    facts = [f"{one.name} (PSI {_shown(one.psi)}, KS {_shown(one.ks)})" for one in drifted]
    return StepError(
        f"{len(drifted)} of {len(found.features)} features drifted: {', '.join(facts[:10])}",
        code="feature-drift",
        hint="see the report in the details; train again, raise the limit, or set on_drift: warn",
        details={
            "drifted": {one.name: {"psi": one.psi, "ks": one.ks, "ks_p_value": one.ks_p_value} for one in drifted},
            "report": report.model_dump(mode="json"),
        },
    )


def write(folder: Path, what: str, found: Found) -> Path:
    """Write the page and return its folder. Equal figures give equal bytes."""
    folder.mkdir(parents=True)
    against = "" if found.reference is None else f", against {found.reference:,} rows of the reference"
    title = html.escape(f"Features of {what}")
    head = "".join(f"<th>{name}</th>" for name in FIGURES)
    lines = "".join(_row(feature) for feature in found.features)
    pictures = "".join(_picture(feature) for feature in found.features)
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"<h1>{title}</h1><p>{found.rows:,} rows{against}.</p><table><tr>{head}</tr>{lines}</table>{pictures}</html>\n"
    )
    (folder / "index.html").write_text(page, encoding="utf-8")
    return folder


def _feature(params: StatisticsParams, name: str, now: pa.Table, before: pa.Table | None) -> Feature:
    column = _plain(now[name])
    figures = numbers.describe(column)
    if before is None or name not in before.column_names:
        return Feature(name, figures, None, None, None, False)
    base = _plain(before[name])
    if numbers.is_text(column.type) != numbers.is_text(base.type):
        raise StepError(
            f"feature {name!r} is {column.type}, and {base.type} in the reference",
            code="bad-feature",
            hint="give it the same type on both sides, or leave it out of `features`",
        )
    drift = numbers.drift(column, base)
    one_sided = (len(column) > column.null_count) != (len(base) > base.null_count)
    limits = ((params.max_psi, drift["psi"]), (params.max_ks, drift["ks"]))
    beyond = any(most is not None and (one_sided or (found or 0.0) > most) for most, found in limits)
    return Feature(
        name, figures, drift["psi"], drift["ks"], drift["ks_p_value"], beyond, _shares(figures["histogram"], base)
    )


def _shares(histogram: Mapping[str, Any], base: pa.ChunkedArray) -> list[float]:
    """Return the shares of the reference's values in the bins of a histogram."""
    if "edges" in histogram:
        counts = np.histogram(numbers.numbers(base), histogram["edges"])[0].tolist()
    else:
        texts = base.cast(pa.string())
        counts = [pc.sum(pc.equal(texts, value)).as_py() or 0 for value in histogram["values"]]
    whole = len(base) - base.null_count
    return [count / whole if whole else 0.0 for count in counts]


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column without dictionaries."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _within(rows: pa.Table, time: str | None, period: Period | None) -> pa.Table:
    """Return the rows of a period. Rows without a time are in none. Raises StepError for a column of other values."""
    if period is None or time is None:
        return rows
    kind = rows.schema.field(time).type
    if not pa.types.is_timestamp(kind):
        raise StepError(
            f"column {time!r} is {kind}, not a timestamp",
            code="not-a-timestamp",
            hint="parse it as a timestamp when the table is loaded",
        )
    times = rows[time].cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.timestamp("us", "UTC"))
    inside = times.is_valid()
    for end, holds in ((period.start, pc.greater_equal), (period.end, pc.less_equal)):
        if isinstance(end, datetime):
            inside = pc.and_(inside, pc.fill_null(holds(times, pa.scalar(end, pa.timestamp("us", "UTC"))), False))
    return rows.filter(inside)


def _present(rows: pa.Table, columns: Sequence[str], what: str) -> None:
    for name in columns:
        if name not in rows.column_names:
            raise StepError(
                f"{what} has no column {name!r}", code="missing-column", hint=hint(name, rows.column_names, most=20)
            )


def _line(feature: Feature) -> dict[str, Any]:
    figures = feature.figures
    quantiles = figures["quantiles"] or {}
    return {
        "feature": feature.name,
        **{name: figures[name] for name in ("count", "nulls", "distinct", "mean", "deviation", "min", "max")},
        **{name: quantiles.get(share) for name, share in QUANTILES.items()},
        "psi": feature.psi,
        "ks": feature.ks,
        "ks_p_value": feature.ks_p_value,
        "drifted": feature.drifted,
    }


def _row(feature: Feature) -> str:
    line = _line(feature)
    cells = "".join(f"<td>{html.escape(_shown(line[name]))}</td>" for name in FIGURES)
    return f'<tr class="{"bad" if feature.drifted else ""}">{cells}</tr>'


def _picture(feature: Feature) -> str:
    """Return a histogram: bars of the rows, outlines of the reference, both as shares."""
    histogram = feature.figures["histogram"]
    counts = histogram["counts"]
    whole = sum(counts) or 1
    shares = [count / whole for count in counts]
    top = max([*shares, *feature.then, 1e-9])
    bars = "".join(_bar(index, share / top, len(shares), "now") for index, share in enumerate(shares))
    bars += "".join(_bar(index, share / top, len(shares), "then") for index, share in enumerate(feature.then))
    ends = histogram.get("edges") or histogram["values"]
    span = f"{_shown(ends[0])} … {_shown(ends[-1])}" if ends else "no values"
    caption = html.escape(f"{feature.name}: {span}")
    return (
        f'<figure><svg width="{WIDTH}" height="{HEIGHT}" role="img"><title>{caption}</title>{bars}</svg>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _bar(index: int, height: float, bars: int, kind: str) -> str:
    width, tall = WIDTH / max(bars, 1), height * (HEIGHT - 2)
    place = f'x="{index * width:.1f}" y="{HEIGHT - tall:.1f}" width="{width - 1:.1f}" height="{tall:.1f}"'
    return f'<rect class="{kind}" {place}/>'


def _shown(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)

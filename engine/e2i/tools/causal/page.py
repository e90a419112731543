"""Render the page of an estimate. In: the estimate and what it rests on. Out: one HTML page with embedded plots."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from e2i.tools.causal import EstimateParams, drawing, model_of
from e2i.tools.causal.basics import Estimate

if TYPE_CHECKING:
    from e2i.tools.causal.estimation import Estimated
    from e2i.tools.causal.levels import LevelEffect

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.2rem .9rem .2rem 0;text-align:left;border-bottom:1px solid #ddd}"
    "td+td,th+th{text-align:right;font-variant-numeric:tabular-nums}img{max-width:100%}"
    ".answer{font-size:1.15rem;background:#eef3f8;border-left:.3rem solid #4477aa;padding:.6rem 1rem}"
    ".notes{background:#fff6e5;border-left:.3rem solid #e0a030;padding:.6rem 1rem .6rem 2rem}"
)
NAMES = {
    "ATE": "average effect on all rows (ATE)",
    "ATT": "average effect on treated rows (ATT)",
    "weighted": "by propensity weights alone",
    "naive": "difference without adjustment",
}


def render(shown: Estimated, by_level: Sequence[LevelEffect]) -> str:
    """Return the page. Equal input gives equal text."""
    body = [
        notes(shown.warnings),
        f'<p class="answer">{html.escape(answer(shown))} {html.escape(overturned(shown))}</p>',
        estimates({NAMES[name]: one for name, one in shown.averages.items()}, shown.params.level),
        _levels(shown, by_level),
        f"<h2>What it rests on</h2>{_assumptions(shown)}",
        f'<img alt="Overlap, balance and effects by row" src="{drawing.draw(shown)}">',
        _overlap(shown),
        _graph(shown.params),
        f"<p>Estimator: {html.escape(_method(shown.params))}.</p>",
    ]
    return document(title(shown.params), body)


def document(title: str, body: Iterable[str]) -> str:
    """Return a page of a title and parts that are HTML already."""
    name = html.escape(title)
    head = f'<meta charset="utf-8"><title>{name}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{name}</h1>{"".join(body)}</body></html>\n'


def notes(warnings: Iterable[str]) -> str:
    """Return warnings as a list; nothing without any."""
    lines = "".join(f"<li>{html.escape(warning)}</li>" for warning in warnings)
    return f'<ul class="notes">{lines}</ul>' if lines else ""


def estimates(found: Mapping[str, Estimate], level: float) -> str:
    """Return named estimates as a table."""
    lines = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{one.value:.4g}</td><td>{one.low:.4g} to {one.high:.4g}</td>"
        f"<td>{one.standard_error:.2g}</td></tr>"
        for name, one in found.items()
    )
    heads = ("", "estimate", f"{level:.0%} interval", "standard error")
    return f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{lines}</table>"


def title(params: EstimateParams) -> str:
    """Return the title of the page."""
    return f"Effect of {params.treatment} on {params.outcome}"


def answer(shown: Estimated) -> str:
    """Return the result as two or three sentences for a reader who decides by it."""
    params, found = shown.params, shown.effect
    asked = shown.question
    unit = f"one unit more of {params.treatment}" if params.continuous else f"{params.treatment}"
    if not params.continuous and {asked.control, asked.treated} != {0, 1}:
        unit += f" = {asked.treated}, instead of {asked.control},"
    where = "in all rows" if params.estimand == "ATE" else "in the treated rows"
    sign = "raises" if found.value > 0 else "lowers"
    first = f"On average {where}, {unit} {sign} {params.outcome} by {abs(found.value):.3g}"
    first += f" ({params.level:.0%} interval {found.low:.3g} to {found.high:.3g})."
    if found.low <= 0 <= found.high:
        first += " The interval contains 0: these rows do not show that it changes anything."
    naive = shown.averages["naive"].value
    return f"{first} Without adjustment the difference is {naive:.3g}."


def overturned(shown: Estimated) -> str:
    """Return how strong an unmeasured cause would have to be to reduce the effect to 0; empty with an instrument."""
    from e2i.tools.causal import estimation, refuting

    if shown.params.instrument is not None:
        return ""
    strength = refuting.robustness_value(*estimation.residuals(shown))
    spread = float(shown.question.outcome.std())
    ratio = refuting.e_value(shown.effect.value / spread if spread else 0.0)
    return (
        f"What would overturn it: an unmeasured cause that explains {strength:.1%} of what is left of both treatment "
        "and outcome (robustness value, Cinelli and Hazlett 2020), or that has a risk ratio of "
        f"{ratio:.2f} with both (E-value, VanderWeele and Ding 2017)."
    )


def _levels(shown: Estimated, found: Sequence[LevelEffect]) -> str:
    """Return the effects of the values of a treatment as a table; nothing for one of them."""
    if not shown.params.each_level:
        return ""
    control = shown.rows.control
    lines = {f"{one.level} ({one.rows:,} rows), against {control}": one.effect for one in found}
    return f"<h2>Each value of {html.escape(shown.params.treatment)}</h2>{estimates(lines, shown.params.level)}"


def _graph(params: EstimateParams) -> str:
    """Return the causal graph as a picture, and what follows from it."""
    if not params.graph:
        return ""
    from e2i.tools.causal import graph, graph_picture

    picture = graph_picture.draw(graph.read(params.graph, params.unmeasured), params)
    lines = html.escape("; ".join(params.graph))
    return (
        f'<h2>The causal graph</h2><img alt="Causal graph" src="{picture}"><p>Given: {lines}. Blue: adjusted for, '
        "which by this graph closes every path between treatment and outcome but the effect (back-door criterion, "
        "Pearl 2009). Dashed: unmeasured. The data cannot show that the graph is right.</p>"
    )


def _assumptions(shown: Estimated) -> str:
    """Return what must hold for the estimate to be an effect, of which the data can show only a part."""
    params = shown.params
    columns = ", ".join(dict.fromkeys((*params.effect_modifiers, *params.confounders))) or "nothing"
    if params.instrument is not None:
        return _instrument(shown, columns)
    said = [
        f"Adjusted for: {columns}. It is assumed that no further cause is common to {params.treatment} and "
        f"{params.outcome}. The data cannot show this; causal.refute says how strong such a cause would have to be.",
        "It is assumed that every row could have got another treatment (overlap); the picture shows how far it holds.",
        "It is assumed that one row's treatment does not change another row's outcome.",
    ]
    if params.group is not None:
        said.append(f"Rows of one {params.group} may be alike; the interval allows for it.")
    return "<ul>" + "".join(f"<li>{html.escape(one)}</li>" for one in said) + "</ul>"


def _instrument(shown: Estimated, columns: str) -> str:
    """Return what must hold for an estimate by an instrument."""
    params = shown.params
    said = [
        f"Given {columns}, {params.instrument} is as good as random and changes {params.outcome} only through "
        f"{params.treatment}. No data can show this.",
        f"{params.instrument} changes {params.treatment}: F of the first stage is {shown.first_stage or 0:.1f} (weak "
        "below 10, Stock and Yogo 2005).",
        "Where the effect differs between rows, the estimate weighs most those whose treatment the instrument changes "
        "(Imbens and Angrist 1994); it takes for granted that the modifiers describe how it differs.",
    ]
    return "<ul>" + "".join(f"<li>{html.escape(one)}</li>" for one in said) + "</ul>"


def _overlap(shown: Estimated) -> str:
    found = shown.overlap
    if found is None:
        return f"<p>{shown.question.rows:,} rows.</p>"
    return (
        f"<p>{shown.rows.rows:,} rows, {found.trimmed:,} of them left out. Propensities from {found.lowest:.3f} to "
        f"{found.highest:.3f}; {found.outside:.1%} outside the bounds. After weighting the treated rows count as "
        f"{found.effective_treated:,.0f}, the others as {found.effective_control:,.0f}.</p>"
    )


def _method(params: EstimateParams) -> str:
    outcome, treatment = model_of(params.outcome_model), model_of(params.treatment_model)
    models = f"outcome by {outcome.algorithm}, treatment by {treatment.algorithm}"
    fitted = f"cross-fitted in {params.folds} parts" if params.folds > 1 else "fitted to all rows"
    average = "doubly robust average" if params.average == "doubly_robust" else "average by propensity weights"
    return f"{params.estimator}; {models}; {fitted}; {average}"

"""Write the page of a search. In: its trials. Out: a folder with one HTML page and its plots."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from e2i.tools.optuna.choosing import Goals
from e2i.tools.optuna.search import Plan

ENTRY = "index.html"
SHOWN = 50
"""Most trials of the front that are listed."""
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.2rem .9rem .2rem 0;border-bottom:1px solid #ddd;text-align:left}"
    "tr.chosen{font-weight:bold}img{max-width:100%}"
)


class Found(Struct, frozen=True, eq=False):
    """A finished search. ``front`` are the trials that no other one dominates; ``best`` is the chosen one of them."""

    title: str
    trials: Sequence[Any]
    best: Any
    front: Sequence[Any]
    sought: Goals
    plan: Plan

    @property
    def completed(self) -> list[Any]:
        """The trials that have values."""
        return [trial for trial in self.trials if trial.state.name == "COMPLETE"]


def write(folder: Path, found: Found, *, plots: bool) -> Path:
    """Write the page and return its folder. Equal input gives equal bytes."""
    from e2i.tools.optuna import plots as drawing

    folder.mkdir(parents=True)
    pictures = drawing.write(folder, found) if plots else []
    shown = "".join(f'<h2>{html.escape(caption)}</h2><img alt="" src="{name}">' for name, caption in pictures)
    head = f'<meta charset="utf-8"><title>{html.escape(found.title)}</title><style>{STYLE}</style>'
    body = f"<h1>{html.escape(found.title)}</h1><p>{html.escape(_summary(found))}</p>{_best(found)}{_front(found)}"
    (folder / ENTRY).write_text(f'<!doctype html><html lang="en">{head}{body}{shown}</html>\n', encoding="utf-8")
    return folder


def _summary(found: Found) -> str:
    states = [trial.state.name.lower() for trial in found.trials]
    counts = ", ".join(
        f"{states.count(state)} {name}"
        for state, name in (("complete", "completed"), ("pruned", "pruned"), ("fail", "failed"))
        if state in states
    )
    goals = ", ".join(f"{way} {name}" for name, way in zip(found.sought.names, found.sought.directions, strict=True))
    pruner = "" if found.plan.pruner == "none" else f", pruner {found.plan.pruner}"
    return (
        f"{len(states):,} trials: {counts}. To {goals}. Sampler {found.plan.sampler}{pruner}, seed {found.plan.seed}."
    )


def _best(found: Found) -> str:
    rows = [(name, _text(value)) for name, value in zip(found.sought.names, found.best.values, strict=True)]
    rows += [(name, _text(value)) for name, value in found.best.params.items()]
    cells = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in rows)
    return f"<h2>Best trial: number {found.best.number}</h2><table>{cells}</table>"


def _front(found: Found) -> str:
    if len(found.sought.names) == 1:
        return ""
    sign = -1.0 if found.sought.directions[0] == "maximize" else 1.0
    ranked = sorted(found.front, key=lambda trial: sign * trial.values[0])
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("trial", *found.sought.names, *found.plan.space))
    rows = []
    for trial in ranked[:SHOWN]:
        values = [str(trial.number), *map(_text, trial.values)]
        values += [_text(trial.params[name]) if name in trial.params else "" for name in found.plan.space]
        chosen = ' class="chosen"' if trial.number == found.best.number else ""
        rows.append(f"<tr{chosen}>" + "".join(f"<td>{html.escape(value)}</td>" for value in values) + "</tr>")
    more = f"<p>… and {len(ranked) - SHOWN} more</p>" if len(ranked) > SHOWN else ""
    return f"<h2>Pareto front</h2><table><tr>{head}</tr>{''.join(rows)}</table>{more}"


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)

"""Draw the plots of a search. In: its trials. Out: PNG files.

Optuna's own plots need plotly, or pyplot's global figures; these are drawn on figures of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2i.estimators.space import Choices, Dimension

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix
    from e2i.tools.optuna.report import Found

SLICES = 6
"""Most parameters with a slice, the most important ones."""
CONTOURS = 3
"""Most important parameters that each have a contour with each other."""
MARGINS = {"left": 0.1, "right": 0.97, "bottom": 0.14, "top": 0.96, "wspace": 0.3, "hspace": 0.45}
"""Positions of the plots, as fractions. Letting matplotlib compute them takes as long as drawing."""
LINES = 200
"""Most trials in parallel coordinates: the best ones."""
TICKS = 12
"""Most choices that are written beside an axis."""
IMPORTANCE_TRIALS = 1000
"""Most trials that importances are computed from: the last ones. The forest that does it takes seconds for more."""


def write(folder: Path, found: Found) -> list[tuple[str, str]]:
    """Save the plots and return their names and captions. Those that need more trials than there are, are left out."""
    pictures: list[tuple[str, str]] = []
    names = found.sought.names

    def picture(name: str, caption: str, draw: Callable[[Any], Any], size: tuple[float, float] = (8.0, 4.0)) -> None:
        _save(folder / f"{name}.png", draw, size)
        pictures.append((f"{name}.png", caption))

    for one, two in combinations(range(len(names)), 2):
        caption = f"Pareto front of {names[one]} and {names[two]}"
        picture(f"pareto_{one}_{two}", caption, partial(_pareto, found, one, two))
    for position, metric in enumerate(names):
        suffix, of = (f"_{position}", f" of {metric}") if len(names) > 1 else ("", "")
        picture(f"history{suffix}", f"History{of}", partial(_history, found, position))
        shares = importances(found, position)
        if shares:
            size = (8.0, 0.8 + 0.35 * len(shares))
            picture(f"importance{suffix}", f"Importance{of}", partial(_importance, shares), size)
        top = list(shares or found.plan.space)[:SLICES]
        if top:
            draw = partial(_slices, found, position, top)
            picture(f"slices{suffix}", f"Slices{of}", draw, (9.0, 2.6 * -(-len(top) // 2)))
        pairs = [pair for pair in combinations(top[:CONTOURS], 2) if _enough(found, *pair)]
        if pairs:
            draw = partial(_contours, found, position, pairs)
            picture(f"contour{suffix}", f"Contours{of}", draw, (9.0, 3.2 * -(-len(pairs) // 2)))
        if top and len(found.completed) > 1:
            picture(f"parallel{suffix}", f"Parallel coordinates{of}", partial(_parallel, found, position, top))
    return pictures


def importances(found: Found, position: int) -> dict[str, float]:
    """Return the share of each parameter in the variance of a value, largest first: fANOVA (Hutter 2014), by Optuna.

    Empty when there are fewer than 4 completed trials, or all values are equal. A parameter that is not searched in
    every trial has none.
    """
    import optuna

    trials = found.completed[-IMPORTANCE_TRIALS:]
    values = [trial.values[position] for trial in trials]
    always = [name for name in found.plan.space if all(name in trial.params for trial in trials)]
    varied = [name for name in always if len({repr(trial.params[name]) for trial in trials}) > 1]
    if len(trials) < 4 or len(set(values)) < 2 or not varied:
        return {}
    study = optuna.create_study(direction=found.sought.directions[position])
    study.add_trials(
        optuna.trial.create_trial(
            value=value,
            params={name: trial.params[name] for name in varied},
            distributions={name: trial.distributions[name] for name in varied},
        )
        for trial, value in zip(trials, values, strict=True)
    )
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return {
        name: float(share)
        for name, share in optuna.importance.get_param_importances(study, evaluator=evaluator).items()
    }


def _save(path: Path, draw: Callable[[Any], Any], size: tuple[float, float]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    figure.subplots_adjust(**MARGINS)
    draw(figure)
    figure.savefig(path, format="png", dpi=90, metadata={"Software": None})


def _history(found: Found, position: int, figure: Any) -> None:
    import numpy as np

    axes, name = figure.subplots(), found.sought.names[position]
    trials = found.completed
    numbers, values = [trial.number for trial in trials], np.array([trial.values[position] for trial in trials])
    axes.scatter(numbers, values, s=14, label="completed")
    pruned = [trial for trial in found.trials if trial.state.name == "PRUNED" and trial.intermediate_values]
    if pruned and position == found.plan.watched:
        last = [trial.intermediate_values[max(trial.intermediate_values)] for trial in pruned]
        axes.scatter(
            [trial.number for trial in pruned], last, s=14, marker="x", color="grey", label="pruned, last report"
        )
    better = np.maximum if found.sought.directions[position] == "maximize" else np.minimum
    axes.step(numbers, better.accumulate(values), where="post", color="C3", label="best so far")
    axes.set(xlabel="trial", ylabel=name)
    axes.legend(fontsize=8)


def _pareto(found: Found, across: int, up: int, figure: Any) -> None:
    axes = figure.subplots()
    others = [trial for trial in found.completed if trial not in found.front]
    axes.scatter(*_columns(others, across, up), s=14, color="lightgrey", label="dominated")
    ahead = sorted(found.front, key=lambda trial: trial.values[across])
    marks = {"where": "post", "color": "C0", "alpha": 0.4}
    if len(found.sought.names) == 2:
        axes.step(*_columns(ahead, across, up), **marks)
    axes.scatter(*_columns(ahead, across, up), s=20, color="C0", label="front")
    axes.scatter(*_columns([found.best], across, up), s=90, marker="*", color="C3", label="chosen", zorder=3)
    axes.set(xlabel=found.sought.names[across], ylabel=found.sought.names[up])
    axes.legend(fontsize=8)


def _columns(trials: Sequence[Any], across: int, up: int) -> tuple[list[float], list[float]]:
    return [trial.values[across] for trial in trials], [trial.values[up] for trial in trials]


def _importance(shares: dict[str, float], figure: Any) -> None:
    figure.subplots_adjust(left=0.25, bottom=0.5 / (0.8 + 0.35 * len(shares)))
    axes = figure.subplots()
    bars = axes.barh(range(len(shares)), list(shares.values()), height=0.7)
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set_yticks(range(len(shares)), list(shares))
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set(xlabel="share of the variance (fANOVA)")


def _slices(found: Found, position: int, names: Sequence[str], figure: Any) -> None:
    grid = list(figure.subplots(-(-len(names) // 2), 2, squeeze=False).flat)
    for axes in grid[len(names) :]:
        axes.set_visible(False)
    for axes, name in zip(grid, names, strict=False):
        dimension = found.plan.space[name]
        trials = [trial for trial in found.completed if name in trial.params]
        places = [_place(dimension, trial.params[name]) for trial in trials]
        values, numbers = [trial.values[position] for trial in trials], [trial.number for trial in trials]
        points = axes.scatter(places, values, c=numbers, cmap="viridis", s=14)
        _axis(axes.xaxis, axes.set_xscale, dimension)
        axes.set(xlabel=name, ylabel=found.sought.names[position])
        figure.colorbar(points, ax=axes, label="trial")


def _contours(found: Found, position: int, pairs: Sequence[tuple[str, str]], figure: Any) -> None:
    grid = list(figure.subplots(-(-len(pairs) // 2), 2, squeeze=False).flat)
    for axes in grid[len(pairs) :]:
        axes.set_visible(False)
    for axes, (across, up) in zip(grid, pairs, strict=False):
        _contour(found, position, across, up, axes)


def _contour(found: Found, position: int, across: str, up: str, axes: Any) -> None:
    import numpy as np
    from matplotlib.tri import Triangulation

    x, y, values = _surface(found, position, across, up)
    triangles = Triangulation(_unit(x, found.plan.space[across]), _unit(y, found.plan.space[up]))
    triangles.x, triangles.y = np.array(x), np.array(y)  # the triangles in the plane as it is drawn
    filled = axes.tricontourf(triangles, values, levels=12, cmap="viridis")
    axes.scatter(x, y, s=8, color="black")
    _axis(axes.xaxis, axes.set_xscale, found.plan.space[across])
    _axis(axes.yaxis, axes.set_yscale, found.plan.space[up])
    axes.set(xlabel=across, ylabel=up)
    axes.figure.colorbar(filled, ax=axes, label=found.sought.names[position])


def _enough(found: Found, across: str, up: str) -> bool:
    """Return True when there are points for a surface: at least four, and not all on one line."""
    import numpy as np

    x, y, _ = _surface(found, 0, across, up)
    if len(x) < 4:
        return False
    points = np.column_stack([_unit(x, found.plan.space[across]), _unit(y, found.plan.space[up])])
    return bool(np.linalg.matrix_rank(points - points.mean(axis=0), tol=1e-6) == 2)


def _surface(found: Found, position: int, across: str, up: str) -> tuple[list[float], list[float], list[float]]:
    """Return the points of two parameters, each once, and the mean value there."""
    sums: dict[tuple[float, float], list[float]] = {}
    for trial in found.completed:
        if across in trial.params and up in trial.params:
            place = tuple(_place(found.plan.space[name], trial.params[name]) for name in (across, up))
            sums.setdefault((place[0], place[1]), []).append(trial.values[position])
    return [x for x, _ in sums], [y for _, y in sums], [sum(found) / len(found) for found in sums.values()]


def _parallel(found: Found, position: int, names: Sequence[str], figure: Any) -> None:
    """Draw a line for each trial: its parameters from 0 to 1 of their ranges, its value as colour and last axis."""
    import numpy as np
    from matplotlib import colormaps

    sign = -1.0 if found.sought.directions[position] == "maximize" else 1.0
    ranked = sorted(found.completed, key=lambda trial: sign * trial.values[position])[:LINES]
    values = np.array([trial.values[position] for trial in ranked])
    low, high = float(values.min()), float(values.max())
    shares = (values - low) / ((high - low) or 1.0)
    figure.subplots_adjust(bottom=0.22)
    axes = figure.subplots()
    for trial, share in reversed(list(zip(ranked, shares, strict=True))):  # the best on top
        heights = [_height(found.plan.space[name], trial.params.get(name)) for name in names]
        best = share if sign < 0 else 1.0 - share
        color = colormaps["viridis"](float(best))
        axes.plot(range(len(names) + 1), [*heights, share], color=color, alpha=0.25 + 0.6 * float(best), linewidth=1)
    axes.set_xticks(range(len(names) + 1), [*names, found.sought.names[position]], rotation=20, ha="right")
    axes.set_yticks([])
    axes.set_ylim(-0.12, 1.12)
    for place, name in enumerate(names):
        bottom, top = _ends(found.plan.space[name])
        _ends_of(axes, place, bottom, top)
    _ends_of(axes, len(names), f"{low:.4g}", f"{high:.4g}")


def _ends_of(axes: Any, place: int, bottom: str, top: str) -> None:
    axes.axvline(place, ymin=0.1, ymax=0.9, color="grey", linewidth=0.8)
    axes.text(place, -0.03, bottom, ha="center", va="top", fontsize=8)
    axes.text(place, 1.03, top, ha="center", va="bottom", fontsize=8)


def _ends(dimension: Dimension) -> tuple[str, str]:
    if isinstance(dimension, Choices):
        return str(dimension.choices[0])[:16], str(dimension.choices[-1])[:16]
    return f"{dimension.low:.4g}", f"{dimension.high:.4g}"


def _height(dimension: Dimension, value: Any) -> float:
    """Return the position of a value in its range, from 0 to 1; NaN, a gap, where it is not searched."""
    import math

    if value is None and not (isinstance(dimension, Choices) and None in dimension.choices):
        return math.nan
    return float(_unit([_place(dimension, value)], dimension)[0])


def _unit(places: Sequence[float], dimension: Dimension) -> Matrix:
    import numpy as np

    found = np.array(places, dtype=np.float64)
    if isinstance(dimension, Choices):
        return found / max(1, len(dimension.choices) - 1)
    low, high = float(dimension.low), float(dimension.high)
    if dimension.log:
        found, low, high = np.log(found), float(np.log(low)), float(np.log(high))
    scaled: Matrix = (found - low) / ((high - low) or 1.0)
    return scaled


def _place(dimension: Dimension, value: Any) -> float:
    """Return where a value is on its axis: itself, or the position of a choice."""
    if not isinstance(dimension, Choices):
        return float(value)
    return float(next(place for place, choice in enumerate(dimension.choices) if repr(choice) == repr(value)))


def _axis(axis: Any, scale: Callable[[str], Any], dimension: Dimension) -> None:
    if isinstance(dimension, Choices):
        if len(dimension.choices) <= TICKS:
            axis.set_ticks(range(len(dimension.choices)), [str(choice)[:16] for choice in dimension.choices])
    elif dimension.log:
        scale("log")

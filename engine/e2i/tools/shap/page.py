"""Write the page of an explanation. In: an explanation and its rows. Out: a folder with one page and its PNG plots."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2i.tools.shap import plots as draw

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix
    from e2i.tools.shap.tables import Keys
    from e2i.tools.shap.values import Explanation

DEPENDENCES = 3
"""Number of features with a dependence plot."""
WATERFALLS = 5
"""Number of instances with a waterfall."""
ENTRY = "index.html"
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse}td{padding:.2rem .9rem .2rem 0;border-bottom:1px solid #ddd}img{max-width:100%}"
)

Picture = tuple[str, str, Callable[[Any], None]]
"""A plot's name, its caption, and the function that draws it."""


def write(
    folder: Path, title: str, found: Explanation, frame: pd.DataFrame, keys: Keys | None, *, plots: bool
) -> tuple[Path, dict[str, str]]:
    """Write the page and return its folder, and the captions of the plots NAME.png in it by name.

    ``frame`` has the explained rows. Equal input gives equal bytes.
    """
    folder.mkdir(parents=True)
    captions = {}
    for name, caption, drawing in _pictures(found, frame, keys) if plots else ():
        draw.save(folder / f"{name}.png", drawing)
        captions[name] = caption
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{share:.2%}</td></tr>" for name, share in found.importance.items()
    )
    shown = "".join(
        f'<h2>{html.escape(caption)}</h2><img alt="{html.escape(caption)}" src="{name}.png">'
        for name, caption in captions.items()
    )
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    about = f"<h1>{html.escape(title)}</h1><p>{_about(found)}</p>"
    page = f'<!doctype html><html lang="en">{head}{about}<table>{rows}</table>{shown}</html>\n'
    (folder / ENTRY).write_text(page, encoding="utf-8")
    return folder, captions


def _about(found: Explanation) -> str:
    count = len(found.values)
    text = f"SHAP values of {count:,} row{'' if count == 1 else 's'}, in the model's margin, by the explainer "
    text += f"<code>{found.explainer}</code>."
    if found.error is not None:
        text += f" They are estimates: the largest standard error of a value is {float(found.error.max()):.3g}."
    if found.interactions is not None:
        text += f" Interactions are those of {len(found.interactions):,} rows."
    return text


def _pictures(found: Explanation, frame: pd.DataFrame, keys: Keys | None) -> Iterator[Picture]:
    """Yield the plots; with several classes, each has its own."""
    numbers = draw.numbers(frame, found.features)
    for which in range(found.values.shape[2]):
        of_class = "" if found.classes is None else f" of class {found.classes[which]}"
        suffix = "" if found.classes is None else f"_{which}"
        for name, caption, drawing in _of_class(found, frame, numbers, keys, which):
            yield f"{name}{suffix}", f"{caption}{of_class}", drawing


def _of_class(
    found: Explanation, frame: pd.DataFrame, numbers: Matrix, keys: Keys | None, which: int
) -> Iterator[Picture]:
    import numpy as np

    values = found.values[:, :, which]
    sizes = np.abs(values).mean(axis=0)
    order = np.argsort(-sizes, kind="stable")
    first = order[: draw.SHOWN]
    names = [found.features[index] for index in first]
    yield "bar", "Mean absolute value", partial(draw.bars, names, sizes[order])
    yield "beeswarm", "Value of each row", partial(draw.beeswarm, names, values[:, first], numbers[:, first])
    yield from _waterfalls(found, frame, keys, which)
    for rank, name in enumerate(list(found.importance)[:DEPENDENCES], start=1):
        of_feature = values[:, found.features.index(name)]
        yield f"dependence_{rank}", f"Dependence on {name}", partial(draw.dependence, frame[name], of_feature)
    if found.interactions is not None and len(found.features) > 1:
        yield from _interactions(found, frame, numbers, which)


def _waterfalls(found: Explanation, frame: pd.DataFrame, keys: Keys | None, which: int) -> Iterator[Picture]:
    """Yield a waterfall of each named row, or of the row whose margin is farthest from the expected value."""
    import numpy as np

    base = float(found.expected[which])
    farthest = int(np.abs(found.margin[:, which] - base).argmax())
    for rank, place in enumerate(range(min(len(frame), WATERFALLS)) if keys else [farthest], start=1):
        what = "the row farthest from the expected value" if keys is None else f"{keys[0]} {keys[1].iloc[place]}"
        row = frame[found.features].iloc[place].tolist()
        drawing = partial(draw.waterfall, found.features, found.values[place, :, which], row, base)
        yield f"waterfall_{rank}", f"From the expected value to the margin: {what}", drawing


def _interactions(found: Explanation, frame: pd.DataFrame, numbers: Matrix, which: int) -> Iterator[Picture]:
    """Yield a grid of all pairs, and the pair that interacts most."""
    import numpy as np

    assert found.interactions is not None
    whole = found.interactions[..., which]
    sizes = np.abs(whole).mean(axis=0)
    first = np.argsort(-sizes.sum(axis=1), kind="stable")[: draw.PAIRED]
    names = [found.features[index] for index in first]
    yield "interactions", "Interactions", partial(draw.pairs, names, sizes[np.ix_(first, first)])
    beside = np.where(np.eye(len(sizes), dtype=bool), -1.0, sizes)
    one, other = (int(place) for place in np.unravel_index(beside.argmax(), beside.shape))
    some = frame.iloc[: len(whole)]
    yield (
        "interaction_1",
        f"Interaction of {found.features[one]} and {found.features[other]}",
        partial(
            draw.interaction, some[found.features[one]], 2 * whole[:, one, other], numbers[: len(whole), other],
            found.features[other],
        ),
    )  # fmt: skip

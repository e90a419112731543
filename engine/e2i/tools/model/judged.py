"""Open a model and judge a table with it, for every action that does. In: parameters. Out: rows with predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.catalog.artifacts import Model, Report, Table
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators import saved
from e2i.tools.model import evaluation
from e2i.tools.model.evaluation import Judged

if TYPE_CHECKING:
    import pandas as pd


class Opened(Struct, frozen=True, eq=False):
    """A table, its rows with the predictions of a model, and what to tell the user of them."""

    frame: pd.DataFrame
    rows: Judged
    warnings: list[str]


def open_rows(
    model: Model, table: Table, ctx: StepContext, *, positive: Any = None, threshold: float | None = None
) -> Opened:
    """Return the judged rows. Raises StepError when the table does not match the model."""
    scorer = saved.open_model(model, ctx)
    frame = ctx.frame(table)
    rows = evaluation.judge(scorer, frame, model, positive=positive, threshold=threshold)
    return Opened(frame, rows, evaluation.trained_on(model, scorer, frame, ctx))


def refuse_ranking(model: Model, what: str) -> None:
    """Raise StepError for a model of ranking, whose scores only order rows; ``what`` then has no meaning."""
    if model.task == "ranking":
        raise StepError(
            f"{what}, and this is a model of ranking, whose scores only order the rows of a query",
            code="wrong-task",
            hint="judge it by model.evaluate or model.compare",
        )


def keep_page(text: str, title: str, name: str, ctx: StepContext) -> Report:
    """Store one HTML page, and show it in the tracker as ``name``."""
    folder = ctx.scratch / name
    folder.mkdir()
    (folder / "index.html").write_text(text, encoding="utf-8")
    report = ctx.keep(folder, Report, media_type="text/html", title=title, entry="index.html")
    ctx.attach(name, report)
    return report

"""Run ``causal.iv``, and what all designs share. In: parameters. Out: an estimate, its checks, a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import asdict

from e2i.catalog.artifacts import Report, Table
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators import schema
from e2i.tools.causal import adjustment, design_pages, tables
from e2i.tools.causal import iv as instrumental
from e2i.tools.causal.basics import Estimate
from e2i.tools.causal.design_columns import CHECKS
from e2i.tools.causal.designs import IvOutputs, IvParams
from e2i.tools.causal.question import codes, encoded
from e2i.tools.causal.refuting import Check

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix
    from e2i.tools.causal.mediators import FrontDoorParams


def asked_of(params: IvParams | FrontDoorParams, frame: pd.DataFrame) -> adjustment.Asked:
    """Return what the graph of a design is about."""
    names = (params.treatment, params.outcome, (), params.confounders, params.graph, params.unmeasured)
    return adjustment.Asked(*names, list(frame.columns))


def iv(params: IvParams, ctx: StepContext) -> IvOutputs:
    """Estimate the effect by instruments, after looking how strong they are."""
    names = [params.treatment, params.outcome, *params.instruments, *params.confounders, params.group]
    frame = frame_of(ctx, params.table, names)
    if params.graph:
        adjustment.require(adjustment.of_instruments(asked_of(params, frame), params.instruments))
    outcome, treatment = schema.labels(frame, params.outcome, None), schema.labels(frame, params.treatment, None)
    instruments = _matrix([schema.labels(frame, name, None) for name in params.instruments])
    covariates = encoded(frame, params.outcome, list(dict.fromkeys(params.confounders)))[1]
    groups = groups_of(frame, params.group)
    found = instrumental.estimate(outcome, treatment, instruments, covariates, groups, params.level)
    checks = [strength(found.first_stage_f, params.weak)]
    if found.overidentified is not None:
        checks.append(_sargan(*found.overidentified, params.level))
    warnings = judge(checks, params.on_failure, ctx)
    title = f"Effect of {params.treatment} on {params.outcome} by {', '.join(params.instruments)}"
    low, high = found.robust
    if len(params.instruments) == 1:
        shown = f"{low:.3g} to {high:.3g}" if low is not None and high is not None else "without bounds"
        warnings.append(f"interval that holds with weak instruments too (Anderson and Rubin 1949): {shown}")
    rests = [
        f"The instruments change {params.outcome} only through {params.treatment}. No data can show this.",
        "The instruments are as good as random, given the confounders: "
        + (", ".join(params.confounders) or "none")
        + ".",
        "The effect is that on those whom the instruments move (Imbens and Angrist 1994), all in one direction.",
    ]
    picture = design_pages.draw_stages(
        _first(instruments, treatment), treatment, outcome, ("instruments, fitted", params.treatment, params.outcome)
    )
    answer = design_pages.sentence(
        f"One unit more of {params.treatment} changes {params.outcome}", found.effect, params.level
    )
    estimates = {"two-stage least squares": found.effect, "least squares": found.naive}
    content = design_pages.render(title, answer, warnings, estimates, params.level, checks, rests, picture)
    return IvOutputs(
        effect=found.effect,
        naive=found.naive,
        first_stage_f=found.first_stage_f,
        robust_low=low,
        robust_high=high,
        passed=all(one.passed for one in checks),
        checks=kept_checks(checks, ctx),
        report=report(title, content, found.effect, ctx),
    )


def report(title: str, content: str, effect: Estimate, ctx: StepContext) -> Report:
    """Keep the page, and record the effect."""
    for name, value in (("effect", effect.value), ("effect_low", effect.low), ("effect_high", effect.high)):
        ctx.metric(name, value)
    folder = ctx.scratch / "design"
    folder.mkdir()
    (folder / "index.html").write_text(content, encoding="utf-8")
    kept = ctx.keep(folder, Report, media_type="text/html", title=title, entry="index.html")
    ctx.attach("design", kept)
    return kept


def frame_of(ctx: StepContext, table: Table, names: Iterable[str | None]) -> pd.DataFrame:
    """Return the rows. Raises StepError for a column that is not there."""
    from e2i.spec.suggest import few

    frame = ctx.frame(table)
    for name in names:
        if name is not None and name not in frame.columns:
            hint = f"columns: {few([str(column) for column in frame.columns], 40)}"
            raise StepError(f"the table has no column {name!r}", code="unknown-column", hint=hint)
    return frame


def groups_of(frame: pd.DataFrame, group: str | None) -> Matrix:
    import numpy as np

    return np.arange(len(frame)) if group is None else codes(frame[group], group)


def _matrix(columns: Sequence[Matrix]) -> Matrix:
    import numpy as np

    return np.column_stack(columns)


def _first(instruments: Matrix, treatment: Matrix) -> Matrix:
    """Return the treatment as the instruments alone would have it."""
    import numpy as np

    design = np.column_stack([np.ones(len(treatment)), instruments])
    found: Matrix = design @ np.linalg.lstsq(design, treatment, rcond=None)[0]
    return found


def strength(value: float, weak: float, of: str = "the instruments") -> Check:
    """Return whether the first stage is strong enough; ``of`` names what changes the treatment."""
    meaning = f"the F statistic of {of} in the first stage is {value:.1f}"
    if value < weak:
        meaning += (
            ": they are weak, and the estimate leans to that of least squares with an interval that is too narrow"
        )
    return Check("first stage", value, weak, value >= weak, meaning)


def _sargan(value: float, freedom: int, level: float) -> Check:
    from scipy.stats import chi2

    limit = float(chi2.ppf(level, freedom))
    meaning = f"the instruments {'agree' if value <= limit else 'disagree'} about the effect (Sargan 1958: {value:.1f})"
    return Check("overidentification", value, limit, value <= limit, meaning)


def judge(checks: Sequence[Check], on_failure: str, ctx: StepContext) -> list[str]:
    """Fail, or warn, of checks that failed. Returns the warnings for the page."""
    lost = [f"{one.check}: {one.meaning}" for one in checks if not one.passed]
    if lost and on_failure == "fail":
        raise StepError(
            f"the design does not hold: {'; '.join(lost)}",
            code="refuted",
            hint="the estimate would not be an effect; `on_failure: warn` shows it all the same",
        )
    for one in lost:
        ctx.warn(one)
    return lost


def kept_checks(checks: Sequence[Check], ctx: StepContext) -> Table:
    rows: list[Mapping[str, object]] = [asdict(one) for one in checks]
    return ctx.table(tables.table(rows, CHECKS))

"""Make tables of figures, and read the candidates of a comparison. In: figures. Out: Arrow tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from e2i.catalog.artifacts import EffectModel
from e2i.errors import StepError
from e2i.tools.causal.columns import LEVELS
from e2i.tools.causal.judging_columns import CURVE, DECIDED, GROUPS, RANKING, VALUES
from e2i.tools.causal.trust import Combination, Estimated, Figure

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from e2i.estimators.scoring import Matrix
    from e2i.tools.causal.comparing import Compared
    from e2i.tools.causal.levels import LevelEffect
    from e2i.tools.causal.policies import Decided, Valued
    from e2i.tools.causal.validating import Validated

Row = Mapping[str, object]


def table(rows: list[Row], columns: Mapping[str, str]) -> pa.Table:
    """Return rows as a table of these columns and Arrow types."""
    import pyarrow as pa

    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in columns.items()])
    return pa.Table.from_pylist(rows, schema=schema)


def levels(found: list[LevelEffect]) -> pa.Table:
    """Return the effects of the values of a treatment."""
    rows: list[Row] = [
        {
            "level": None if one.level is None else str(one.level),
            "rows": one.rows,
            "effect": one.effect.value,
            "effect_low": one.effect.low,
            "effect_high": one.effect.high,
            "outside": one.outside,
        }
        for one in found
    ]
    return table(rows, LEVELS)


def groups(found: Validated) -> pa.Table:
    """Return the groups of a validation."""
    rows: list[Row] = [
        {
            "group": number,
            "rows": one.rows,
            "predicted": one.predicted,
            "effect": one.effect.value,
            "effect_low": one.effect.low,
            "effect_high": one.effect.high,
        }
        for number, one in enumerate(found.groups, 1)
    ]
    return table(rows, GROUPS)


def curve(found: Validated) -> pa.Table:
    """Return the targeting curve of a validation."""
    rows: list[Row] = [
        {
            "share": point.share,
            "advantage": point.advantage.value,
            "advantage_low": point.advantage.low,
            "advantage_high": point.advantage.high,
            "gain": point.share * point.advantage.value,
        }
        for point in found.curve
    ]
    return table(rows, CURVE)


def ranking(found: list[Compared], estimators: Mapping[str, str]) -> pa.Table:
    """Return the ranking of a comparison."""
    rows: list[Row] = [
        {
            "candidate": one.name,
            "estimator": estimators[one.name],
            "autoc": one.autoc.value,
            "autoc_low": one.autoc.low,
            "autoc_high": one.autoc.high,
            "qini": one.qini.value,
            "slope": None if one.slope is None else one.slope.value,
            "calibration": one.calibration,
            "score": one.score.value,
            "behind": one.behind.value,
            "behind_low": one.behind.low,
            "behind_high": one.behind.high,
        }
        for one in found
    ]
    return table(rows, RANKING)


def values(found: list[Valued]) -> pa.Table:
    """Return the values of policies."""
    rows: list[Row] = [
        {
            "policy": one.policy,
            "treated": one.treated,
            "value": one.value.value,
            "value_low": one.value.low,
            "value_high": one.value.high,
            "advantage": one.advantage.value,
            "advantage_low": one.advantage.low,
            "advantage_high": one.advantage.high,
        }
        for one in found
    ]
    return table(rows, VALUES)


def decisions(kept: pd.DataFrame, effect: Matrix, cost: Matrix, decided: Decided) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the decisions about all rows, and the rows to treat in their order. Raises StepError for taken names."""
    if taken := sorted(set(DECIDED) & set(kept.columns)):
        raise StepError(
            f"the table has a column of the same name as the decisions: {', '.join(taken)}",
            code="duplicate-column",
            hint="list the columns to copy in `keep`, without it",
        )
    found = kept.assign(predicted_effect=effect, cost=cost, rank=decided.rank, treat=decided.treat)
    chosen = found[decided.treat].sort_values("rank").drop(columns="treat").reset_index(drop=True)
    return found, chosen


def below(found: Validated, least: Mapping[Figure, float]) -> list[str]:
    """Return what is to be said of each figure below its threshold: lower bounds where there are some."""
    said = []
    for name, threshold in sorted(least.items()):
        figure = getattr(found, name)
        value = float(getattr(figure, "low", figure))
        if value < threshold:
            bound = "the lower bound of " if hasattr(figure, "low") else ""
            said.append(f"{bound}{name} is {value:.3g}, below {threshold:g}")
    return said


def candidates(
    given: list[Combination] | dict[str, Estimated | EffectModel],
) -> dict[str, EffectModel]:
    """Return the models by name. Raises StepError when a comparison has fewer than two."""
    if isinstance(given, list):
        named = {", ".join(f"{key}={value}" for key, value in one.matrix.items()): one.outputs.model for one in given}
    else:
        named = {name: one.model if isinstance(one, Estimated) else one for name, one in given.items()}
    if len(named) < 2:
        raise StepError(
            f"there is {len(named)} candidate, and a comparison needs two",
            code="other-question",
            hint="give a matrix of causal.estimate, or two models by name",
        )
    return named

"""data.folds: each row in the right role, and no leak."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from context import LocalContext
from e2i.errors import StepError
from e2i.estimators import folding
from e2i.estimators.folding import TEST, TRAIN, Keys, prove
from e2i.tools.data.actions import folds
from e2i.tools.data.folding import FoldsParams

STRATEGIES: dict[str, dict[str, Any]] = {
    "kfold": {},
    "stratified": {"target": "y"},
    "group": {"by": "g"},
    "stratified_group": {"by": "g", "target": "y"},
    "time": {"time": "at"},
    "group_time": {"by": "g", "time": "at"},
}
CASES = [pytest.param(name, seed, marks=pytest.mark.sweep if seed else []) for name in STRATEGIES for seed in range(10)]


def rows(seed: int, count: int = 300) -> pd.DataFrame:
    r = np.random.default_rng(seed)
    groups = r.integers(0, 40, count)
    return pd.DataFrame(
        {
            "g": [f"g{group}" for group in groups],
            "y": (r.random(count) < 0.2).astype(int),
            "at": pd.Timestamp("2025-01-01") + pd.to_timedelta(r.integers(0, 200, count), unit="D"),
        }
    )


def split(ctx: LocalContext, frame: pd.DataFrame, **params: Any) -> list[Any]:
    table = ctx.table(frame)
    return folding.read(folds(FoldsParams(table=table, **params), ctx).folds, table, ctx)


@pytest.mark.parametrize(("strategy", "seed"), CASES)
def test_no_fold_leaks(ctx: LocalContext, strategy: str, seed: int) -> None:
    frame = rows(seed)
    gap = {"gap": 3} if "time" in strategy else {"repeats": 2}
    made = split(ctx, frame, strategy=strategy, folds=4, seed=seed, **STRATEGIES[strategy], **gap)
    assert len(made) == (4 if "time" in strategy else 8)
    for roles in made:
        train, test = frame[roles == TRAIN], frame[roles == TEST]
        if "group" in strategy:
            assert not set(train["g"]) & set(test["g"])
        if "time" in strategy:
            assert train["at"].max() + pd.Timedelta(days=3) < test["at"].min()
        else:
            assert len(train) + len(test) == len(frame)
        if strategy == "stratified":
            assert abs(test["y"].sum() - frame["y"].sum() / 4) <= 1
        if strategy == "stratified_group":
            assert abs(test["y"].mean() - frame["y"].mean()) < 0.06
    if "time" not in strategy:
        for repeat in (made[:4], made[4:]):
            assert (np.sum([roles == TEST for roles in repeat], axis=0) == 1).all()


def test_the_proof_refuses_what_leaks() -> None:
    roles = np.array([TRAIN, TEST, TEST], dtype=np.int8)
    with pytest.raises(StepError, match="1 groups are trained on and tested"):
        prove(Keys(3, groups=np.array([0, 0, 1])), roles, 0.0)
    with pytest.raises(StepError, match="not before the tested ones"):
        prove(Keys(3, times=np.array([1.0, 1.0, 2.0])), roles, 0.0)


def test_equal_work_gives_equal_folds_and_keys_are_required(ctx: LocalContext) -> None:
    frame = rows(1)
    params = {"strategy": "group", "by": "g", "seed": 3}
    one, two = (folds(FoldsParams(table=ctx.table(frame), **params), ctx).folds for _ in range(2))
    assert one == two and one.splits == 5 and one.by == "g"
    with pytest.raises(StepError, match="no group"):
        split(ctx, frame.assign(g=frame["g"].where(frame.index > 0, None)), **params)
    with pytest.raises(StepError, match="have no order in time"):
        split(ctx, frame, strategy="time", time="g")
    with pytest.raises(StepError, match="too few for 9 folds"):
        split(ctx, frame.assign(at=frame.index % 3), strategy="time", time="at", folds=9)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"strategy": "group"}, "needs `by`"),
        ({"strategy": "kfold", "by": "g"}, "takes no `by`"),
        ({"strategy": "time", "time": "at", "repeats": 2}, "the same each time"),
        ({"strategy": "kfold", "gap": 1}, "`gap` belongs to"),
    ],
)
def test_parameters_fit_the_strategy(ctx: LocalContext, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FoldsParams(table=ctx.table(rows(0)), **params)


@pytest.mark.parametrize("values", [np.linspace(0, 1, 60), np.append(np.linspace(0, 1, 59), np.nan), np.arange(60)])
def test_numbers_with_many_values_are_no_classes(ctx: LocalContext, values: Any) -> None:
    frame = pd.DataFrame({"spend": values})
    with pytest.raises(StepError, match=r"'spend' is a number with (59|60) different values") as raised:
        split(ctx, frame, strategy="stratified", target="spend")
    assert raised.value.hint is not None and "kfold" in raised.value.hint
    counts = pd.DataFrame({"visits": np.append(np.zeros(60, dtype=int), np.arange(40))})
    assert split(ctx, counts, strategy="stratified", target="visits"), "a few rare values are classes nevertheless"

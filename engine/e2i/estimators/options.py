"""Declare how a model learns, besides its hyperparameters: weights, the target and the loss. Pure.

The actions that fit models take these alike. ``faults`` says which of them an algorithm and a task do not have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

from e2i.catalog.action import Params
from e2i.catalog.columns import UNKNOWN, Given
from e2i.catalog.names import ColumnName
from e2i.estimators import algorithms
from e2i.estimators.rounds import WatchedMetric

CODE = "unsupported-option"
"""Code of the errors of options that an algorithm does not have."""
RowWeights = Annotated[
    ColumnName | None,
    Field(
        description="Column of the weight of each training row, such as an exposure; never a feature. Metrics do "
        "not weigh rows. null: all alike."
    ),
]
ClassWeights = TypeAliasType("ClassWeights", Literal["balanced"] | dict[str, Annotated[float, Field(gt=0)]] | None)
ClassWeight = Annotated[
    ClassWeights,
    Field(
        description="Weights of the classes, by which those of their rows are multiplied; balanced: inversely to "
        "the number of rows of a class, on average 1. Other classes have 1. null: none."
    ),
]
TransformName = Literal["log1p", "yeo_johnson"]
TransformChoice = TypeAliasType("TransformChoice", TransformName | None)
TargetTransform = Annotated[
    TransformChoice,
    Field(
        description="Learn a transformation of a numeric target: the logarithm of one plus it, or Yeo-Johnson's "
        "power that makes it most normal. The model answers in the target's own units. null: none."
    ),
]
ObjectiveName = Literal["squared", "absolute", "huber", "poisson", "tweedie", "quantile", "rank"]
ObjectiveChoice = TypeAliasType("ObjectiveChoice", ObjectiveName | None)
Objective = Annotated[
    ObjectiveChoice,
    Field(
        description="Loss of a regression: squared errors (the mean), absolute errors (the median), huber (squared "
        "up to `huber_delta`, then absolute), poisson (counts), tweedie (amounts with many zeros), quantile (of "
        "`quantiles`); or rank, the order of rows within a `group`. null: squared; of QuantileLinear, quantile."
    ),
]
Group = Annotated[
    ColumnName | None,
    Field(
        description="Column of the query, such as a search or a territory, whose rows objective rank orders by the "
        "target's grades, from 0 up; never a feature. null: none."
    ),
]
OneQuantile = TypeAliasType(
    "OneQuantile",
    Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(min_length=1, max_length=1)] | None,
)
Quantiles = Annotated[
    OneQuantile,
    Field(
        description="The quantile that objective quantile predicts, such as [0.9]; one for each model. null: 0.5.",
    ),
]
HuberDelta = Annotated[
    float, Field(gt=0, description="Error up to which objective huber is squared, in the target's units.")
]
TweediePower = Annotated[
    float,
    Field(gt=1, lt=2, description="Power of the variance of objective tweedie: near 1 counts, near 2 sizes."),
]
Directions = TypeAliasType("Directions", Annotated[dict[ColumnName, Literal[-1, 1]], Field(min_length=1)] | None)
Monotone = Annotated[
    Directions,
    Field(
        description="Features by which predictions may only rise (1) or only fall (-1): of the prepared ones, if "
        "there is a recipe. null: none.",
    ),
]
DeviceName = Literal["cpu", "cuda"]
Device = Annotated[
    DeviceName,
    Field(
        description="cuda: fit XGBoost, LightGBM or CatBoost on an NVIDIA GPU where the worker has one, otherwise on "
        "the CPU with a warning; the run records which. The last digits of a GPU are its own."
    ),
]


class EarlyStop(BaseModel):
    """Settings of early stopping of a boosted model."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    rounds: Annotated[int, Field(ge=1, le=10_000, description="Stop after this many rounds without improvement.")]
    metric: Annotated[
        WatchedMetric | None,
        Field(
            description="Metric of the rows that are not trained on, which must improve; null: log_loss, rmse, ndcg of "
            "a ranking, or mae for objectives absolute and quantile."
        ),
    ] = None


StopInFolds = Annotated[
    EarlyStop | None,
    Field(
        description="Early stopping of a boosted model in `folds`: each split stops by its tested rows; in "
        "model.cross_validate with `search`, by those of the inner folds. The model of all rows has the median of the "
        "best numbers of rounds. null: none."
    ),
]


StopInTrials = Annotated[
    EarlyStop | None,
    Field(
        description="Early stopping of a boosted model: each trial stops by the rows of `validation`, which then are "
        "somewhat too good a judge, or in `folds` each split by its tested rows. The model of all rows of `folds` has "
        "the median of the best numbers of rounds. null: none."
    ),
]


class FitOptions(Params):
    """The options as parameters of an action, named before the base of the parameters that are to come first."""

    weights: RowWeights = None
    class_weight: ClassWeight = None
    target_transform: TargetTransform = None
    objective: Objective = None
    quantiles: Quantiles = None
    huber_delta: HuberDelta = 1.0
    tweedie_power: TweediePower = 1.5
    monotone: Monotone = None
    device: Device = "cpu"


class RankedFitOptions(FitOptions):
    """The options of actions that can also fit a ranking."""

    group: Group = None


class Options(Struct, frozen=True):
    """How a model learns. The fields are the parameters of ``RankedFitOptions``."""

    weights: str | None = None
    class_weight: Literal["balanced"] | Mapping[str, float] | None = None
    target_transform: TransformName | None = None
    objective: ObjectiveName | None = None
    quantiles: tuple[float, ...] | None = None
    huber_delta: float = 1.0
    tweedie_power: float = 1.5
    monotone: Mapping[str, Literal[-1, 1]] | None = None
    device: DeviceName = "cpu"
    group: str | None = None
    """The column of the queries of a ranking."""

    @property
    def is_log(self) -> bool:
        """True when the library adds up the logarithm of its predictions."""
        return self.objective in LOG

    @property
    def quantile(self) -> float:
        """The quantile that is predicted, for objective quantile."""
        return (self.quantiles or (0.5,))[0]


LOG = ("poisson", "tweedie")
"""Objectives with a logarithmic link."""
_ALL: tuple[ObjectiveName, ...] = ("squared", "absolute", "huber", "poisson", "tweedie", "quantile")
OBJECTIVES: Mapping[str, tuple[ObjectiveName, ...]] = {
    "XGBoost": (*_ALL, "rank"),
    "LightGBM": (*_ALL, "rank"),
    "CatBoost": (*_ALL, "rank"),
    "HistGradientBoosting": ("squared", "absolute", "poisson", "quantile"),
    "RandomForest": ("squared", "absolute", "poisson"),
    "ExtraTrees": ("squared", "absolute", "poisson"),
    "QuantileLinear": ("quantile", "absolute"),
    "Dummy": ("squared", "absolute", "quantile"),
}
"""Objectives of the algorithms, the default first; of others, squared alone."""
MONOTONE = ("XGBoost", "LightGBM", "CatBoost", "HistGradientBoosting", "RandomForest", "ExtraTrees")
"""Algorithms that can be monotone."""
UNCONSTRAINED: Mapping[str, tuple[ObjectiveName, ...]] = {"LightGBM": ("absolute", "quantile"), "CatBoost": ("rank",)}
"""Objectives with which such an algorithm cannot be monotone."""
ON_GPU = ("XGBoost", "LightGBM", "CatBoost")
"""Algorithms that can be fitted on a GPU."""
UNWEIGHTED = ("KNeighbors",)
"""Algorithms that cannot weigh rows."""
SAME: Mapping[str, tuple[str, ...]] = {
    "class_weight": ("class_weight", "scale_pos_weight", "is_unbalance", "auto_class_weights"),
    "objective": ("criterion",),
}
"""Option → hyperparameters that set the same thing."""


OF_NO_RANKING: Mapping[str, str] = {
    "weights": "no weights of rows: each query counts alike",
    "class_weight": "no classes to weigh",
    "target_transform": "grades, which are not transformed",
    "quantiles": "no quantiles",
}
"""Options that a ranking does not have, and why."""


class Fault(Struct, frozen=True):
    """An option that does not go with the algorithm, the task or another one; ``name`` is its parameter."""

    name: str
    message: str
    hint: str


def default(algorithm: str) -> ObjectiveName:
    """Return the objective of an algorithm unless another one is chosen."""
    found = algorithms.known(algorithm)
    return OBJECTIVES.get((found and found.of) or algorithm, ("squared",))[0]


def unwatchable(algorithm: str, objective: str | None, quantile: float) -> str | None:
    """Return what the errors of rounds, rmse or mae, do not fit; None where they do. CatBoost compares logarithms."""
    if objective == "quantile" and quantile != 0.5:
        return "a quantile other than 0.5"
    return f"CatBoost with objective {objective}" if objective in LOG and algorithm == "CatBoost" else None


def unheard(algorithm: str, device: object) -> str | None:
    """Return why rounds cannot be judged on a device; None where they can."""
    is_silent = algorithm == "CatBoost" and device == "cuda"
    return "CatBoost reports no rounds while it fits on a GPU" if is_silent else None


def faults(algorithm: str | None, task: str | None, given: Given) -> Iterator[Fault]:
    """Yield each fault of options by their names. None: the algorithm or the task is not known."""
    values = ((name, given.get(name)) for name in Options.__struct_fields__)
    chosen = {name: value for name, value in values if value is not None and value is not UNKNOWN}
    yield from _of_the_task(task, chosen)
    if (found := algorithms.known(algorithm)) is not None:
        yield from _of_the_algorithm(found.of or str(algorithm), chosen)
    transform = chosen.get("target_transform")
    objective = chosen.get("objective", default(algorithm) if algorithm is not None else UNKNOWN)
    if "quantiles" in chosen and isinstance(objective, str) and objective != "quantile":
        yield Fault("quantiles", "`quantiles` belongs to objective quantile", "set `objective: quantile`, or remove it")
    if task == "ranking" and "group" not in chosen and given.get("group", UNKNOWN) is None:
        yield Fault("group", "a ranking needs `group`, the column of the queries", "name the column, such as query_id")
    if objective in LOG and isinstance(transform, str):
        message = f"objective {objective} learns the logarithm of the prediction, and `target_transform` another scale"
        yield Fault("target_transform", message, "remove one of them")


def _of_the_task(task: str | None, chosen: Given) -> Iterator[Fault]:
    if task == "regression" and "class_weight" in chosen:
        yield Fault("class_weight", "a regression has no classes to weigh", "use `weights`, or remove it")
    if task == "classification":
        for name in ("target_transform", "objective", "quantiles"):
            if name in chosen:
                yield Fault(name, f"`{name}` is for numeric targets, and this is a classification", "remove it")
    if task == "ranking":
        for name, what in OF_NO_RANKING.items():
            if name in chosen:
                yield Fault(name, f"a ranking has {what}", "remove it")
        if chosen.get("objective", "rank") not in ("rank", UNKNOWN):
            yield Fault("objective", f"{chosen['objective']} is no objective of a ranking", "set `objective: rank`")
    elif task == "regression" and chosen.get("objective") == "rank":
        yield Fault("objective", "objective rank is of a ranking, and this is a regression", "set `task: ranking`")
    elif task is not None and "group" in chosen:
        yield Fault("group", f"`group` is for rankings, and this is a {task}", "set `objective: rank`, or remove it")


def _of_the_algorithm(algorithm: str, chosen: Given) -> Iterator[Fault]:
    for name in ("weights", "class_weight"):
        if name in chosen and algorithm in UNWEIGHTED:
            yield Fault(name, f"{algorithm} cannot weigh rows", "remove it, or choose another algorithm")
    if chosen.get("device") == "cuda" and algorithm not in ON_GPU:
        yield Fault("device", f"{algorithm} is fitted on the CPU only", f"remove it, or use one of {', '.join(ON_GPU)}")
    if "monotone" in chosen and algorithm not in MONOTONE:
        yield Fault("monotone", f"{algorithm} cannot be made monotone", f"use one of {', '.join(MONOTONE)}")
    objective, able = chosen.get("objective"), OBJECTIVES.get(algorithm, ("squared",))
    if "monotone" in chosen and objective in UNCONSTRAINED.get(algorithm, ()):
        message = f"{algorithm} cannot be made monotone with objective {objective}"
        free = [name for name in ("XGBoost", "LightGBM", "CatBoost") if objective not in UNCONSTRAINED.get(name, ())]
        yield Fault("monotone", message, f"use {' or '.join(free)}")
    if isinstance(objective, str) and objective not in able and objective in (*_ALL, "rank"):
        others = ", ".join(name for name, known in OBJECTIVES.items() if objective in known)
        message = f"{algorithm} has no objective {objective}, only {', '.join(able)}"
        yield Fault("objective", message, f"algorithms with {objective}: {others}")

"""Read what a program gives a run of MLflow. In: names and values. Out: text and numbers, or ``BadCall``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from e2i.mlops.mistakes import LONGEST_PART, BadCall, content, file_path, text
from e2i.telemetry import programs

V = TypeVar("V")


def mapping(given: Mapping[str, V], what: str) -> Mapping[str, V]:
    if not isinstance(given, Mapping):
        raise BadCall(
            f"{what} are {type(given).__name__}, not a mapping of names to values", hint='such as {"auc": 0.9}'
        )
    return given


def key(name: object, what: str) -> str:
    """Return the name of a metric or a parameter. Raises BadCall for one that MLflow does not take."""
    from e2i.tools.mlflow.runs import key_of

    plain = str(name)
    if not plain.strip():
        raise BadCall(f"a {what} has no name", hint="give it a name of letters, digits, _ - . / and spaces")
    if (near := key_of(plain)) != plain:
        raise BadCall(f"{plain[:80]!r} is not a name of a {what}", hint=f"such as {near[:80]!r}")
    return plain


def step_of(step: int | None) -> int:
    if step is None:
        return 0
    if isinstance(step, bool) or not hasattr(step, "__index__"):
        raise BadCall(f"the step {step!r} is not a whole number", hint="count steps from 0")
    return step.__index__()


def texts(tags: Mapping[str, object]) -> dict[str, str]:
    """Return tags as text."""
    return {
        text(str(name), "the name of a tag"): content(str(value), f"the tag {name!r:.80}")
        for name, value in tags.items()
    }


def params_of(params: Mapping[str, object]) -> dict[str, str]:
    """Return parameters as MLflow's own client writes them."""
    return {
        key(name, "parameter"): content(str(value), f"the parameter {name!r:.80}") for name, value in params.items()
    }


def metrics_of(metrics: Mapping[str, float]) -> dict[str, programs.Number]:
    return {key(name, "metric"): programs.number(_float(name, value)) for name, value in metrics.items()}


def _float(name: object, value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # numbers of any library; anything else raises
    except (TypeError, ValueError):
        raise BadCall(
            f"the metric {name!r} is {value!r}, not a number", hint="log text with log_params or set_tags"
        ) from None


def version_number(version: str | int) -> int:
    try:
        return int(version)
    except (TypeError, ValueError):
        raise BadCall(f"{version!r} is not the number of a version", hint='pass it as "3" or 3') from None


def folder_of(path: str | None) -> str | None:
    if path is None:
        return None
    parts = Path(file_path(path, "artifact_path")).parts
    if not parts or Path(path).is_absolute() or ".." in parts:
        raise BadCall(f"{path!r} is not a folder of a run's artifacts", hint="write a relative path, such as plots")
    return "/".join(parts)


def model_name(path: str) -> str:
    if not path or any(sign in path for sign in "/:.%\"'\\"):
        raise BadCall(
            f"{path!r:.80} is not a name for a model", hint='a name without / : . % and quotes, such as "model"'
        )
    return text(path, "the name of the model", longest=LONGEST_PART)


def check_registered_name(name: str) -> None:
    """Raise BadCall unless a registered model can have the name."""
    if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", name):
        raise BadCall(f"{name!r:.80} is not a name for a registered model", hint="use letters, digits, _ . and -")

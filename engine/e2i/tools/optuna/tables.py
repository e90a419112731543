"""Make the tables of a search. In: finished trials. Out: data frames, with one row per trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from e2i.tools.optuna.choosing import Goals

if TYPE_CHECKING:
    import pandas as pd


def of_trials(trials: Sequence[Any], sought: Goals, names: Sequence[str]) -> pd.DataFrame:
    """Return every trial: number, state, values, the parameters ``names``, and the reason of a failure."""
    import pandas as pd

    columns: dict[str, Any] = {
        "number": [trial.number for trial in trials],
        "state": [trial.state.name.lower() for trial in trials],
        **_values(trials, sought),
        **_params(trials, names),
    }
    columns["reason"] = pd.array([trial.user_attrs.get("reason") for trial in trials], dtype="string")
    return pd.DataFrame(columns)


def of_front(front: Sequence[Any], chosen: Any, sought: Goals, names: Sequence[str]) -> pd.DataFrame:
    """Return the trials of a Pareto front, best first by the first metric, and which one is chosen."""
    import pandas as pd

    sign = -1.0 if sought.directions[0] == "maximize" else 1.0
    ranked = sorted(front, key=lambda trial: sign * trial.values[0])
    columns: dict[str, Any] = {"number": [trial.number for trial in ranked], **_values(ranked, sought)}
    columns |= _params(ranked, names)
    return pd.DataFrame({**columns, "chosen": [trial.number == chosen.number for trial in ranked]})


def _values(trials: Sequence[Any], sought: Goals) -> dict[str, Any]:
    import pandas as pd

    found = [[None] * len(sought.names) if trial.values is None else trial.values for trial in trials]
    return {
        name: pd.array([values[position] for values in found], dtype="Float64")
        for position, name in enumerate(sought.columns)
    }


def _params(trials: Sequence[Any], names: Sequence[str]) -> dict[str, Any]:
    """Return a column for each parameter. One with values of several types is converted to text."""
    columns = {}
    for name in names:
        values = [trial.params.get(name) for trial in trials]
        kinds = {type(value) for value in values if value is not None}
        mixed = len(kinds) > 1
        columns[f"params_{name}"] = [str(value) if mixed and value is not None else value for value in values]
    return columns

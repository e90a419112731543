"""Keep a copy of finished trials, to restore them if Optuna's storage loses them. In: trials. Out: the same, in order.

One file per study, one trial per line, synced to disk before the storage is written. An incomplete last line of a
killed process is ignored and overwritten.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any


class Mirror:
    """The trials (optuna FrozenTrial) of one study in the file ``path``. Safe to use from several processes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def trials(self) -> list[Any]:
        """Return the written trials; those of earlier versions are numbered from 0."""
        return [_from_json(place, json.loads(line)) for place, line in enumerate(self._lines())]

    def add(self, trials: Sequence[Any]) -> None:
        """Append trials durably."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # processes that share a search add trials at once
            file.truncate(sum(len(line) for line in self._lines()))
            for trial in trials:
                file.write(json.dumps(_to_json(trial), ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _lines(self) -> list[bytes]:
        if not self._path.exists():
            return []
        return [line for line in self._path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def _to_json(trial: Any) -> dict[str, Any]:
    from optuna.distributions import distribution_to_json

    return {
        "number": trial.number,
        "state": trial.state.name,
        "values": trial.values,
        "started": trial.datetime_start.isoformat(),
        "ended": trial.datetime_complete.isoformat(),
        "params": trial.params,
        "distributions": {name: distribution_to_json(known) for name, known in trial.distributions.items()},
        "user_attrs": trial.user_attrs,
        "intermediate_values": trial.intermediate_values,
    }


def _from_json(place: int, found: dict[str, Any]) -> Any:
    from optuna.distributions import json_to_distribution
    from optuna.trial import FrozenTrial, TrialState

    number = found.get("number", place)
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState[found["state"]],
        value=None,
        values=found["values"] if "values" in found else _one(found["value"]),
        datetime_start=datetime.fromisoformat(found["started"]),
        datetime_complete=datetime.fromisoformat(found["ended"]),
        params=found["params"],
        distributions={name: json_to_distribution(text) for name, text in found["distributions"].items()},
        user_attrs=found["user_attrs"],
        system_attrs={},
        intermediate_values={int(index): value for index, value in found["intermediate_values"].items()},
    )


def _one(value: float | None) -> list[float] | None:
    """Return the values of a trial that an earlier version has written, which had one."""
    return None if value is None else [value]

"""What ``python_call_*.yaml`` call."""

from __future__ import annotations

from typing import Literal, TypedDict

import pandas as pd


class Parts(TypedDict):
    recent: pd.DataFrame
    rows: int


def clean(table: pd.DataFrame, least: int = 1, keep: Literal["first", "last"] = "first") -> pd.DataFrame: ...


def split(table: pd.DataFrame, days: int) -> Parts: ...


def load(**given: object) -> dict[str, int]: ...

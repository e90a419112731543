"""Read data sets of published studies. In: data files of the package causaldata. Out: frames with the declared columns.

The package's own code is not imported. Its files are found through its metadata (version 0.1.5, MIT licence).
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pandas as pd

from e2i.errors import StepError, ToolUnavailable
from e2i.tools.dataset.columns import PUBLISHED

FILES = {
    "nsw": "nsw_mixtape/nsw_mixtape.dta",
    "cps": "cps_mixtape/cps_mixtape.dta",
    "nhefs": "nhefs_complete/nhefs_complete.dta",
    "close_college": "close_college/close_college.dta",
    "close_elections": "close_elections_lmb/close_elections_lmb.dta",
    "hiv": "thornton_hiv/thornton_hiv.dta",
    "mortgages": "mortgages/fetter_mortgages.csv",
    "organ_donations": "organ_donations/organ_donation.csv",
}


def read(name: str) -> pd.DataFrame:
    """Return a data set. Raises ToolUnavailable when the package is not installed, StepError for another version."""
    try:
        path = Path(str(distribution("causaldata").locate_file(f"causaldata/{FILES[name]}")))
    except PackageNotFoundError as error:
        raise ToolUnavailable(
            "dataset",
            "the package causaldata, which contains the data, is not installed",
            code="tool-missing",
            hint='pip install "e2i[examples]"',
        ) from error
    columns = PUBLISHED[name]
    try:
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_stata(path, convert_categoricals=False)
        frame = frame[list(columns)]
    except (OSError, KeyError) as error:
        message = f"the installed package causaldata has no data set as expected: {error}"
        raise StepError(message, code="bad-table", hint="install version 0.1.5") from error
    types = {"int64": "int64", "double": "float64", "string": "string"}
    return frame.astype({column: types[str(kind)] for column, kind in columns.items()})

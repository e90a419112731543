"""Generate synthetic journeys of health-care professionals. In: rows, seed, quarters. Out: journeys, history, truth.

Needs only numpy and pandas, so that a script without the engine can generate the same tables. Model of the data:

* An HCP has a brand, a matching specialty, a region, and constant traits (size of practice, digital affinity, …).
  Each quarter adds its own noise. Rows of one HCP resemble each other, so a split by row leaks.
* Treatment (a call within 30 days after the observation) is confounded: busy and digital HCPs are called more often,
  those in the South less. The propensity is between 0.05 and 0.95 (overlap holds).
* Effect of the call: tau = 0.5 + 1.2 digital_score - 0.8 competitor_share + 0.4 for one specialty per brand.
* outcome = baseline + tau * treatment + N(0, 1); target = 1 for the upper 40 % of outcomes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

SPECIALTIES = {
    "Remibrutinib": ("Dermatology", "Allergy and immunology"),
    "Fabhalta": ("Hematology", "Nephrology"),
    "Kisqali": ("Medical oncology", "Gynecologic oncology"),
}
BRANDS = tuple(SPECIALTIES)
REGIONS = ("Northeast", "Midwest", "South", "West")
FIRST_QUARTER = "2024-01-01"

Floats = npt.NDArray[np.float64]


def make_tables(
    rows: int = 50_000, seed: int = 7, quarters: int = 4
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return ``(journeys, history, truth)``, as described in ``e2i.tools.dataset.HcpOutputs``.

    ``journeys`` and ``truth`` have ``rows`` rows in the same order; ``history`` has a row for each HCP and quarter.
    """
    rng = np.random.default_rng(seed)
    hcps = -(-rows // quarters)
    n = hcps * quarters
    hcp = np.repeat(np.arange(hcps), quarters)
    starts = pd.date_range(FIRST_QUARTER, periods=quarters, freq="QS", tz="UTC", unit="us")
    start = starts[np.tile(np.arange(quarters), hcps)]
    identity = (np.array([f"H{number:07d}" for number in range(hcps)], dtype=object))[hcp]

    brand = rng.integers(0, len(BRANDS), hcps)[hcp]
    second = rng.integers(0, 2, hcps)[hcp]
    region = rng.integers(0, len(REGIONS), hcps)[hcp]
    features = _features(rng, hcp, hcps)
    calls = rng.poisson(6.0 * features["rx_volume"] / 20.0).clip(0, 100)

    propensity = _propensity(features, region)
    treatment = rng.binomial(1, propensity)
    tau = 0.5 + 1.2 * features["digital_score"] - 0.8 * features["competitor_share"] + 0.4 * second
    outcome = _baseline(features, calls, brand) + tau * treatment + rng.normal(0, 1, n)

    observed = start + _days(rng.integers(5, 60, n))  # always after the quarter's features arrived
    specialties = np.array([SPECIALTIES[name] for name in BRANDS], dtype=object)
    journeys = pd.DataFrame(
        {
            "hcp_id": identity,
            "observation_date": observed,
            "brand": np.array(BRANDS, dtype=object)[brand],
            "specialty": specialties[brand, second],
            "region": np.array(REGIONS, dtype=object)[region],
            "call_frequency": calls,
            **_contacts(rng, observed, calls, "call"),
            **_sampling(rng, observed),
            "treatment": treatment,
            "outcome": outcome,
            "target": (outcome > np.quantile(outcome, 0.6)).astype(np.int64),
        }
    )
    loaded = start + _days(rng.integers(1, 5, n))
    history = pd.DataFrame({"hcp_id": identity, "event_timestamp": start, "created": loaded, **features})
    truth = pd.DataFrame({"hcp_id": identity, "observation_date": observed, "tau": tau, "propensity": propensity})
    return journeys.iloc[:rows], history, truth.iloc[:rows]


def _features(rng: np.random.Generator, hcp: npt.NDArray[np.intp], hcps: int) -> dict[str, Floats]:
    """Return ``columns.FEATURES`` in that order.

    Constant traits are drawn once per HCP, the others each quarter near them.
    """
    n = len(hcp)
    size = rng.gamma(4.0, 0.25, hcps)[hcp]  # relative size of the practice, 1 on average
    quarter = rng.gamma(8.0, 0.125, n)  # relative activity in the quarter, 1 on average
    return {
        "tenure_years": rng.gamma(4, 3, hcps)[hcp],
        "patients": rng.poisson(40 * size).astype(float),
        "rx_volume": 20 * size * quarter,
        "rx_growth": rng.normal(0, 1, n),
        "digital_score": rng.beta(2, 3, hcps)[hcp],
        "email_opens": rng.poisson(3, n).astype(float),
        "events_attended": rng.poisson(0.7, n).astype(float),
        "competitor_share": (rng.beta(2, 2, hcps)[hcp] + rng.normal(0, 0.05, n)).clip(0, 1),
        "formulary_tier": rng.integers(1, 4, n).astype(float),
        "distance_km": rng.gamma(2, 12, hcps)[hcp],
        "age": rng.normal(48, 9, hcps).clip(27, 80)[hcp],
        "panel_size": rng.poisson(900, hcps)[hcp].astype(float),
        "new_patients": rng.poisson(5, n).astype(float),
        "switch_rate": rng.beta(1.5, 8, n),
        "adherence": rng.beta(6, 2, n),
        "copay": rng.gamma(2, 15, n),
        "peer_adoption": rng.beta(2, 5, n),
        "noise": rng.normal(0, 1, n),
    }


def _propensity(features: dict[str, Floats], region: npt.NDArray[Any]) -> Floats:
    south = region == REGIONS.index("South")
    logit = -0.2 + 0.25 * (features["rx_volume"] - 20) / 14 + 1.5 * (features["digital_score"] - 0.4) - 0.5 * south
    return np.asarray(1 / (1 + np.exp(-logit))).clip(0.05, 0.95)


def _baseline(features: dict[str, Floats], calls: npt.NDArray[Any], brand: npt.NDArray[Any]) -> Floats:
    return np.asarray(
        0.05 * features["patients"]
        + 0.03 * features["rx_volume"]
        + 0.6 * features["rx_growth"]
        - 1.2 * features["competitor_share"]
        + 1.0 * features["adherence"]
        - 0.1 * features["formulary_tier"]
        + 0.08 * calls
        + 0.3 * (brand == BRANDS.index("Fabhalta"))
    )


def _contacts(
    rng: np.random.Generator, observed: pd.DatetimeIndex, recent: npt.NDArray[Any], kind: str
) -> dict[str, pd.Index[Any]]:
    """Return dates of first and last contact: the last within 90 days for recent contacts, else long ago or never."""
    n = len(observed)
    last = observed - _days(np.where(recent > 0, rng.integers(1, 91, n), rng.integers(91, 400, n)))
    first = last - _days(np.where(recent > 1, rng.integers(1, 600, n), 0))
    never = (recent == 0) & (rng.random(n) < 0.3)
    return {f"first_{kind}_date": first.where(~never), f"last_{kind}_date": last.where(~never)}


def _sampling(rng: np.random.Generator, observed: pd.DatetimeIndex) -> dict[str, Any]:
    given = rng.poisson(2, len(observed))
    return {"sample_frequency": given, **_contacts(rng, observed, given, "sample")}


def _days(days: npt.NDArray[Any]) -> pd.TimedeltaIndex:
    return pd.TimedeltaIndex(days.astype("timedelta64[D]").astype("timedelta64[us]"))

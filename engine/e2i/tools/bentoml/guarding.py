"""Judge a Bento that has received new requests. In: a rule, and what was observed. Out: a verdict."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from e2i.tools.bentoml.observing import Counts, percentile
from e2i.tools.bentoml.records import Guard


class Verdict(Struct, frozen=True):
    """The figures that were judged, and the one that breaks the rule (empty: none does, or too little is known)."""

    figures: str
    broken: str = ""


def judge(guard: Guard, watched: Mapping[str, Counts]) -> Verdict:
    """Return whether the Bento of the guard breaks a rule, by what was watched since it has received its requests."""
    own = watched.get(guard.tag, Counts())
    others = [seconds for tag, counts in watched.items() if tag != guard.tag for seconds in counts.recent]
    rules = {
        "the share of failed requests": (_errors(guard, own), guard.errors),
        "the 95th percentile of seconds": (_latency(guard, own), guard.latency),
        "the slowdown": (_slowdown(guard, own, others), guard.slowdown),
        "the mean difference of predictions": (_difference(guard, watched), guard.difference),
    }
    known = {name: (value, most) for name, (value, most) in rules.items() if value is not None and most is not None}
    figures = ", ".join([f"{own.requests} requests", *(f"{name} {value:.4g}" for name, (value, _) in known.items())])
    broken = next(
        (f"{name} is {value:.4g}, above {most:g}" for name, (value, most) in known.items() if value > most), ""
    )
    return Verdict(figures, broken)


def _errors(guard: Guard, own: Counts) -> float | None:
    return own.failures / own.requests if own.requests >= guard.requests else None


def _latency(guard: Guard, own: Counts) -> float | None:
    return percentile(own.recent, 0.95) if len(own.recent) >= guard.requests else None


def _slowdown(guard: Guard, own: Counts, others: list[float]) -> float | None:
    if min(len(own.recent), len(others)) < guard.requests:
        return None
    base = percentile(others, 0.95)
    return (percentile(own.recent, 0.95) or 0.0) / base if base else None


def _difference(guard: Guard, watched: Mapping[str, Counts]) -> float | None:
    """Return the mean difference. Copies of the Bento's requests are compared where the others answer them."""
    others = [counts for tag, counts in watched.items() if tag != guard.tag]
    rows, copies = sum(one.rows for one in others), sum(one.copies for one in others)
    return sum(one.difference for one in others) / rows if copies >= guard.requests and rows else None

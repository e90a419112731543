"""Count what an endpoint answers. In: answers and comparisons. Out: figures for each Bento, also as Prometheus text.

Counters are those of the router since it was started. ``Watch`` has the figures since the last change of the shares.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from msgspec import Struct

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histogram of seconds for an answer."""
RECENT = 2_000
"""Answers whose seconds are kept for percentiles."""
OBSERVED = "observed.json"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Difference(Struct, frozen=True):
    """Two Bentos' answers to one request: rows, those with another prediction, and differences between the numbers."""

    rows: int
    different: int
    total: float
    largest: float


class Figures(Struct, frozen=True, kw_only=True):
    """What is known of one Bento's answers."""

    bento: str
    share: float
    """Percentage of the requests that it answers."""
    requests: int
    failures: int
    """Answers with a status of 500 and above, and requests whose replicas were lost."""
    mean_seconds: float | None
    p50_seconds: float | None
    p95_seconds: float | None
    """Of the last answers, at most ``RECENT``."""
    copies: int
    """Copies of requests that it received as a shadow, or for a guard."""
    failed_copies: int
    dropped_copies: int
    compared_rows: int
    different_rows: int
    mean_difference: float | None
    largest_difference: float | None


class Snapshot(Struct, frozen=True, kw_only=True):
    """What a router has observed, as it keeps it in ``observed.json``."""

    schema_version: int = 1
    at_ms: int
    generation: int
    rollbacks: int
    bentos: tuple[Figures, ...]
    drift: Mapping[str, float]
    """PSI of each feature against the reference."""
    drift_rows: int
    """Rows of requests that the drift is about."""


@dataclass(slots=True)
class Counts:
    """The counters of one Bento."""

    statuses: dict[int, int] = field(default_factory=dict)
    """Answers by the hundred of their status."""
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    copies: int = 0
    failed_copies: int = 0
    dropped_copies: int = 0
    rows: int = 0
    different: int = 0
    difference: float = 0.0
    largest: float = 0.0

    @property
    def requests(self) -> int:
        return sum(self.statuses.values())

    @property
    def failures(self) -> int:
        return self.statuses.get(5, 0)

    def answered(self, status: int, seconds: float) -> None:
        """Count an answer."""
        self.statuses[status // 100] = self.statuses.get(status // 100, 0) + 1
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds
        self.recent.append(seconds)

    def compared(self, found: Difference) -> None:
        """Count a comparison."""
        self.rows += found.rows
        self.different += found.different
        self.difference += found.total
        self.largest = max(self.largest, found.largest)

    def figures(self, bento: str, share: float) -> Figures:
        """Return the figures of the counters."""
        number = self.requests
        return Figures(
            bento=bento,
            share=share,
            requests=number,
            failures=self.failures,
            mean_seconds=self.seconds / number if number else None,
            p50_seconds=percentile(self.recent, 0.5),
            p95_seconds=percentile(self.recent, 0.95),
            copies=self.copies,
            failed_copies=self.failed_copies,
            dropped_copies=self.dropped_copies,
            compared_rows=self.rows,
            different_rows=self.different,
            mean_difference=self.difference / self.rows if self.rows else None,
            largest_difference=self.largest if self.rows else None,
        )


class Observed:
    """All counters of a router, and those since the last change of the shares (``watch``)."""

    def __init__(self) -> None:
        self.bentos: dict[str, Counts] = {}
        self.watch: dict[str, Counts] = {}
        self.rollbacks = 0
        self.changed = False

    def answered(self, tag: str, status: int, seconds: float) -> None:
        """Count the answer of a Bento."""
        for counts in self._both(tag):
            counts.answered(status, seconds)

    def compared(self, tag: str, found: Difference | None) -> None:
        """Count a copy that a Bento answered, compared with the answer to the caller; None: it failed."""
        for counts in self._both(tag):
            counts.copies += 1
            if found is None:
                counts.failed_copies += 1
            else:
                counts.compared(found)

    def dropped(self, tag: str) -> None:
        """Count a copy that was not sent, as too many were on their way."""
        for counts in self._both(tag):
            counts.dropped_copies += 1

    def begin(self) -> None:
        """Forget what was watched: the shares have changed."""
        self.watch = {}

    def _both(self, tag: str) -> tuple[Counts, Counts]:
        self.changed = True
        return self.bentos.setdefault(tag, Counts()), self.watch.setdefault(tag, Counts())

    def figures(self, shares: Mapping[str, float]) -> tuple[Figures, ...]:
        """Return the figures of all Bentos, sorted by name."""
        tags = sorted({*self.bentos, *shares})
        return tuple(self.bentos.get(tag, Counts()).figures(tag, shares.get(tag, 0.0)) for tag in tags)


def observed(folder: Path) -> Snapshot | None:
    """Return what the endpoint's router has observed; None when it has observed nothing yet."""
    try:
        return msgspec.json.decode((folder / OBSERVED).read_bytes(), type=Snapshot)
    except (FileNotFoundError, NotADirectoryError):
        return None


def percentile(values: Iterable[float], share: float) -> float | None:
    """Return the smallest value that at least that share of the values does not exceed; None without any."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else None


def text(observed: Observed, snapshot: Snapshot) -> str:
    """Return the figures in Prometheus' text format."""
    return "\n".join([*_families(observed, snapshot), ""])


def _families(observed: Observed, snapshot: Snapshot) -> Iterator[str]:
    bentos = [(figures.bento, observed.bentos.get(figures.bento, Counts())) for figures in snapshot.bentos]
    yield from _head("e2i_endpoint_requests_total", "counter", "Requests for predictions, by Bento and status.")
    for tag, counts in bentos:
        for status, number in sorted(counts.statuses.items()):
            yield _line("e2i_endpoint_requests_total", {"bento": tag, "status": f"{status}xx"}, number)
    yield from _head("e2i_endpoint_request_seconds", "histogram", "Seconds until an answer was sent, by Bento.")
    for tag, counts in bentos:
        total = 0
        for bound, number in zip((*map(str, BUCKETS), "+Inf"), counts.buckets, strict=True):
            total += number
            yield _line("e2i_endpoint_request_seconds_bucket", {"bento": tag, "le": bound}, total)
        yield _line("e2i_endpoint_request_seconds_sum", {"bento": tag}, counts.seconds)
        yield _line("e2i_endpoint_request_seconds_count", {"bento": tag}, total)
    for name, kind, about, values in _by_bento(bentos, snapshot):
        yield from _head(name, kind, about)
        for tag, value in values:
            yield _line(name, {"bento": tag}, value)
    yield from _head("e2i_endpoint_rollbacks_total", "counter", "Changes that the router took back by itself.")
    yield _line("e2i_endpoint_rollbacks_total", {}, observed.rollbacks)
    yield from _head("e2i_endpoint_drift_psi", "gauge", "Population stability index of a feature of the requests.")
    for name, value in sorted(snapshot.drift.items()):
        yield _line("e2i_endpoint_drift_psi", {"feature": name}, value)
    yield from _head("e2i_endpoint_drift_rows", "gauge", "Rows of requests that the drift is about.")
    yield _line("e2i_endpoint_drift_rows", {}, snapshot.drift_rows)


def _by_bento(
    bentos: Sequence[tuple[str, Counts]], snapshot: Snapshot
) -> Iterator[tuple[str, str, str, list[tuple[str, float]]]]:
    def of(name: str) -> list[tuple[str, float]]:
        return [(tag, getattr(counts, name)) for tag, counts in bentos]

    shares = [(figures.bento, figures.share) for figures in snapshot.bentos]
    yield "e2i_endpoint_share_percent", "gauge", "Percentage of the requests that a Bento answers.", shares
    yield "e2i_endpoint_copies_total", "counter", "Copies of requests that a Bento received.", of("copies")
    failed, dropped = of("failed_copies"), of("dropped_copies")
    yield "e2i_endpoint_copies_failed_total", "counter", "Copies without an answer to compare.", failed
    yield "e2i_endpoint_copies_dropped_total", "counter", "Copies that were not sent: too many were waiting.", dropped
    yield "e2i_endpoint_compared_rows_total", "counter", "Rows whose predictions were compared.", of("rows")
    yield "e2i_endpoint_different_rows_total", "counter", "Compared rows with another prediction.", of("different")
    yield "e2i_endpoint_difference_sum", "counter", "Sum of the differences of compared rows.", of("difference")


def _head(name: str, kind: str, about: str) -> tuple[str, str]:
    return f"# HELP {name} {about}", f"# TYPE {name} {kind}"


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{shown}}} {value!r}" if shown else f"{name} {value!r}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

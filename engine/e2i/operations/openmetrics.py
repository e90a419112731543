"""Write metrics as OpenMetrics text. In: families of samples. Out: text that Prometheus' older format reads as well.

So there are counters and gauges only, no time stamps, and no other escapes than those that both formats have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from msgspec import Struct

CONTENT_END = "# EOF\n"


class Sample(Struct, frozen=True):
    """One value, with its labels."""

    value: float
    labels: Mapping[str, str] = {}


class Family(Struct, frozen=True):
    """A metric: its name (of a counter without ``_total``), and a sample for each combination of labels."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: tuple[Sample, ...]
    unit: str = ""
    """Seconds or bytes; the name ends with it."""


def text(families: Iterable[Family]) -> str:
    """Returns the exposition. A family without samples is left out."""
    return "".join(line for family in families if family.samples for line in _lines(family)) + CONTENT_END


def _lines(family: Family) -> Iterator[str]:
    yield f"# TYPE {family.name} {family.kind}\n"
    if family.unit:
        yield f"# UNIT {family.name} {family.unit}\n"
    yield f"# HELP {family.name} {_escaped(family.help)}\n"
    name = f"{family.name}_total" if family.kind == "counter" else family.name
    for sample in family.samples:
        labels = ",".join(f'{label}="{_escaped(value)}"' for label, value in sample.labels.items())
        yield f"{name}{{{labels}}} {_number(sample.value)}\n" if labels else f"{name} {_number(sample.value)}\n"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _escaped(value: str) -> str:
    readable = value.encode("utf-8", "replace").decode()
    return readable.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')

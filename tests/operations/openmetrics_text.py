"""A strict reader of OpenMetrics text, as far as counters and gauges need it (OpenMetrics 1.0, section 4)."""

from __future__ import annotations

import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r"[a-zA-Z_][a-zA-Z0-9_]*"
NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
VALUE = r'"(?:[^"\\\n]|\\[\\"n])*"'
META = re.compile(rf"# (?P<what>TYPE|UNIT|HELP) (?P<name>{NAME}) (?P<text>.+)")
SAMPLE = re.compile(rf"(?P<name>{NAME})(?:\{{(?P<labels>{LABEL}={VALUE}(?:,{LABEL}={VALUE})*)\}})? (?P<value>{NUMBER})")
Labels = frozenset[tuple[str, str]]


def read(text: str) -> dict[tuple[str, Labels], float]:
    """The samples by name and labels. Any deviation from the format is an AssertionError."""
    assert text.endswith("# EOF\n") and text.count("# EOF") == 1
    assert "\r" not in text and "\t" not in text
    found: dict[tuple[str, Labels], float] = {}
    closed: set[str] = set()
    family, told = "", dict[str, str]()
    for line in text.removesuffix("# EOF\n").splitlines():
        if meta := META.fullmatch(line):
            if meta["name"] != family:
                assert meta["name"] not in closed, f"{meta['name']} is not contiguous"
                closed.add(family)
                family, told = meta["name"], {}
            assert meta["what"] not in told, f"second {meta['what']} of {family}"
            told[meta["what"]] = meta["text"]
            if meta["what"] == "UNIT":
                assert family.endswith(f"_{meta['text']}")
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample is not None, line
        kind = told["TYPE"]
        assert kind in ("counter", "gauge") and "HELP" in told
        assert sample["name"] == (f"{family}_total" if kind == "counter" else family)
        pairs = re.findall(rf"({LABEL})=({VALUE})", sample["labels"] or "")
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)) and not any(name.startswith("__") for name in names)
        value = float(sample["value"])
        assert kind != "counter" or value >= 0
        key = sample["name"], frozenset(pairs)
        assert key not in found, f"twice: {line}"
        found[key] = value
    return found


def value(text: str, name: str, **labels: str) -> float | None:
    """The sample with these labels, perhaps among others; None when there is none."""
    wanted = {(key, f'"{item}"') for key, item in labels.items()}
    matching = [number for (key, found), number in read(text).items() if key == name and wanted <= found]
    assert len(matching) <= 1, f"{name} {labels} is ambiguous"
    return matching[0] if matching else None

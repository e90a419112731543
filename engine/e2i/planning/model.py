"""The plan as data: each step with its verdict, its reason and its fingerprint; frozen, ordered, JSON-able.

In: what ``build`` found out. Out: documents of the contract, and the plan's own digest.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Any

from msgspec import Struct, field

SCHEMA_VERSION = 1


class Verdict(StrEnum):
    """What will happen to a step."""

    RUN = "run"
    REUSE = "reuse"
    DEFERRED = "deferred"
    """Cannot be known until a step above has run; becomes run, reuse or skip."""
    ALWAYS = "always"
    SKIP = "skip"


class Why(StrEnum):
    """The codes of reasons."""

    NEVER_RUN = "never-run"
    UNCHANGED = "unchanged"
    PARAMETER_CHANGED = "parameter-changed"
    INPUT_CHANGED = "input-changed"
    FILE_CHANGED = "file-changed"
    LIBRARY_CHANGED = "library-changed"
    ACTION_CHANGED = "action-changed"
    SEED_CHANGED = "seed-changed"
    SERVER_CHANGED = "server-changed"
    RESULT_LOST = "result-lost"
    EFFECT_LOST = "effect-lost"
    FRESH = "fresh"
    UPSTREAM_RUNS = "upstream-runs"
    ALWAYS = "always"
    CACHE_OFF = "cache-off"
    NEEDED = "service-needed"
    NOT_NEEDED = "service-not-needed"
    WHEN_FALSE = "when-false"
    WHEN_UNKNOWN = "when-unknown"
    UPSTREAM_SKIPPED = "upstream-skipped"
    NOT_SELECTED = "not-selected"
    FINALLY = "finally"
    READS_RUN = "reads-run"


class Reason(Struct, frozen=True):
    """Why a step has its verdict: a code for programs, the detail for people."""

    code: Why
    detail: str = ""


class PlanStep(Struct, frozen=True):
    """One step of a plan. ``components`` is what its fingerprint is made of, as far as that is known."""

    id: str
    group: str
    uses: str
    needs: tuple[str, ...]
    verdict: Verdict
    reason: Reason
    fingerprint: str | None
    components: Mapping[str, Any]
    bound: Mapping[str, Any]
    """What else decides how the step is carried out: condition, retries, time limits."""
    final: bool = False
    """It runs after all others, whatever became of them."""

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "uses": self.uses,
            "needs": list(self.needs),
            **({"finally": True} if self.final else {}),
            "verdict": self.verdict.value,
            "reason": {"code": self.reason.code.value, "detail": self.reason.detail},
            "fingerprint": self.fingerprint,
        }


class Plan(Struct, frozen=True, dict=True):
    """All steps in the order of their graph. Two plans with one digest lead to the same work."""

    name: str
    steps: tuple[PlanStep, ...]
    params: Mapping[str, Any]
    profile: str = "default"
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """What a run will give back, with expressions where only the run can tell."""

    @cached_property
    def digest(self) -> str:
        """Covers all that can affect execution: actions, parameters, files, libraries, order, conditions, options,
        profile; and what the run gives back.

        Not covered: verdicts (they change as work gets done), descriptions, comments, the order of keys.
        """
        return digest(
            {
                "name": self.name,
                "profile": self.profile,
                "params": self.params,
                "outputs": self.outputs,
                "steps": self.bound,
            }
        )

    @cached_property
    def bound(self) -> dict[str, str]:
        """For each step the digest of all that can affect its execution."""
        return {step.id: digest([step.needs, static(step.components), step.bound]) for step in self.steps}

    @property
    def summary(self) -> dict[str, int]:
        """How many steps have each verdict; every verdict is there."""
        counts = Counter(step.verdict for step in self.steps)
        return {verdict.value: counts[verdict] for verdict in Verdict}

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "digest": self.digest,
            "name": self.name,
            "profile": self.profile,
            "params": dict(self.params),
            "outputs": dict(self.outputs),
            "steps": [step.to_json() for step in self.steps],
            "summary": self.summary,
            "bound": self.bound,
        }


def static(components: Mapping[str, Any]) -> dict[str, Any]:
    """The components without what only past runs can tell: the digests of inputs stand as their references."""
    kept = {key: value for key, value in components.items() if key not in ("params", "found_files")}
    return {**kept, "params": components["with"]}


def canonical(value: Any) -> bytes:
    """One text for equal data: sorted keys, no spaces, no NaN."""
    return _encode(value).encode()


def digest(value: Any) -> str:
    """``sha256:…`` of the canonical text."""
    return f"sha256:{hashlib.sha256(canonical(value)).hexdigest()}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (tuple, set, frozenset)):
        return sorted(value) if isinstance(value, (set, frozenset)) else list(value)
    raise TypeError(f"{type(value).__name__} is not plain data")


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain).encode

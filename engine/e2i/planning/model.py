"""The plan as data: each step with its verdict, reason and fingerprint. Frozen, ordered, serialisable as JSON.

In: the decisions of ``build``. Out: documents of the contract, and the plan's own digest.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

from msgspec import Struct, field, msgpack
from msgspec.json import Encoder

from e2i.spec.problems import Problem

SCHEMA_VERSION = 1


class Verdict(StrEnum):
    """The decision about a step."""

    RUN = "run"
    REUSE = "reuse"
    UNDECIDED = "undecided"
    """Unknown until an upstream step has run. Becomes run, reuse or skip."""
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
    """The reason for a step's verdict: a code for programs, a detail for people."""

    code: Why
    detail: str = ""


class Undecided(Struct, frozen=True):
    """A parameter that is only known in a run and decides which file a step reads or which code it runs."""

    step: str
    parameter: str
    kind: Literal["file", "code"]
    value: str
    """The expression as written in the spec."""

    def to_json(self) -> dict[str, Any]:
        return {"step": self.step, "parameter": self.parameter, "kind": self.kind, "value": self.value}

    def __str__(self) -> str:
        what = "the code that it runs" if self.kind == "code" else "the file that it reads"
        return f"{self.step}: {what} is only known during the run ({self.parameter}: {self.value})"


class PlanStep(Struct, frozen=True):
    """One step of a plan. ``components`` are the known inputs of its fingerprint."""

    id: str
    group: str
    uses: str
    needs: tuple[str, ...]
    verdict: Verdict
    reason: Reason
    fingerprint: str | None
    components: Mapping[str, Any]
    bound: Mapping[str, Any]
    """Options that also decide how the step is executed: condition, retries, time limits."""
    final: bool = False
    """True when it runs after all others, whatever their status."""
    undecided: tuple[Undecided, ...] = ()
    """The files that it reads and the code that it runs, as far as they are only known in a run."""

    @property
    def covered(self) -> dict[str, Any]:
        """Returns everything that can affect the step's execution, as far as it is known before the run."""
        return {
            "id": self.id,
            "uses": self.uses,
            "needs": list(self.needs),
            **({"finally": True} if self.final else {}),
            "inputs": static(self.components),
            "options": dict(self.bound),
        }

    def outline(self) -> dict[str, Any]:
        """Returns the step as recorded in a run."""
        return {
            "id": self.id,
            "uses": self.uses,
            "needs": list(self.needs),
            **({"finally": True} if self.final else {}),
            "verdict": self.verdict.value,
            "reason": {"code": self.reason.code.value, "detail": self.reason.detail},
            "fingerprint": self.fingerprint,
        }

    def to_json(self) -> dict[str, Any]:
        return {**self.outline(), "inputs": static(self.components), "options": dict(self.bound)}


class Plan(Struct, frozen=True, dict=True):
    """All steps in dependency order. Two plans with the same digest lead to the same work."""

    name: str
    steps: tuple[PlanStep, ...]
    params: Mapping[str, Any]
    profile: str = "default"
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """The outputs of a run, with expressions where they are only known in the run."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    """The operator's settings that affect what the run does and where its outputs go."""
    warnings: tuple[Problem, ...] = ()
    """Problems of the spec that do not prevent a run. They are not part of the plan's document."""
    hints: tuple[str, ...] = ()
    """What people should know about the verdicts. Not part of the plan's document."""

    @cached_property
    def digest(self) -> str:
        """Covers all that can affect execution: actions, parameters, files, libraries, order, conditions, options,
        profile, the outputs of the run, and the operator's settings.

        Not covered: verdicts (they change as work gets done), descriptions, comments, the order of keys.
        """
        return digest(self.covered)

    @property
    def covered(self) -> dict[str, Any]:
        """Returns what the digest covers. All of it is in the plan's document, so that the digest can be recomputed."""
        return {
            "name": self.name,
            "profile": self.profile,
            "params": dict(self.params),
            "outputs": dict(self.outputs),
            "environment": dict(self.environment),
            "undecided": [item.to_json() for item in self.undecided],
            "steps": {step.id: step.covered for step in self.steps},
        }

    @property
    def undecided(self) -> tuple[Undecided, ...]:
        """The files that steps read and the code that they run, as far as they are only known in the run."""
        return tuple(item for step in self.steps for item in step.undecided)

    @property
    def summary(self) -> dict[str, int]:
        """Returns the number of steps with each verdict, including zeros."""
        counts = Counter(step.verdict for step in self.steps)
        return {verdict.value: counts[verdict] for verdict in Verdict}

    def to_json(self) -> dict[str, Any]:
        """Returns the document that a run can be bound to: complete, with a checksum over all of it."""
        document = {
            **self.outline(),
            "outputs": dict(self.outputs),
            "environment": dict(self.environment),
            "undecided": [item.to_json() for item in self.undecided],
            "steps": [step.to_json() for step in self.steps],
        }
        return {**document, "checksum": digest(document)}

    def outline(self) -> dict[str, Any]:
        """Returns the plan as recorded in an unbound run, without what the record contains elsewhere."""
        return {
            "schema_version": SCHEMA_VERSION,
            "digest": self.digest,
            "name": self.name,
            "profile": self.profile,
            "params": dict(self.params),
            "steps": [step.outline() for step in self.steps],
            "summary": self.summary,
        }


def static(components: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the components without what only past runs know: digests of inputs are replaced by their references."""
    kept = {key: value for key, value in components.items() if key not in ("params", "with", "found_files")}
    return {**kept, "params": components["with"]}


def canonical(value: Any) -> bytes:
    """Returns one text for equal data: sorted keys, no spaces."""
    try:
        text = _encode(value)
        # NaN and infinities, which JSON does not have, would be written as null.
        if b"null" not in text or not _NOT_FINITE.search(_pack(value)) or _is_finite(value):
            return text
    except (UnicodeEncodeError, OverflowError, TypeError):  # lone surrogates, very large integers, odd keys
        pass
    return _encode_slowly(value).encode()


def digest(value: Any) -> str:
    """Returns ``sha256:…`` of the canonical text."""
    return f"sha256:{hashlib.sha256(canonical(value)).hexdigest()}"


def _is_finite(value: Any) -> bool:
    """Returns True when no number is NaN or infinite."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, list | tuple | set | frozenset) or all(map(_is_finite, value))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (tuple, set, frozenset)):
        return sorted(value) if isinstance(value, (set, frozenset)) else list(value)
    raise TypeError(f"{type(value).__name__} is not plain data")


_NOT_FINITE = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]")
"""A number in MessagePack that may be NaN or infinite: one search instead of a loop over a million values."""
_pack = msgpack.Encoder(enc_hook=_plain).encode
_encode = Encoder(enc_hook=_plain, order="deterministic").encode
_encode_slowly = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain).encode

"""Find and wrap metrics for an evaluation. In: names, objects of Opik, functions. Out: Opik's metrics.

The names are those of the SDK's heuristic metrics, which need no language model.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from opik.evaluation import metrics as opik_metrics
from opik.evaluation.metrics.score_result import ScoreResult

from e2i.errors import StepError, ToolUnavailable
from e2i.spec import patterns, suggest

INSTALL = re.compile(r"pip install [\w\[\].-]*\w")
"""The line with which the SDK says what a metric lacks."""
HEURISTICS = "opik.evaluation.metrics.heuristics."
REGEX = "regex_match"
BY_REFERENCE: Mapping[str, str] = {REGEX: "regex", "language_adherence": "expected_language"}
"""Metrics whose reference is an argument of the class in the SDK; here it is the reference of each case."""

Case = Mapping[str, Any]
Function = Callable[[Case, Any], Any]
Call = Callable[[Function, Case, Any], Any]
"""Calls a function of a case and its output, which may be a coroutine function."""


def resolve(
    given: Sequence[Any], keys: Collection[str], cases: Sequence[Case], call: Call, *, linear: bool = False
) -> list[Any]:
    """Returns Opik's metric for each of those given. ``keys``: what every case offers to the metrics. ``linear``:
    ``regex_match`` searches in linear time.

    Raises StepError for unknown names, for two metrics of one name, and for arguments that cases do not have.
    """
    found = [_metric(item, cases, call, linear) for item in given]
    names = [metric.name for metric in found]
    if doubled := suggest.repeated(names):
        raise StepError(f"two metrics have the name {doubled[0]!r}", code="bad-metric", hint="name each differently")
    for metric in found:
        missing = [name for name in _required(metric.score) if name not in keys]
        if missing:
            spoken = ["expected_output" if name == "reference" else name for name in missing]
            raise StepError(
                f"the metric {metric.name!r} needs {', '.join(map(repr, spoken))}, which not every test case has",
                code="bad-metric",
                hint="add it to each case, or leave the metric out",
            )
    return found


def heuristics() -> dict[str, type[Any]]:
    """Returns the SDK's metrics that need no language model, by name: ``equals``, ``regex_match`` …"""
    found = {}
    for item in vars(opik_metrics).values():
        if inspect.isclass(item) and item.__module__.startswith(HEURISTICS):
            found[str(_default_name(item)).removesuffix("_metric")] = item
    return dict(sorted(found.items()))


def _metric(item: Any, cases: Sequence[Case], call: Call, linear: bool) -> Any:
    if isinstance(item, str):
        return _named(item, linear)
    if isinstance(item, opik_metrics.BaseMetric):
        return item
    if inspect.isclass(item) and issubclass(item, opik_metrics.BaseMetric):
        raise StepError(
            f"{item.__name__} is a class, not a metric", code="bad-metric", hint=f"pass an object: {item.__name__}()"
        )
    if callable(item):
        return FunctionMetric(item, cases, call)
    raise StepError(
        f"{item!r} is no metric",
        code="bad-metric",
        hint="pass a name, an object of opik.evaluation.metrics, or a function of a case and its output",
    )


def _named(name: str, linear: bool) -> Any:
    known = heuristics()
    plain = name.strip().lower().removesuffix("_metric")
    chosen = known.get(plain)
    if chosen is None:
        others = set(opik_metrics.__all__) - {item.__name__ for item in known.values()}
        judge = next((item for item in others if item.lower() == plain.replace("_", "")), None)
        if judge is not None:
            hint: str | None = f"pass an object, as it needs more than the name: opik.evaluation.metrics.{judge}(…)"
        else:
            hint = suggest.hint(plain, known, most=30)
        raise StepError(f"unknown metric {name!r}", code="bad-metric", hint=hint)
    if plain in BY_REFERENCE:
        return ByReference(name, chosen, BY_REFERENCE[plain], LinearPattern if linear and plain == REGEX else None)
    try:
        return chosen(name=name, track=False)
    except ImportError as error:
        line = INSTALL.search(str(error))
        message = f"the metric {name!r} needs a package that is not installed: {error}"
        raise ToolUnavailable("opik", message, code="tool-missing", hint=line and line[0]) from error


class LinearPattern:
    """A regular expression that the SDK searches in place of Python's own, in linear time."""

    def __init__(self, pattern: str) -> None:
        self.search = patterns.search(str(pattern))


class ByReference(opik_metrics.BaseMetric):  # type: ignore[misc]  # the SDK is not typed for mypy
    """A metric of the SDK that is made for each reference; ``read`` makes the argument of the reference."""

    def __init__(self, name: str, chosen: type[Any], argument: str, read: Callable[[Any], Any] | None = None) -> None:
        super().__init__(name=name, track=False)
        self._chosen = chosen
        self._argument = argument
        self._read = read

    def score(self, output: Any, reference: Any, **ignored: Any) -> ScoreResult:
        """Return the metric's score with this reference."""
        given = reference if self._read is None else self._read(reference)
        made = self._chosen(**{self._argument: given}, name=self.name, track=False)
        return made.score(output=output)


class FunctionMetric(opik_metrics.BaseMetric):  # type: ignore[misc]  # the SDK is not typed for mypy
    """A function of a case and its output as a metric."""

    def __init__(self, function: Function, cases: Sequence[Case], call: Call) -> None:
        super().__init__(name=getattr(function, "__name__", type(function).__name__), track=False)
        self._function = function
        self._cases = cases
        self._call = call

    def score(self, output: Any, case_number: int, **ignored: Any) -> ScoreResult:
        """Return what the function returns: a number, or a score of Opik."""
        value = self._call(self._function, self._cases[case_number], output)
        if isinstance(value, ScoreResult):
            return ScoreResult(name=self.name, value=value.value, reason=value.reason, metadata=value.metadata)
        return ScoreResult(name=self.name, value=float(value))


def _default_name(metric: type[Any]) -> Any:
    named = inspect.signature(metric).parameters.get("name")
    return metric.__name__.lower() if named is None else named.default


def _required(score: Callable[..., Any]) -> list[str]:
    """Returns the arguments that a metric's ``score`` cannot do without."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(score).parameters.values()
    return [item.name for item in parameters if item.kind in kinds and item.default is inspect.Parameter.empty]

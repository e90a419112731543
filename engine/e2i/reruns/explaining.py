"""Explain the change of a metric between two runs: which share comes from data, code, parameters and seed?

In: two runs and a metric. Out: an ``ExplanationDocument``. Runs the mixes of both in a throw-away store, as far as
their steps have no result yet. The store, the trackers and the files of the workspace are as before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction

from msgspec import Struct

from e2i.errors import BadInput
from e2i.records import lineage
from e2i.records.comparison import numbers
from e2i.reruns import recorded, shapley, stage
from e2i.reruns.explanation import ExplainedFactor, ExplanationDocument
from e2i.reruns.mixing import FACTORS, Factor, Mix, Side
from e2i.reruns.recorded import GOOD, Recorded
from e2i.reruns.trying import Trial, Trials
from e2i.spec import suggest
from e2i.store.past import RecordedRun
from e2i.workspace.workspace import Workspace


class Budget(Struct, frozen=True):
    """What an explanation may take, as far as it is known before it begins."""

    factors: tuple[Factor, ...]
    reruns: int
    """Mixes to evaluate. Those whose steps all have results take no time."""
    steps: int
    """Steps that the metric depends on."""
    seconds: float
    """What these steps took in the second run."""


def explain(
    before: str,
    after: str,
    workspace: Workspace,
    *,
    metric: str | None = None,
    say: Callable[[Budget], bool] = lambda budget: True,
    listen: Callable[[Trial], None] = lambda trial: None,
) -> ExplanationDocument:
    """Returns the shares of the change. ``say`` receives the budget before anything runs, and returns whether to go on.

    Raises BadInput for runs of different pipelines and an unknown metric, PartLost when a file of a run is gone.
    """
    began = time.monotonic()
    old, new = recorded.read(before, workspace), recorded.read(after, workspace)
    if old.run.pipeline != new.run.pipeline:
        message = f"the runs are of different pipelines: {old.run.pipeline} and {new.run.pipeline}"
        raise BadInput(message, code="bad-option", hint="compare runs of one pipeline")
    name, values = _metric(old.run, new.run, metric)
    mix = Mix(_side(old), _side(new))
    found = mix.differences()
    factors = tuple(factor for factor in FACTORS if factor in found)
    change = values[1] - values[0]
    trials = Trials(mix, new, commits(old, new), name)
    budget = _budget(factors, new, trials)
    results: list[Trial] = []
    if say(budget) and factors and change:
        with stage.opened(new.workspace, "e2i-why-") as quiet:
            for second in shapley.subsets(factors):
                results.append(trials.run(second, quiet))
                listen(results[-1])
    return _document(old, new, name, values, found, results, budget, time.monotonic() - began)


def commits(*runs: Recorded) -> tuple[str, ...]:
    """Returns the commits of runs, as far as they are known."""
    found = (run.run.provenance.repository.commit for run in runs)
    return tuple(dict.fromkeys(commit for commit in found if isinstance(commit, str)))


def _side(run: Recorded) -> Side:
    loaded = run.expanded().loaded
    steps = lineage.of(run.past)
    components = {name: step.components for name, step in steps.items() if step.components is not None}
    return Side(loaded.document.data, run.source, run.run.params, components, run.outputs)


def _metric(old: RecordedRun, new: RecordedRun, asked: str | None) -> tuple[str, tuple[float, float]]:
    """Returns the name of a number in both runs, and its values. Raises BadInput."""
    sides = [_numbers(run) for run in (old, new)]
    both = [name for name in sides[1] if name in sides[0]]
    if asked is None:
        changed = [name for name in both if sides[0][name] != sides[1][name]]
        if not changed:
            hint = "the runs have the same numbers" if both else "the runs have no number in common"
            raise BadInput("no metric differs between the runs", code="unknown-output", hint=hint)
        return changed[0], (sides[0][changed[0]], sides[1][changed[0]])
    step, _, rest = asked.partition(".")
    for name in (asked, f"{step}.metrics.{rest}"):
        if name in both:
            return name, (sides[0][name], sides[1][name])
    hint = suggest.hint(asked, both, most=20) or "e2i diff RUN RUN lists the numbers of both"
    raise BadInput(f"the runs have no number {asked!r} in common", code="unknown-output", hint=hint)


def _numbers(run: RecordedRun) -> dict[str, float]:
    """Returns the numbers among the outputs of the pipeline, then those of its steps."""
    found = dict(pair for name, value in (run.outputs or {}).items() for pair in numbers(name, value))
    for step in run.steps:
        if step.status in GOOD:
            for name, value in (step.outputs or {}).items():
                found.update(numbers(f"{step.id}.{name}", value))
    return found


def _budget(factors: tuple[Factor, ...], new: Recorded, trials: Trials) -> Budget:
    steps = {step.id: step for step in new.run.steps}
    chosen = [steps[name] for name in trials.steps if name in steps]
    seconds = sum((step.ended_ms - step.started_ms) / 1000 for step in chosen if step.ended_ms and step.started_ms)
    return Budget(factors, max(0, 2 ** len(factors) - 2) if factors else 0, len(chosen), round(seconds, 1))


def _document(
    old: Recorded,
    new: Recorded,
    name: str,
    values: tuple[float, float],
    found: dict[Factor, list[str]],
    results: list[Trial],
    budget: Budget,
    seconds: float,
) -> ExplanationDocument:
    change = values[1] - values[0]
    shares: dict[str, float] = {}
    if results:
        known = {trial.second: trial.value for trial in results}
        exact = {str(factor): share for factor, share in shapley.shares(budget.factors, known.__getitem__).items()}
        last = known[frozenset(budget.factors)] - known[frozenset()]
        if last != change:
            exact["environment"] = Fraction(change) - sum(exact.values())
        shares = shapley.rounded(exact, change)
    details: dict[str, list[str]] = {str(factor): listed for factor, listed in found.items()}
    details["environment"] = ["versions of libraries, or chance: the runs repeated here differ from their records"]
    return ExplanationDocument(
        runs=(old.run.id, new.run.id),
        metric=name,
        before=values[0],
        after=values[1],
        change=change,
        factors=[
            ExplainedFactor(
                factor=factor,  # type: ignore[arg-type]
                share=share,
                part=share / change if change else None,
                changes=details[factor],
            )
            for factor, share in shares.items()
        ],
        reruns=sum(trial.executed > 0 for trial in results),
        executed=sum(trial.executed for trial in results),
        budget=budget.reruns,
        seconds=round(seconds, 3),
    )

"""Run the study of a step, and report it. In: a plan and an objective. Out: its trials, and what outputs share."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from e2i.catalog.artifacts import Report, Study
from e2i.catalog.context import ChildRun, StepContext
from e2i.estimators.space import Dimension, ordered
from e2i.tools.optuna import choosing, report, search, tables, warming
from e2i.tools.optuna.choosing import Goals
from e2i.tools.optuna.connector import GuardedOptuna
from e2i.tools.optuna.parameters import Scalar, TuneParams


class Searched(Struct, frozen=True, eq=False):
    """A finished study. ``front`` are the trials that no other one dominates; ``best`` is the chosen one of them."""

    name: str
    title: str
    plan: search.Plan
    sought: Goals
    trials: Sequence[Any]
    best: Any
    front: Sequence[Any]
    known: int
    """Trials of other studies that the sampler knew."""

    @property
    def values(self) -> dict[str, float]:
        """The metrics of the best trial."""
        return dict(zip(self.sought.names, map(float, self.best.values), strict=True))

    def report(self, ctx: StepContext, chosen: Mapping[str, Scalar], warnings: Iterable[str]) -> None:
        """Record the trials as child runs, and the best one with its parameters."""
        for trial in self.trials:
            ctx.child(_child(trial, self.sought))
        for warning in (*warnings, *_warnings(self.trials, self.plan, self.known)):
            ctx.warn(warning)
        for metric, value in self.values.items():
            ctx.metric(f"best_{metric}", value)
        for parameter, setting in chosen.items():
            ctx.param(parameter, "null" if setting is None else setting)

    def outputs(self, ctx: StepContext, *, plots: bool) -> dict[str, Any]:
        """Return the outputs that all searches share."""
        found = report.Found(self.title, self.trials, self.best, self.front, self.sought, self.plan)
        folder = report.write(ctx.scratch / "search", found, plots=plots)
        page = ctx.keep(folder, Report, media_type="text/html", title=self.title, entry=report.ENTRY)
        ctx.attach("search", page)
        names = list(self.plan.space)
        return {
            "study": Study(digest=_digest(self.name, self.trials), name=self.name, trials=len(self.trials)),
            "best_value": float(self.best.values[0]),
            "best_values": self.values,
            "trials": ctx.table(tables.of_trials(self.trials, self.sought, names)),
            "front": ctx.table(tables.of_front(self.front, self.best, self.sought, names)),
            "report": page,
        }


def plan(params: TuneParams, space: Mapping[str, Dimension], sought: Goals, watched: int, seed: int) -> search.Plan:
    """Return the options of the search."""
    return search.Plan(
        space=ordered({name: dimension for name, dimension in space.items() if name not in params.fixed}),
        trials=params.trials,
        directions=sought.directions,
        sampler=params.sampler,
        pruner=params.pruner,
        watched=watched,
        parallel=params.parallel,
        seed=seed,
        fixed=params.fixed,
        stop=sought.stop(params.stop),
    )


async def run(
    params: TuneParams, plan: search.Plan, sought: Goals, objective: search.Objective, ctx: StepContext
) -> Searched:
    """Run the study, or what an earlier attempt has left of it.

    Raises StepError when no trial was completed, and ToolUnavailable when the storage fails.
    """
    name = _name(params, ctx.key("study"))
    tuner = ctx.connect(GuardedOptuna)
    known = await _known(params, plan, sought, tuner, ctx)
    trials = await tuner.optimize(
        name,
        objective,
        plan,
        timeout=params.timeout,
        progress=lambda done: ctx.progress(done, params.trials, f"{done} of {params.trials} trials"),
        about={"e2i.metric": ",".join(sought.names), "e2i.algorithm": params.algorithm},
        known=known,
    )
    best, front = choosing.best(trials, sought, params.choose, hint="check `space` and `fixed`, or raise `timeout`")
    title = f"Search of {params.algorithm} for {params.target}"
    return Searched(name, title, plan, sought, trials, best, front, sum(map(len, known.values())))


async def _known(
    params: TuneParams, plan: search.Plan, sought: Goals, tuner: GuardedOptuna, ctx: StepContext
) -> Mapping[str, Any]:
    """Return the trials of other studies that the sampler is to know, by study."""
    found: dict[str, Any] = {}
    for given in params.warm_start:
        name = given.name if isinstance(given, Study) else given
        trials = await tuner.trials_of(name, ",".join(sought.names), sought.directions)
        found[name] = trials[: given.trials] if isinstance(given, Study) else trials
        usable = warming.known(found[name], plan)
        if len(usable) < len(found[name]):
            ctx.warn(
                f"the sampler knows {len(usable)} of {len(found[name])} trials of the study {name!r}: the others were "
                "not completed, or have other parameters than `space` and `fixed`"
            )
        found[name] = usable
    return found


def _name(params: TuneParams, key: str) -> str:
    """Return the study's name: readable, a valid file name, and unique for each different input."""
    title = params.study or f"{params.target}-{params.algorithm}"
    return f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', title)[:100]}-{key[:10]}"


def _warnings(trials: Sequence[Any], plan: search.Plan, known: int) -> Iterator[str]:
    """Yield what makes the search less than it seems: trials that tie, and proposals that cannot use any result."""
    values = [tuple(trial.values) for trial in trials if trial.state.name == "COMPLETE"]
    if len(values) > 2 and len(set(values)) == 1 and plan.space:
        yield (
            f"all {len(values)} trials have the same value, {', '.join(f'{value:.6g}' for value in values[0])}: the "
            "ranges in `space` do not matter for this target; set others, or scale the target"
        )
    guided = len(trials) - max(search.STARTUP - known, plan.parallel)
    if plan.sampler in ("tpe", "multivariate_tpe") and guided < len(trials) / 2 and len(trials) > 4:
        yield (
            f"only {max(guided, 0)} of {len(trials)} trials were proposed with knowledge of others: raise `trials`, or "
            f"lower `parallel` (now {plan.parallel})"
        )


def _child(trial: Any, sought: Goals) -> ChildRun:
    return ChildRun(
        name=f"trial-{trial.number:04d}",
        status="failed" if trial.state.name == "FAIL" else "finished",
        started_ms=int(trial.datetime_start.timestamp() * 1000),
        ended_ms=int(trial.datetime_complete.timestamp() * 1000),
        params={name: "null" if value is None else value for name, value in trial.params.items()},
        metrics={} if trial.values is None else dict(zip(sought.names, trial.values, strict=True)),
    )


def _digest(name: str, trials: Sequence[Any]) -> str:
    """Return a digest of a study from its trials and their results."""
    content = [(trial.number, trial.state.name, trial.values, sorted(trial.params.items())) for trial in trials]
    return "sha256:" + hashlib.sha256(json.dumps([name, content]).encode()).hexdigest()

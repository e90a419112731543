"""Evaluate an agent on test cases. In: cases, metrics, a task. Out: the mean of each metric, and an experiment in Opik.

It is the SDK's own ``opik.evaluate``, against a server and against the embedded backend alike, so the scores are equal.
The cases are a dataset that is named after the agent and their content: evaluations of the same cases can be compared.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import logging
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from e2i.errors import StepError
from e2i.resilience.guard import Guard
from e2i.tools.opik import OpikSettings
from e2i.tools.opik.checking import check
from e2i.tools.opik.evaluated import Evaluated, ScoredCase
from e2i.tools.opik.jsonable import jsonable

log = logging.getLogger(__name__)
AT_ONCE = 16
"""Cases of an async task that are evaluated at a time; a plain task is called for one case after another."""
RESERVED = ("id", "trace_id", "span_id", "source", "tags", "description", "evaluators", "execution_policy")
"""Keys that mean something else in an item of Opik's datasets; a case's own are stored with the prefix ``case_``."""

Case = Mapping[str, Any]
Task = Callable[[Case], Any]


class Evaluation:
    """One evaluation that was asked for. Raises StepError for wrong cases."""

    def __init__(
        self,
        agent_name: str,
        cases: Sequence[Case],
        metrics: Sequence[Any],
        task: Task | None,
        experiment: str | None = None,
        *,
        linear: bool = False,
    ) -> None:
        """``linear``: regular expressions in the cases are searched in linear time, without look-around."""
        if not isinstance(agent_name, str) or not agent_name.strip():
            raise StepError(f"agent_name must be a text that is not empty, not {agent_name!r}", code="bad-case")
        self.agent_name = agent_name
        self.experiment = experiment
        self.linear = linear
        self.cases = [_checked(number, case, task is not None) for number, case in enumerate(cases)]
        self.metrics = [metrics] if isinstance(metrics, str) else list(metrics)
        self.task = task
        for name, given in (("test_cases", self.cases), ("metrics", self.metrics)):
            if not given:
                raise StepError(f"{name} must not be empty", code="bad-case", hint="an evaluation has at least one")
        self.items = [_item(number, case) for number, case in enumerate(self.cases)]

    @property
    def dataset(self) -> str:
        """Name of the dataset: the same for the same cases."""
        content = json.dumps(self.items, sort_keys=True).encode()
        return f"{self.agent_name}-{hashlib.sha256(content).hexdigest()[:12]}"

    @property
    def keys(self) -> set[str]:
        """What every case offers to a metric."""
        return set.intersection(*(set(item) for item in self.items)) | {"output"}


class Runner:
    """Runs evaluations against one Opik."""

    def __init__(self, settings: OpikSettings, home: Path, guard: Guard, environment: str) -> None:
        self._settings = settings
        self._home = home
        self._guard = guard
        self._environment = environment

    async def run(self, evaluation: Evaluation) -> Evaluated:
        """Return means and experiment. Raises ToolUnavailable, StepError, and what the task raises."""
        calls = _Calls(asyncio.get_running_loop())
        try:
            # a context of its own: what is open around the evaluation is not a part of what is evaluated
            return await asyncio.to_thread(Context().run, self._run, evaluation, calls)
        finally:
            calls.stopped.set()

    def _run(self, evaluation: Evaluation, calls: _Calls) -> Evaluated:
        opik = self._guard.call(_imported, deadline=math.inf)  # a slow import is no outage
        from e2i.tools.opik import metrics

        chosen = metrics.resolve(
            evaluation.metrics, evaluation.keys, evaluation.cases, calls.score, linear=evaluation.linear
        )
        client, dataset = self._guard.call(self._prepared, evaluation)
        try:
            if evaluation.experiment is not None:
                from e2i.tools.opik import experiments

                held = self._guard.call(experiments.complete, client, evaluation.experiment, len(evaluation.cases))
                if held is not None:
                    return held
            result = self._guard.call(
                self._evaluated, opik, client, dataset, chosen, evaluation, calls, deadline=math.inf
            )
            if not client.flush(timeout=math.ceil(self._settings.deadline)):
                log.warning("the experiment %s is incomplete: Opik did not take all of it", result.experiment_name)
        except calls.Failed as error:
            raise error.cause from None
        finally:
            client.end(timeout=1, flush=False)
        means = _means(result, [metric.name for metric in chosen])
        return Evaluated(means, result.experiment_name, _scored(result))

    def _prepared(self, evaluation: Evaluation) -> tuple[Any, Any]:
        """Returns a client and the dataset of the cases. Raises ToolUnavailable when Opik is down."""
        from e2i.tools.opik.client import open_client

        check(self._settings)
        client = open_client(self._settings, self._home, limited=True)
        dataset = client.get_or_create_dataset(evaluation.dataset, project_name=self._settings.project_name)
        # The newest item is evaluated first. Items that are there already are not inserted again.
        dataset.insert(evaluation.items[::-1], num_threads=1)
        return client, dataset

    def _evaluated(
        self, opik: Any, client: Any, dataset: Any, chosen: list[Any], evaluation: Evaluation, calls: _Calls
    ) -> Any:
        opik.set_global_client(client, context_wise=True)
        is_async = evaluation.task is not None and calls.is_async(evaluation.task)
        return opik.evaluate(
            dataset=dataset,
            task=partial(_output, evaluation, calls),
            scoring_metrics=chosen,
            experiment_name=evaluation.experiment
            or f"{evaluation.agent_name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid4().hex[:6]}",
            experiment_config={"agent_name": evaluation.agent_name, "environment": self._environment},
            task_threads=AT_ONCE if is_async else 1,
            verbose=0,
        )


class _Calls:
    """Calls the functions of the program: plain ones here, coroutine functions in the program's event loop."""

    class Failed(Exception):
        """A task raised ``cause``. No metric of Opik mistakes it for its own failure."""

        def __init__(self, cause: BaseException) -> None:
            super().__init__(str(cause))
            self.cause = cause

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._first: BaseException | None = None
        self.stopped = threading.Event()
        """Set when no further case is evaluated."""

    def is_async(self, function: Callable[..., Any]) -> bool:
        return any(map(inspect.iscoroutinefunction, (function, type(function).__call__)))

    def task(self, function: Task, case: Case) -> Any:
        if self.stopped.is_set():
            raise self.Failed(self._first or asyncio.CancelledError())
        try:
            made = self._result(function(case))
        except Exception as error:  # raised again where the evaluation was called
            raise self.failed(error) from error
        return made

    def failed(self, error: BaseException) -> Failed:
        """Returns the exception to raise: of the first failure, after which no further case is evaluated."""
        self._first = self._first or error
        self.stopped.set()
        return self.Failed(self._first)

    def score(self, function: Callable[[Case, Any], Any], case: Case, output: Any) -> Any:
        return self._result(function(case, output))

    def _result(self, made: Any) -> Any:
        if not inspect.isawaitable(made):
            return made
        return asyncio.run_coroutine_threadsafe(_awaited(made), self._loop).result()


async def _awaited(made: Any) -> Any:
    return await made


def _imported() -> Any:
    import opik
    import opik.evaluation.metrics

    return opik


def _output(evaluation: Evaluation, calls: _Calls, item: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the output for an item of the dataset, as ``opik.evaluate`` expects it of a task."""
    number = int(item["case_number"])
    case = evaluation.cases[number]
    if evaluation.task is None:
        return {"output": case["output"]}
    made = calls.task(evaluation.task, case)
    if not isinstance(made, Mapping) or "output" not in made:
        problem = StepError(
            f"the task returned {type(made).__name__} for test case {number}",
            code="bad-case",
            hint='return a mapping with the key "output"',
        )
        raise calls.failed(problem)
    return dict(made)


def _means(result: Any, names: Sequence[str]) -> dict[str, float]:
    """Returns the mean of each metric, in order. Raises StepError for a metric that failed for every case."""
    scores = result.aggregate_evaluation_scores().aggregated_scores
    failed: dict[str, list[str]] = {}
    for test in result.test_results:
        for score in test.score_results:
            if score.scoring_failed:
                failed.setdefault(score.name, []).append(str(score.reason))
    means = {name: float(found.mean) for name, found in scores.items()}
    for name, reasons in failed.items():
        if name not in means:
            raise StepError(f"the metric {name!r} failed for every test case: {reasons[0]}", code="bad-metric")
        log.warning("the metric %s failed for %d of the test cases: %s", name, len(reasons), reasons[0])
    return {**{name: means[name] for name in names if name in means}, **means}


def _scored(result: Any) -> list[ScoredCase]:
    """Return the outputs and scores of the cases, in their order."""
    found = [
        ScoredCase(
            int(test.test_case.dataset_item_content["case_number"]),
            test.test_case.task_output.get("output"),
            {score.name: float(score.value) for score in test.score_results if not score.scoring_failed},
        )
        for test in result.test_results
    ]
    return sorted(found, key=lambda case: case.number)


def _checked(number: int, case: Any, has_task: bool) -> Case:
    if not isinstance(case, Mapping):
        raise StepError(
            f"test case {number} is a {type(case).__name__}",
            code="bad-case",
            hint="a test case is a mapping with `input` and `expected_output`",
        )
    if not has_task and "output" not in case:
        raise StepError(
            f"test case {number} has no output", code="bad-case", hint="add `output` to each case, or pass a task"
        )
    return case


def _item(number: int, case: Case) -> dict[str, Any]:
    """Returns a case as an item of a dataset. Its number keeps equal cases apart."""
    item = {f"case_{name}" if name in RESERVED else str(name): jsonable(value) for name, value in case.items()}
    item.pop("output", None)
    if "expected_output" in item:
        item.setdefault("reference", item["expected_output"])
    return {**item, "case_number": number}

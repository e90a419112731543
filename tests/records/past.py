"""A past run for tests: a table is loaded from a file, split, and a model is trained and judged."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from e2i.planning.inputs import Components
from e2i.records.past import PastRun
from e2i.store.past import (
    GitState,
    KeptResult,
    PlannedStep,
    RecordedOptions,
    RecordedPlan,
    RecordedReason,
    RecordedRun,
    RecordedStep,
    RunOrigin,
)

RUN = "20261122-000000-abcdef"
SPEC = "version: 1\nname: demo\nparams: {rows: {type: integer, default: 9}}\nsteps: {}\n"
START = 1_795_392_000_000


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


def table(letter: str) -> dict[str, Any]:
    columns = [{"name": "x", "type": "double"}, {"name": "y", "type": "int64"}]
    return {"type": "table", "digest": digest(letter), "columns": columns, "rows": 9}


def model(letter: str) -> dict[str, Any]:
    facts = {"algorithm": "XGBoost", "task": "classification", "target": "y", "features": ["x"]}
    return {"type": "model", "digest": digest(letter), **facts}


def recorded(step: str, uses: str, at: int, outputs: dict[str, Any], *needs: str) -> RecordedStep:
    """The row of a succeeded step. ``at``: seconds after the start of the run."""
    return RecordedStep(
        run=RUN,
        id=step,
        uses=uses,
        needs=needs,
        verdict="run",
        reason=RecordedReason(code="never-run", detail="new"),
        status="succeeded",
        attempts=1,
        started_ms=START + 1000 * at,
        ended_ms=START + 1000 * at + 500,
        fingerprint=f"f-{step}",
        outputs=outputs,
    )


def components(uses: str, given: dict[str, Any], resolved: dict[str, Any], **more: Any) -> Components:
    facts = {"action": uses, "version": 1, "files": {}, "libraries": {}, "python": "3.11", "seed": 7}
    return Components(**{**facts, "written": given, "params": resolved, **more})


def past_run(run: str = RUN, **more: Any) -> PastRun:
    """The run, with anything in it replaced."""
    parts = {
        "f-load": components("data.load", {"path": "data/x.csv"}, {"path": "data/x.csv"}, files={"data/x.csv": digest("a")}),
        "f-split": components(
            "data.split",
            {"table": "${{ steps.load.table }}", "strategy": "random"},
            {"table": {"$artifact": digest("b")}, "strategy": "random"},
        ),
        "f-train": components(
            "model.train",
            {"table": "${{ steps.split.train }}", "target": "y"},
            {"table": {"$artifact": digest("c")}, "target": "y"},
            libraries={"xgboost": "3.2.0"},
        ),
        "f-judge": components(
            "model.evaluate",
            {"model": "${{ steps.train.model }}", "table": "${{ steps.split.test }}", "share": "${{ steps.split.parts.test }}"},
            {"model": {"$artifact": digest("e")}, "table": {"$artifact": digest("d")}, "share": 0.2},
        ),
    }  # fmt: skip
    git = GitState(
        commit="1" * 40,
        branch="main",
        dirty=True,
        changed=("specs/demo.yaml",),
        changed_files=1,
        remote="https://example.com/team/repo.git",
        path="specs/demo.yaml",
    )
    origin = RunOrigin(
        e2i="0.1.0",
        python="3.11.7",
        host="here",
        system="Linux",
        libraries={"xgboost": "3.2.0"},
        seed=7,
        spec=digest("8"),
        git=git,
    )
    steps = (
        recorded("load", "data.load", 0, {"table": table("b")}),
        recorded("split", "data.split", 1, {"train": table("c"), "test": table("d"), "parts": {"test": 0.2}}, "load"),
        recorded("train", "model.train", 2, {"model": model("e")}, "split"),
        recorded("judge", "model.evaluate", 3, {"metrics": {"roc_auc": 0.7, "log_loss": 0.5}}, "split", "train"),
    )
    found = RecordedRun(
        id=run,
        pipeline="demo",
        status="succeeded",
        started_ms=START,
        ended_ms=START + 6_000,
        paused_ms=0,
        resumed_ms=None,
        file="specs/demo.yaml",
        spec=SPEC,
        profile="default",
        params={"rows": 9},
        plan=plan_of(steps),
        outputs={"auc": 0.7},
        host="here",
        included={},
        options=RecordedOptions(),
        provenance=origin,
        steps=tuple(replace(step, run=run) for step in steps),
    )
    results = {mark: KeptResult(run=run, components=part) for mark, part in parts.items()}
    return PastRun(replace(found, **more), results)


def plan_of(steps: tuple[RecordedStep, ...]) -> RecordedPlan:
    planned = tuple(
        PlannedStep(
            id=step.id, uses=step.uses, needs=step.needs, verdict=step.verdict, reason=step.reason, fingerprint=None
        )
        for step in steps
    )
    return RecordedPlan(
        digest=digest("9"), name="demo", profile="default", params={}, steps=planned, summary={"run": len(steps)}
    )


def step_of(past: PastRun, step: str) -> RecordedStep:
    return next(one for one in past.run.steps if one.id == step)


def with_steps(past: PastRun, *steps: RecordedStep) -> PastRun:
    """The run with these steps."""
    return replace(past, run=replace(past.run, plan=plan_of(steps), steps=steps))


def altered(past: PastRun, step: str, **more: Any) -> PastRun:
    """The run with something in one of its steps replaced."""
    return with_steps(past, *(replace(one, **more) if one.id == step else one for one in past.run.steps))


def with_result(past: PastRun, mark: str, run: str | None = None, **more: Any) -> PastRun:
    """The run with a kept result like that of the step, or of that fingerprint: of another run, from other inputs."""
    known = past.results.get(mark) or next(iter(past.results.values()))
    result = KeptResult(run=run or known.run, components=replace(known.components, **more))
    return replace(past, results={**past.results, mark: result})

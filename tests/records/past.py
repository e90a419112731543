"""Documents of runs for tests: a table is loaded from a file, split, and a model is trained and judged."""

from __future__ import annotations

from typing import Any

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


def planned(step: str, uses: str, *needs: str) -> dict[str, Any]:
    reason = {"code": "never-run", "detail": "new"}
    return {"id": step, "uses": uses, "needs": list(needs), "verdict": "run", "reason": reason, "fingerprint": None}


def row(step: str, uses: str, at: int, outputs: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    times = {"started_ms": START + 1000 * at, "ended_ms": START + 1000 * at + 500}
    facts = {"status": "succeeded", "attempts": 1, "tries": [], "note": "", "error": None, "fingerprint": f"f-{step}"}
    return {"step": step, "uses": uses, "outputs": outputs, **times, **facts, **more}


def components(uses: str, given: dict[str, Any], resolved: dict[str, Any], **more: Any) -> dict[str, Any]:
    facts = {"action": uses, "version": 1, "files": {}, "libraries": {}, "python": "3.11", "seed": 7}
    return {**facts, "with": given, "params": resolved, **more}


def run_document(run: str = "20261122-000000-abcdef", **more: Any) -> dict[str, Any]:
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
    git = {"commit": "1" * 40, "branch": "main", "dirty": True, "changed": ["specs/demo.yaml"], "changed_files": 1}
    found: dict[str, Any] = {
        "run": run,
        "pipeline": "demo",
        "status": "succeeded",
        "started_ms": START,
        "ended_ms": START + 6_000,
        "paused_ms": 0,
        "resumed_ms": None,
        "file": "specs/demo.yaml",
        "spec": SPEC,
        "profile": "default",
        "params": {"rows": 9},
        "plan": {
            "digest": digest("9"),
            "steps": [
                planned("load", "data.load"),
                planned("split", "data.split", "load"),
                planned("train", "model.train", "split"),
                planned("judge", "model.evaluate", "split", "train"),
            ],
        },
        "outputs": {"auc": 0.7},
        "provenance": {
            "e2i": "0.1.0",
            "python": "3.11.7",
            "host": "here",
            "system": "Linux",
            "libraries": {"xgboost": "3.2.0"},
            "seed": 7,
            "spec": digest("8"),
            "git": {**git, "remote": "https://example.com/team/repo.git", "path": "specs/demo.yaml"},
        },
        "steps": [
            row("load", "data.load", 0, {"table": table("b")}),
            row("split", "data.split", 1, {"train": table("c"), "test": table("d"), "parts": {"test": 0.2}}),
            row("train", "model.train", 2, {"model": model("e")}),
            row("judge", "model.evaluate", 3, {"metrics": {"roc_auc": 0.7, "log_loss": 0.5}}),
        ],
        "results": {mark: {"run": run, "components": part} for mark, part in parts.items()},
    }
    return {**found, **more}


def altered(run: dict[str, Any], step: str, **more: Any) -> dict[str, Any]:
    """The run with something in one of its steps replaced."""
    return {**run, "steps": [{**one, **(more if one["step"] == step else {})} for one in run["steps"]]}

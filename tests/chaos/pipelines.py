"""Specs to be killed, and what an undisturbed run of each gives."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

from project import Project

ROOT = Path(__file__).parents[2]

STEPS = '''"""Steps that write down, in a file of the workspace, that they were executed."""
import os
import pathlib
import time


def mark(name):
    with pathlib.Path(__file__).with_name("marks").open("a") as file:
        file.write(name + "\\n")


def table(name, rows=100):
    import pandas

    mark(name)
    return pandas.DataFrame({"x": range(rows)})


def count(name, table):
    mark(name)
    return len(table)


def note(name, value=None, seconds=0):
    mark(name)
    time.sleep(seconds)
    return value
'''

SIX = """version: 1
name: six
steps:
  a: {uses: python.call, with: {file: steps.py, function: table, arguments: {name: a}}}
  b: {uses: data.split, with: {table: "${{ steps.a.table }}", strategy: random}}
  c: {uses: python.call, with: {file: steps.py, function: count, arguments: {name: c, table: "${{ steps.b.train }}"}}}
  d: {uses: debug.echo, with: {value: "${{ steps.c.value }}"}}
  e: {uses: python.call, with: {file: steps.py, function: note, arguments: {name: e, value: "${{ steps.d.value }}"}}}
  f: {uses: debug.echo, with: {value: ["${{ steps.e.value }}", "${{ steps.b.test }}"]}}
outputs: {f: "${{ steps.f.value }}", table: "${{ steps.a.table }}"}
"""
"""Six steps in a row: in workers and in the engine, with tables and with plain values."""

TOOLS = {
    "data": "{uses: dataset.hcp, with: {rows: 1000}}",
    "quality": """{uses: great_expectations.validate, with: {table: "${{ steps.data.journeys }}",
    suite: [{type: expect_column_values_to_not_be_null, column: target}]}}""",
    "split": """{uses: data.split, needs: [quality], with: {table: "${{ steps.data.journeys }}", strategy: entity,
    by: hcp_id}}""",
    "tune": """{uses: optuna.tune, with: {train: "${{ steps.split.train }}", validation: "${{ steps.split.validation }}",
    target: target, trials: 3, algorithm: LogisticRegression, features: [call_frequency, sample_frequency]}}""",
    "train": """{uses: model.train, with: {table: "${{ steps.split.train }}", target: target,
    algorithm: LogisticRegression, features: [call_frequency, sample_frequency],
    params: "${{ steps.tune.best_params }}"}}""",
    "register": """{uses: mlflow.register, with: {model: "${{ steps.train.model }}", name: chaos}}""",
    "package": """{uses: bentoml.package, needs: [register], with: {model: "${{ steps.train.model }}", name: chaos}}""",
}
"""Real tools in a row: Great Expectations, Optuna, scikit-learn, MLflow, BentoML."""

GIVES = {
    "data": "${{ steps.data.journeys }}",
    "split": "${{ [steps.split.train, steps.split.test] }}",
    "tune": "${{ steps.tune.best_params }}",
    "train": "${{ steps.train.model }}",
    "register": "${{ steps.register.version.version }}",
    "package": "${{ steps.package.bento }}",
}
"""The outputs of real tools that must be the same whatever died. (A model version also names its MLflow run, whose id
MLflow draws by lot.)
"""


def tools(last: str | None = None) -> str:
    """The pipeline of real tools, as far as that step."""
    names = list(TOOLS)
    names = names[: names.index(last) + 1] if last else names
    steps = "".join(f"  {name}: {TOOLS[name]}\n" for name in names)
    outputs = "".join(f'  {name}: "{GIVES[name]}"\n' for name in names if name in GIVES)
    return f"version: 1\nname: tools\nsteps:\n{steps}outputs:\n{outputs}"


def make(root: Path, spec: str, *, sinks: str = "[]", workers: int = 1) -> Project:
    """A project with that spec as ``spec.yaml``."""
    project = Project(root)
    patient = "tools: {mlflow: {deadline: 300}, bentoml: {deadline: 300, build_deadline: 600}}\n"
    project.write("config/default.yaml", f"sinks: {sinks}\nworkers: {workers}\nflush: 300\n{patient}")
    project.write("spec.yaml", spec)
    project.write("steps.py", STEPS)
    return project


def chain(length: int, *, in_workers: bool = False) -> str:
    """Steps that give a value on, one after another."""
    uses = "debug.sleep, with: {seconds: 0," if in_workers else "debug.echo, with: {"
    above = ("0", *(f'"${{{{ steps.s{number}.value }}}}"' for number in range(length - 1)))
    steps = "".join(f"  s{number}: {{uses: {uses} value: {value}}}}}\n" for number, value in enumerate(above))
    return f'version: 1\nname: chain\nsteps:\n{steps}outputs: {{last: "${{{{ steps.s{length - 1}.value }}}}"}}\n'


def fan(width: int) -> str:
    """Steps that wait for nothing."""
    steps = (f"  s{i}: {{uses: debug.echo, with: {{value: {i}}}}}\n" for i in range(width))
    return "version: 1\nname: fan\nsteps:\n" + "".join(steps)


def marked(count: int, seconds: float = 0) -> str:
    """Steps side by side that write down that they were executed."""
    call = "uses: python.call, with: {file: steps.py, function: note, arguments:"
    steps = (f"  s{i}: {{{call} {{name: s{i}, value: {i}, seconds: {seconds}}}}}}}\n" for i in range(count))
    return "version: 1\nname: marked\nsteps:\n" + "".join(steps)


def marks(project: Project) -> Counter[str]:
    """How often each step that writes it down was executed."""
    file = project.root / "marks"
    return Counter(file.read_text().split()) if file.exists() else Counter()


def effects(project: Project) -> dict[str, int]:
    """What the tools of a project hold, as their own files say: each must be there exactly once, whatever died."""
    found: dict[str, int] = {}
    questions = {
        "versions": ("mlflow/mlflow.db", "SELECT count(*) FROM model_versions"),
        "runs": ("mlflow/mlflow.db", "SELECT count(*) FROM runs"),
        "running": ("mlflow/mlflow.db", "SELECT count(*) FROM runs WHERE status = 'RUNNING'"),
        "trials": ("optuna/studies.db", "SELECT count(*) FROM trials WHERE state = 'COMPLETE'"),
    }
    for name, (file, question) in questions.items():
        if (project.store / file).exists():
            with sqlite3.connect(project.store / file) as database:
                found[name] = int(database.execute(question).fetchone()[0])
    bentos = project.store / "bentoml" / "bentos"
    if bentos.exists():
        found["bentos"] = sum(1 for path in bentos.glob("*/*") if path.is_dir())
    return found


def copy_state(project: Project, folder: Path) -> Path:
    """A copy of the journal as a dead process left it, log and all, so that looking at it changes nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in project.store.glob("state.db*"):
        shutil.copy(file, folder)
    return folder / "state.db"


def outputs_of(events: list[dict[str, Any]]) -> Any:
    """The outputs that the last line of a run tells."""
    return events[-1]["outputs"] if events and events[-1]["event"] == "run.finished" else None

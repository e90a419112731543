"""Steps that are not deterministic are found on a re-run, with what differs; those that are, are not blamed."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2i.errors import BadInput
from e2i.reruns import verifying
from e2i.reruns.results import VerificationDocument
from project import Project

CODE = """\
import datetime, hashlib, locale, os, pathlib, random, tempfile, time, uuid
import numpy as np
import pandas as pd

WORDS = [f"w{i}" for i in range(40)]
CALLS = []


def set_order(): return list(set(WORDS))
def hash_of_text(): return hash("text")
def set_in_table(): return pd.DataFrame({"word": list(set(WORDS))})
def unseeded(): return random.random()
def unseeded_numpy(): return float(np.random.rand())
def shuffled(): return pd.DataFrame({"n": np.random.permutation(50)})
def clock(): return time.time()
def local_hour(): return datetime.datetime.fromtimestamp(0).hour
def unique_name(): return str(uuid.uuid4())
def float_sums():
    parts = np.array_split(np.linspace(0, 1e9, 100_001) ** 1.5, int(os.environ["OMP_NUM_THREADS"]))
    return float(sum(part.cumsum()[-1] for part in parts))
def listed(): return {name: i for i, name in enumerate(os.listdir("data"))}
def globbed(): return [path.name for path in pathlib.Path("data").iterdir()]
def walked(): return [name for _, _, names in os.walk("data") for name in names]
def locale_of(): return locale.setlocale(locale.LC_ALL, "")
def variable(): return os.environ.get("USER", "") + os.environ.get("HOME", "")
def temporary(): return tempfile.mkdtemp()
def temporary_folder(): return tempfile.gettempdir()
def process(): return os.getpid()
def address(): return str(object())
def calls_before():
    CALLS.append(1)
    return len(CALLS) + int(os.environ["OMP_NUM_THREADS"])
def sometimes_fails():
    if os.environ.get("USER") == "verify":
        raise ValueError("not this time")
    return 1


def fine(table):
    rng = np.random.default_rng(7)
    return table.assign(noise=rng.normal(size=len(table)), words=sorted(set(WORDS))[: len(table)])
def total(rows): return {"rows": rows, "sorted": sorted(set(WORDS)), "listing": sorted(os.listdir("data"))}
"""
KINDS = (
    "set_order", "hash_of_text", "set_in_table", "unseeded", "unseeded_numpy", "shuffled", "clock", "local_hour",
    "unique_name", "float_sums", "listed", "globbed", "walked", "locale_of", "variable", "temporary", "temporary_folder",
    "process", "address", "calls_before", "sometimes_fails",
)  # fmt: skip
FINE = """\
  made: {uses: data.load, with: {path: people.csv}}
  fine: {uses: python.call, with: {file: code.py, function: fine, arguments: {table: "${{ steps.made.table }}"}}}
  total: {uses: python.call, with: {file: code.py, function: total, arguments: {rows: "${{ steps.fine.table.rows }}"}}}
  kept: {uses: data.write, with: {table: "${{ steps.fine.table }}", path: out.csv}}
"""


def _project(root: Path, kinds: tuple[str, ...], env: dict[str, str] | None = None) -> Project:
    project = Project(root)
    project.write("code.py", CODE)
    project.write("people.csv", "id,age\n1,17\n2,30\n3,45\n")
    project.write("config/policy.yaml", "human: {write_roots: ['.']}\n")
    for name in ("b", "a", "c"):
        project.write(f"data/{name}.txt", name)
    steps = "".join(f"  {kind}: {{uses: python.call, with: {{file: code.py, function: {kind}}}}}\n" for kind in kinds)
    project.write("spec.yaml", f"version: 1\nname: planted\nsteps:\n{FINE}{steps}")
    done = project.cli("run", "spec.yaml", env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def _verify(project: Project, **options: int) -> VerificationDocument:
    return verifying.verify("last", project.workspace, **options)


def test_a_step_that_differs_is_named_and_nothing_real_is_touched(tmp_path: Path) -> None:
    project = _project(tmp_path, ("set_in_table", "unseeded"))
    before = project.listing()
    done = project.cli("verify", "last")
    assert done.returncode == 1 and "first step that is not deterministic: set_in_table" in done.stdout
    assert "value: the same rows in another order" in done.stdout or "rows in another order" in done.stdout
    assert "kept" in done.stdout and "data.write has effects outside of its results" in done.stdout
    assert project.listing() == before
    with pytest.raises(BadInput):
        verifying.verify("none", project.workspace)


@pytest.mark.slow
def test_every_planted_kind_is_found_and_no_other_step(tmp_path: Path) -> None:
    found = _verify(_project(tmp_path, KINDS))
    results = {step.step: step.result for step in found.steps}
    missed = [kind for kind in KINDS if results[kind] not in ("differs", "failed")]
    assert missed == [] and len(KINDS) >= 15
    assert {results[name] for name in ("made", "fine", "total")} == {"equal"} and results["kept"] == "replayed"
    assert found.first == KINDS[0] and results["sometimes_fails"] == "failed"


@pytest.mark.slow
def test_changed_code_is_not_called_nondeterminism(tmp_path: Path) -> None:
    project = _project(tmp_path, ())
    assert _verify(project, times=2).first is None
    project.write("code.py", CODE + "\n# changed\n")
    results = {step.step: step.result for step in _verify(project).steps}
    assert results == {"made": "equal", "fine": "changed", "total": "changed", "kept": "replayed"}

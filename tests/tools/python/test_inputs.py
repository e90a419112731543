"""What makes a call run again: every file that the plan can see."""

from __future__ import annotations

import pytest

from e2i import api
from e2i.planning.model import Verdict
from e2i.workspace import matches
from project import Project

SPEC = """
version: 1
name: inputs
params:
  source: {type: path, default: data/a.txt}
steps:
  a:
    uses: python.call
    with: {file: steps/code.py, function: f%s}
outputs: {text: "${{ steps.a.value }}"}
"""
ARGUMENT = ", arguments: {source: '${{ params.source }}'}"


def again(project: Project, spec: str) -> str:
    """Returns why the step would run after its first run; "reuse" when it would not."""
    (step,) = (one for one in project.plan(spec).steps if one.uses == "python.call")
    return "reuse" if step.verdict is Verdict.REUSE else step.reason.detail


@pytest.mark.parametrize(
    ("call", "of"),
    [
        (ARGUMENT, "data/a.txt"),
        (", arguments: {source: {inner: ['${{ params.source }}']}}", "data/a.txt"),
        (", arguments: {source: '${{ params.source }}/../b.txt'}", "data/b.txt"),
        (", reads: [data/a.txt]", "data/a.txt"),
        (", reads: ['data/*.txt']", "data/b.txt"),
        (", reads: ['**/c.txt']", "data/in/c.txt"),
    ],
)
def test_a_file_that_is_named_is_an_input(project: Project, call: str, of: str) -> None:
    for name in ("data/a.txt", "data/b.txt", "data/in/c.txt", "data/other.bin"):
        project.write(name, "one")
    project.write("steps/code.py", "def f(source=None): return 1\n")
    if ".." in call:
        (project.root / "data/a.txt").unlink()
        (project.root / "data/a.txt").mkdir()
    spec = SPEC % call
    project.run(spec)
    assert again(project, spec) == "reuse"
    project.write("data/other.bin", "two")
    assert again(project, spec) == "reuse"
    project.write(of, "two")
    assert of.rpartition("/")[2] in again(project, spec)


def test_a_new_match_of_a_pattern_is_an_input(project: Project) -> None:
    project.write("data/a.txt", "one")
    project.write("steps/code.py", "from pathlib import Path\ndef f(): return len(list(Path('data').glob('*')))\n")
    spec = SPEC % ", reads: ['data/*']"
    project.run(spec)
    project.write("data/b.txt", "one")
    assert "data/b.txt" in again(project, spec)
    assert project.run(spec).outputs["text"] == 2


def test_a_path_reaches_the_call_through_a_matrix_and_another_step(project: Project) -> None:
    project.write("data/a.txt", "one")
    project.write("steps/code.py", "def f(source): return open(source).read()\n")
    spec = """
version: 1
name: inputs
params:
  source: {type: path, default: data/a.txt}
steps:
  echo: {uses: debug.echo, with: {value: "${{ params.source }}"}}
  a:
    uses: python.call
    matrix: {source: ["${{ params.source }}"]}
    with: {file: steps/code.py, function: f, arguments: {source: "${{ matrix.source }}"}}
  b:
    uses: python.call
    with: {file: steps/code.py, function: f, arguments: {source: "${{ steps.echo.value }}"}}
outputs: {text: "${{ steps.b.value }}"}
"""
    assert project.run(spec).outputs == {"text": "one"}
    project.write("data/a.txt", "two")
    assert [step.id for step in project.plan(spec).steps if step.verdict is Verdict.RUN] == ["a[data_a.txt]", "b"]
    assert project.run(spec).outputs == {"text": "two"}


def test_a_path_reaches_the_call_through_an_included_spec(project: Project) -> None:
    project.write("data/a.txt", "one")
    project.write("steps/code.py", "def f(source): return open(source).read()\n")
    project.write("inner.yaml", (SPEC % ARGUMENT).replace("{type: path, default: data/a.txt}", "{type: string}"))
    spec = """
version: 1
name: outer
params: {where: {type: path, default: data/a.txt}}
steps:
  inner: {uses: ./inner.yaml, with: {source: "${{ params.where }}"}}
outputs: {text: "${{ steps.inner.text }}"}
"""
    project.write("outer.yaml", spec)
    assert project.run(project.root / "outer.yaml").outputs == {"text": "one"}
    project.write("data/a.txt", "two")
    assert project.run(project.root / "outer.yaml").outputs == {"text": "two"}


@pytest.mark.parametrize(
    "code",
    [
        "import lib.one as m\ndef f(): return m.X",
        "from lib import one\ndef f(): return one.X",
        "from lib.one import X\ndef f(): return X",
        "def f():\n    from lib import one\n    return one.X",
        "import importlib\ndef f(): return importlib.import_module('lib.one').X",
        "import importlib\ndef f(): return importlib.import_module(name='lib.one').X",
        "def f(): return __import__('lib.one').one.X",
        "import lib.through\ndef f(): return lib.through.X",
        "from lib.relative import X\ndef f(): return X",
        "from .near import X\ndef f(): return X",
        "from . import near\ndef f(): return near.X",
        "from ..lib.one import X\ndef f(): return X",
        "import pack\ndef f(): return pack.X",
        "try:\n    from lib.one import X\nexcept ImportError:\n    X = 0\ndef f(): return X",
    ],
)
def test_a_module_that_is_imported_is_an_input(project: Project, code: str) -> None:
    two_dots = "from .." in code
    project.write("lib/one.py", "X = 1\n")
    project.write("lib/through.py", "from lib.one import X\n")
    project.write("lib/relative.py", "from .one import X\n")
    project.write("steps/near.py", "from lib.one import X\n")
    project.write("pack/__init__.py", "from lib.one import X\n")
    project.write("steps/code.py", code)
    if two_dots:
        project.write("all/steps/code.py", code)
        project.write("all/lib/one.py", "X = 1\n")
    changed = "all/lib/one.py" if two_dots else "lib/one.py"
    spec = (SPEC % "").replace("steps/code.py", "all/steps/code.py" if two_dots else "steps/code.py")
    assert project.run(spec).outputs == {"text": 1}
    assert again(project, spec) == "reuse"
    project.write(changed, "X = 2\n")
    assert changed in again(project, spec)
    assert project.run(spec).outputs == {"text": 2}


def test_a_module_that_the_plan_does_not_see_is_refused_not_stale(project: Project) -> None:
    project.write("lib/one.py", "X = 1\n")
    project.write(
        "steps/code.py", "import importlib\nname = 'lib.' + 'one'\ndef f(): return importlib.import_module(name).X\n"
    )
    record = project.run(SPEC % "")
    error = record.steps["a"].error
    assert error is not None and "is not part of the plan" in error.message


def test_a_file_that_changes_while_it_is_read_has_no_result(project: Project) -> None:
    project.write("data/a.txt", "one")
    code = "def f(source):\n    open(source, 'w').write('two')\n    return 1\n"
    project.write("steps/code.py", code)
    error = project.run(SPEC % ARGUMENT).steps["a"].error
    assert error is not None and error.code == "input-changed-during-run"


def test_large_data_that_is_read_is_not_taken_for_code(project: Project) -> None:
    project.write("data/a.txt", "x" * (2 << 20))
    project.write("steps/code.py", "def f(): return 1\n")
    assert project.run(SPEC % ", reads: ['data/*']").outputs == {"text": 1}


WRITTEN = """
version: 1
name: written
steps:
  data: {uses: dataset.hcp, with: {rows: 100}}
  write: {uses: data.write, with: {table: "${{ steps.data.journeys }}", path: out/new.csv, mode: replace}}
  a:
    uses: python.call
    needs: [write]
    with: {file: steps/code.py, function: f, reads: ["out/*.csv"]}
outputs: {files: "${{ steps.a.value }}"}
"""


def test_a_file_that_the_run_writes_is_among_those_that_are_read(project: Project) -> None:
    project.write("out/old.csv", "a")
    project.write("steps/code.py", "from pathlib import Path\ndef f(): return len(list(Path('out').glob('*.csv')))\n")
    assert project.run(WRITTEN).outputs == {"files": 2}
    record = project.run(WRITTEN)
    assert record.steps["a"].status.value == "reused"
    assert record.outputs == {"files": 2}


def test_a_file_that_appears_while_others_are_read_has_no_result(project: Project) -> None:
    project.write("data/a.txt", "one")
    project.write("steps/code.py", "def f():\n    open('data/b.txt', 'w').close()\n    return 1\n")
    error = project.run(SPEC % ", reads: ['data/*']").steps["a"].error
    assert error is not None and "'data/b.txt' is new" in error.message


def test_tables_by_name_are_kept_and_reused(project: Project) -> None:
    project.write("steps/code.py", "import pandas as pd\ndef f(): return {'t': pd.DataFrame({'x': [1]}), 'n': 1}\n")
    spec = (SPEC % "").replace("steps.a.value", "steps.a.outputs.t.rows")
    assert project.run(spec).outputs == {"text": 1}
    assert project.cli("gc", "--keep-days", "1").returncode == 0
    assert again(project, spec) == "reuse"


def test_too_many_matches_are_a_problem_and_fail_a_step_whose_pattern_is_known_late(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matches, "MOST", 2)
    for name in "abc":
        project.write(f"data/{name}.txt", "one")
    project.write("steps/code.py", "def f(): return 1\n")
    found = api.validate(SPEC % ", reads: ['data/*']", workspace=project.workspace).problems
    assert [one.code for one in found] == ["too-large"]
    late = (SPEC % ", reads: ['${{ steps.echo.value }}']").replace(
        "steps:", "steps:\n  echo: {uses: debug.echo, with: {value: 'data/*'}}"
    )
    error = project.run(late).steps["a"].error
    assert error is not None and error.code == "too-large"

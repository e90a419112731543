"""The content of a file that a step reads is the content that was fingerprinted, whatever happens to the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from e2i import api
from e2i.errors import Refused
from e2i.execution.events import StepStarted
from e2i.execution.record import RunRecord
from project import Project

SUITE = "name: s\nexpectations: [{type: expect_table_row_count_to_be_between, min_value: %d}]\n"
FILES = {
    "code.py": "from pack.helper import VALUE\n\ndef f(x=None):\n    return VALUE\n",
    "imports.py": "import pack.deep\n\ndef f():\n    return pack.deep.VALUE\n",
    "pack/__init__.py": "",
    "pack/helper.py": "from . import deep\n\nVALUE = deep.VALUE\n",
    "pack/deep.py": "VALUE = 1\n",
    "a.csv": "x,y\n1,1\n2,2\n",
    "config/expectations/s.yaml": SUITE % 1,
}
OTHER = {
    "code.py": "def f():\n    return 2\n",
    "pack/deep.py": "VALUE = 2\n",
    "a.csv": "x,y\n7,7\n",
    "config/expectations/s.yaml": SUITE % 0,
}
"""Another content of files that steps read."""
READS = {
    "code": {"uses": "python.call", "with": {"file": "code.py", "function": "f"}},
    "module": {"uses": "python.call", "with": {"file": "imports.py", "function": "f"}},
    "data": {"uses": "data.load", "with": {"path": "a.csv"}},
    "suite": {"uses": "great_expectations.validate", "with": {"table": "${{ steps.table.table }}", "suite": "s"}},
}
CHANGED = {"code": "code.py", "module": "pack/deep.py", "data": "a.csv", "suite": "config/expectations/s.yaml"}
SPEC = {
    "version": 1,
    "name": "inputs",
    "steps": {
        "first": {"uses": "python.call", "with": {"file": "hold.py", "function": "hold"}},
        "table": {"uses": "data.load", "with": {"path": "table.csv"}},
        **{name: {**step, "needs": ["first"], "on_error": "continue"} for name, step in READS.items()},
    },
}
"""Steps that read files, after one that lasts until the test lets it go."""


@pytest.fixture
def files(project: Project) -> Project:
    for name, text in FILES.items():
        project.write(name, text)
    project.write("table.csv", "x\n1\n")
    project.hold()
    return project


def run_and(project: Project, change: Callable[[], object]) -> RunRecord:
    """Runs ``SPEC``; the change is made while its first step runs."""

    def listen(event: Any) -> None:
        project.events.append(event)
        if isinstance(event, StepStarted) and event.step == "first":
            change()
            project.let_go()

    project.events.clear()
    return api.run(SPEC, workspace=project.workspace, listen=listen)


@pytest.mark.parametrize(
    "how", ["swapped", *(pytest.param(how, marks=pytest.mark.slow) for how in ("written over", "removed", "linked"))]
)
def test_a_file_that_changed_since_it_was_planned_is_not_used(files: Project, how: str) -> None:
    def change() -> None:
        for file, other in OTHER.items():
            path = files.root / file
            if how == "written over":
                path.write_text(other, "utf-8")
                continue
            path.unlink()
            if how == "swapped":
                files.write(f"{file}.new", other).rename(path)
            elif how == "linked":
                path.symlink_to(files.write(f"other/{path.name}", other))

    record = run_and(files, change)
    for step, file in CHANGED.items():
        error = record.steps[step].error
        assert error is not None, step
        assert error.code == "input-changed-during-run", error
        assert repr(file) in error.message
    for file in OTHER:
        (files.root / file).unlink(missing_ok=True)
        files.write(file, FILES[file])
    again = {step: status for step, status in files.statuses(SPEC).items() if step in READS}
    assert again == dict.fromkeys(READS, "succeeded")  # nothing was kept under the digest of what was planned


def test_a_file_that_changes_while_it_is_read_is_not_used_and_the_copy_stays(files: Project) -> None:
    """What was copied and hashed is what is read, however the file changes from then on."""
    files.write("slow.py", "from pathlib import Path\n\ndef f():\n    Path('slow.py').write_text('raise SystemExit')\n"
                           "    import pack.deep\n    Path('pack/helper.py').write_text('VALUE = 9')\n"
                           "    from pack.helper import VALUE\n    return VALUE\n")  # fmt: skip
    step = {"uses": "python.call", "with": {"file": "slow.py", "function": "f"}}
    record = files.run({"version": 1, "name": "slow", "steps": {"a": step}})
    assert record.steps["a"].outputs["value"] == 1


def test_a_module_that_the_step_imports_is_part_of_its_fingerprint(files: Project) -> None:
    step = {"uses": "python.call", "with": {"file": "code.py", "function": "f"}}
    one = {"version": 1, "name": "modules", "steps": {"a": step}}
    before = files.plan(one)
    assert sorted(before.steps[0].components.files) == sorted(
        ["code.py", "pack/__init__.py", "pack/helper.py", "pack/deep.py"]
    )
    approved = before.to_json()
    files.run(one, bound_to=approved)
    files.write("pack/deep.py", "VALUE = 2\n")
    after = files.plan(one).steps[0]
    assert (after.reason.code.value, after.reason.detail) == ("file-changed", "pack/deep.py")
    with pytest.raises(Refused):
        files.run(one, bound_to=approved)


def test_a_module_that_is_imported_by_no_statement_is_refused(files: Project) -> None:
    files.write("hidden.py", "VALUE = 3\n")
    code = "def f():\n    name = 'hid' + 'den'\n    return __import__(name).VALUE\n"
    files.write("dynamic.py", code)
    step = {"uses": "python.call", "with": {"file": "dynamic.py", "function": "f"}}
    record = files.run({"version": 1, "name": "dynamic", "steps": {"a": step}})
    assert "hidden.py is not part of the plan" in record.steps["a"].error.message


@pytest.mark.parametrize("added", ["lib", "alias", "pack/plugins"])
def test_a_module_in_a_folder_that_code_puts_on_the_path_is_refused(files: Project, added: str) -> None:
    """No plan knows it, so it could be another one by the time it is imported."""
    files.write("lib/extra.py", "VALUE = 4\n")
    files.write("pack/plugins/extra.py", "VALUE = 4\n")
    (files.root / "alias").symlink_to("lib")
    where = "import pack; pack.__path__.append" if added.startswith("pack") else "import sys; sys.path.append"
    name = "pack.extra" if added.startswith("pack") else "extra"
    code = f"def f():\n    {where}({str(files.root / added)!r})\n    import {name} as extra\n    return extra.VALUE\n"
    files.write("adds.py", code)
    files.write(
        "other.py", "import sys\n\ndef f():\n    return [n for n in sys.path if n.endswith(('lib', 'alias'))]\n"
    )
    files.write("config/default.yaml", "sinks: []\nworkers: 1\n")
    one = {"uses": "python.call", "with": {"file": "adds.py", "function": "f"}, "on_error": "continue"}
    two = {"uses": "python.call", "with": {"file": "other.py", "function": "f"}, "needs": ["a"]}
    record = files.run({"version": 1, "name": "adds", "steps": {"a": one, "b": two}})
    assert record.steps["a"].error is not None
    assert "extra.py is not part of the plan" in record.steps["a"].error.message
    assert record.steps["b"].outputs.get("value", []) == []


def test_variables_that_code_sets_do_not_outlast_its_step(files: Project) -> None:
    files.write(
        "sets.py",
        "import os\n\nos.environ['HTTPS_PROXY'] = 'http://evil.test'\n\n"
        "def f():\n    os.environ['AWS_ENDPOINT_URL'] = os.environ['HOME'] = 'evil'\n    del os.environ['PATH']\n"
        "def g():\n    names = ('HTTPS_PROXY', 'AWS_ENDPOINT_URL', 'HOME', 'PATH')\n"
        "    return [os.environ.get(name) for name in names]\n",
    )
    files.write("looks.py", (files.root / "sets.py").read_text().replace("os.environ['HTTPS_PROXY'] =", "_ ="))
    files.write("config/default.yaml", "sinks: []\nworkers: 1\n")
    one = {"uses": "python.call", "with": {"file": "sets.py", "function": "f"}}
    two = {"uses": "python.call", "with": {"file": "looks.py", "function": "g"}, "needs": ["a"]}
    record = files.run({"version": 1, "name": "sets", "steps": {"a": one, "b": two}})
    proxy, endpoint, home, path = record.steps["b"].outputs["value"]
    assert (proxy, endpoint) == (None, None)
    assert home != "evil"
    assert path


def test_a_module_does_not_outlast_its_step(files: Project) -> None:
    """What one step imported is not there for another, whose fingerprint does not cover it."""
    files.write("other.py", "import sys\n\ndef f():\n    return [n for n in sys.modules if n.startswith('pack')]\n")
    files.write("config/default.yaml", "sinks: []\nworkers: 1\n")
    one = {"uses": "python.call", "with": {"file": "code.py", "function": "f"}}
    two = {"uses": "python.call", "with": {"file": "other.py", "function": "f"}, "needs": ["a"]}
    record = files.run({"version": 1, "name": "two", "steps": {"a": one, "b": two}})
    assert record.steps["b"].outputs["value"] == []


def test_processes_that_the_code_starts_import_the_same_content(files: Project) -> None:
    files.write("work.py", "def double(x):\n    return 2 * x\n")
    files.write(
        "many.py",
        "import multiprocessing\nfrom pathlib import Path\n\nimport work\n\ndef f():\n"
        "    Path('work.py').write_text('def double(x):\\n    return 0\\n')\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n        return pool.map(work.double, [1, 2])\n",
    )
    step = {"uses": "python.call", "with": {"file": "many.py", "function": "f"}}
    record = files.run({"version": 1, "name": "many", "steps": {"a": step}})
    assert record.steps["a"].error is None, record.steps["a"].error
    assert record.steps["a"].outputs["value"] == [2, 4]


def test_a_module_knows_the_place_of_its_file(files: Project) -> None:
    files.write("near.py", "from pathlib import Path\n\nTEXT = (Path(__file__).parent / 'a.csv').read_text()[:3]\n")
    files.write("uses_near.py", "import near\n\ndef f():\n    return near.TEXT\n")
    step = {"uses": "python.call", "with": {"file": "uses_near.py", "function": "f"}}
    record = files.run({"version": 1, "name": "near", "steps": {"a": step}})
    assert record.steps["a"].outputs["value"] == "x,y"


def test_a_link_to_another_file_of_the_workspace_counts_as_what_it_leads_to(files: Project) -> None:
    (files.root / "link.csv").symlink_to(Path("a.csv"))
    step = {"uses": "data.load", "with": {"path": "link.csv"}}
    assert files.run({"version": 1, "name": "link", "steps": {"a": step}}).status == "succeeded"

"""What a cold `e2i validate` and `e2i plan` load, and that ending at once loses nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from project import ENGINE, LONGEST, Project

PLAIN = """
version: 1
name: plain
steps:
  a: {uses: debug.echo, with: {value: 1}}
  b: {uses: debug.echo, with: {value: "${{ steps.a.value }}"}}
"""
CORE = {
    "annotated_types",
    "click",
    "e2i",
    "msgspec",
    "pydantic",
    "pydantic_core",
    "typing_extensions",
    "typing_inspection",
    "yaml",
    "cython_runtime",  # of PyYAML
    "sitecustomize",
}
HEAVY = {
    "asyncio", "email", "http", "importlib.metadata", "jinja2", "logging", "multiprocessing", "networkx",
    "rich", "socket", "subprocess", "tempfile", "unittest", "zipfile",
}  # fmt: skip
BROKEN = "version: 1\nname: broken\nsteps:\n" + "".join(f"  s{i}: {{uses: debug.ecoh}}\n" for i in range(2_000))
LESS = "".join(BROKEN.splitlines(keepends=True)[:203])
"""Two hundred problems: more than a pipe holds, of what takes time for each fix."""


LOOK = """
import sys
from e2i import startup
startup.exit_now = lambda code: print(*sys.modules, sep="\\n", file=sys.stderr)
from e2i.cli.main import main
main()
"""


FLOWS = """
import sys
from e2i import startup
startup.defer_heavy_modules()
startup.skip_plugin_search()
from e2i.catalog.registry import BUILT_IN
for name in BUILT_IN.names():
    BUILT_IN.column_flow(name)
print(*sys.modules, sep="\\n", file=sys.stderr)
"""


def loaded(project: Project, *arguments: str, program: str = LOOK) -> set[str]:
    """Every module that is loaded when the command, or another program, ends."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=project.root,
        env={"PYTHONPATH": str(ENGINE)},
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return set(done.stderr.splitlines()) - {"__main__"}


def of_e2i(modules: set[str], room: str) -> set[str]:
    return {name for name in modules if name.startswith(f"e2i.{room}.")}


def test_validating_a_plain_spec_loads_the_core_alone(project: Project) -> None:
    project.write("plain.yaml", PLAIN)
    modules = loaded(project, "validate", "plain.yaml")
    third_party = {name for name in modules if "." not in name} - set(sys.stdlib_module_names)
    assert {name for name in third_party if not name.startswith("_")} <= CORE
    assert modules.isdisjoint(HEAVY | {"sqlite3", "hmac", "e2i.catalog.columns", "e2i.cli.commands.runs"}), (
        modules & HEAVY
    )
    assert of_e2i(modules, "tools") == {"e2i.tools.debug"}
    assert of_e2i(modules, "execution") <= {"e2i.workspace.files", "e2i.workspace.paths"}
    assert not any(of_e2i(modules, room) for room in ("planning", "report", "resilience", "estimators"))


def test_predicting_the_columns_of_any_action_loads_nothing_of_what_runs_it(project: Project) -> None:
    modules = loaded(project, program=FLOWS)
    assert modules.isdisjoint(HEAVY | {"html", "statistics", "numpy", "pandas", "pyarrow"}), modules & HEAVY
    running = {name for name in of_e2i(modules, "tools") if name.endswith(("actions", "connector", "page", "pages"))}
    assert not running and not of_e2i(modules, "execution") - {"e2i.workspace.files"}


def test_planning_a_spec_in_order_loads_no_graph_library(project: Project) -> None:
    project.write("plain.yaml", PLAIN)
    project.run(project.root / "plain.yaml")
    modules = loaded(project, "plan", "plain.yaml")
    assert modules.isdisjoint(HEAVY - {"tempfile"}), modules & HEAVY


def test_planning_a_spec_out_of_order_sorts_it(project: Project) -> None:
    head, a, b = PLAIN.partition("  a:")[0], *PLAIN.splitlines()[-2:]
    project.write("turned.yaml", f"{head}{b}\n{a}\n")
    assert "networkx" in loaded(project, "plan", "turned.yaml")


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_all_is_printed_before_the_process_ends(project: Project, command: str) -> None:
    project.write("broken.yaml", BROKEN)
    done = project.cli(command, "broken.yaml", "--json")
    assert done.returncode == 2
    assert len(json.loads(done.stdout)["problems"]) == 1_001  # a thousand, and that there are more


@pytest.mark.parametrize(
    "arguments",
    [
        ("validate", "broken.yaml", "--json"),
        ("validate", "less.yaml", "--format", "sarif"),
        ("plan", "broken.yaml", "--json"),
        ("fix", "beyond.yaml"),
        ("diff", "broken.yaml", "broken.yaml", "--json"),
        ("explain", "no-such-code", "--json"),
        ("show", "no-such-run", "--json"),
        ("validate",),
    ],
)
def test_a_reader_that_stops_reading_changes_nothing_else(project: Project, arguments: tuple[str, ...]) -> None:
    project.write("broken.yaml", BROKEN)
    project.write("less.yaml", LESS)
    project.write("beyond.yaml", LESS + "  last: {uses: nothing.like.it}\n")
    read, write = os.pipe()
    os.close(read)
    with project.start(*arguments, stdout=write, stderr=write) as process:
        os.close(write)
    assert process.returncode == 2


def test_a_stream_that_was_never_open_is_one_that_nobody_reads(project: Project) -> None:
    project.write("plain.yaml", PLAIN)
    script = f"exec {sys.executable} -m e2i.cli.main validate plain.yaml >&- 2>&-"
    done = subprocess.run(["sh", "-c", script], cwd=project.root, env={"PYTHONPATH": str(ENGINE)}, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("arguments", [("validate", "plain.yaml"), ("plan", "plain.yaml", "--json"), ("catalog",)])
def test_output_that_is_lost_is_no_success(project: Project, arguments: tuple[str, ...]) -> None:
    project.write("plain.yaml", PLAIN)
    with Path("/dev/full").open("w") as full, project.start(*arguments, stdout=full) as process:
        assert process.stderr is not None
        said = process.stderr.read()
    assert said == "error: standard output cannot be written: No space left on device [not-writable]\n"
    assert process.returncode == 4


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_run_whose_output_is_lost_comes_to_its_end_all_the_same(project: Project, more: tuple[str, ...]) -> None:
    project.write("plain.yaml", PLAIN)
    with Path("/dev/full").open("w") as full, project.start("run", "plain.yaml", *more, stdout=full) as process:
        process.communicate()
    assert process.returncode == 4
    assert set(project.statuses(PLAIN).values()) == {"reused"}
    project.write("fails.yaml", "version: 1\nname: f\nsteps:\n  a: {uses: debug.fail, with: {message: no}}\n")
    with Path("/dev/full").open("w") as full, project.start("run", "fails.yaml", *more, stdout=full) as process:
        process.communicate()
    assert process.returncode == 1, "what went wrong first counts"


def test_pydantics_own_loader_is_there_when_more_is_needed() -> None:
    code = (
        "from e2i import startup\n"
        "startup.skip_plugin_search()\n"
        "import pydantic, pydantic.plugin\nfrom pydantic.plugin import _loader as loader\n"
        "assert list(loader.get_plugins()) == []\n"
        "assert pydantic.create_model('One', value=(int, ...))(value='1').value == 1\n"
        "assert loader.PYDANTIC_ENTRY_POINT_GROUP == 'pydantic'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(ENGINE)}, timeout=LONGEST)

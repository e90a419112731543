"""The documentation goes in; its examples are validated or run, its links followed, its reference lists compared.

What a page may hold, each marked by a comment right above the block:

- A ``yaml`` block needs no mark: a spec, a part of the page's own pipeline, an expectation suite, settings or a policy.
  The parts on one page make one pipeline, so that its examples can refer to each other.
- ``<!-- file: NAME -->``: the block is also a file of the page's workspace, for the commands of the page.
- ``<!-- checked -->`` above a ``console`` block: its commands are run there, and print what the page shows. A line
  ``…`` stands for any lines; run ids, times, digests and figures are masked on both sides.
- ``<!-- setup -->`` above a ``console`` block: the same, but before anything on the page is validated.
- ``<!-- workspace: empty -->`` as the first line of a page: its workspace has no specs and no configuration.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

import e2i
from e2i import policy, settings
from e2i.api import Workspace
from e2i.catalog.action import ToolSettings
from e2i.catalog.registry import BUILT_IN
from e2i.cli.main import e2i as commands
from e2i.errors import Exit
from e2i.planning.model import Verdict, Why
from e2i.settings import Settings
from e2i.spec import document, filters, references
from e2i.spec.models import ParamSpec, PipelineSpec, ResourcesSpec, RetrySpec, StepSpec
from e2i.testing import suite
from e2i.tools.great_expectations.suite import Suite

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/adr/*.md")]
)
EMPTY = "<!-- workspace: empty -->\n"
PARTS = {"params", "defaults", "steps", "finally", "outputs"}
VARIABLES = {
    "MLFLOW_TRACKING_URI": "https://mlflow.example.com",
    "MLFLOW_ARTIFACT_ROOT": "s3://bucket/mlflow",
    "OPIK_URL": "https://opik.example.com/api",
    "OPIK_API_KEY": "key",
    "OPTUNA_STORAGE": "postgresql://optuna@db.example.com/optuna",
    "FEAST_REGISTRY": "postgresql+psycopg://feast@db.example.com/feast",
    "REDIS_HOST": "redis.example.com",
    "ALERT_TOKEN": "token",
}
"""What the settings in the documentation read from the environment."""
MASKS = (
    (re.compile(r"\b\d{8}-\d{6}-[0-9a-f]{6}\b"), "RUN"),
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b"), "TIME"),
    (re.compile(r"\s+\d+\.\d s\b"), " SECONDS"),
    (re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{12}|[0-9a-f]{2}/[0-9a-f]{62})\b"), "DIGEST"),
    (re.compile(r"\b\d\.\d{3,}\b"), "FIGURE"),
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page: its language, its text, and the comment right above it."""

    language: str
    text: str
    mark: str
    line: int


def blocks(page: str) -> list[Block]:
    found = re.compile(r"^(?:<!-- (?P<mark>[^\n]*) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
    text = (ROOT / page).read_text("utf-8")
    return [
        Block(match["language"], match["text"], match["mark"] or "", text.count("\n", 0, match.start("text")) + 1)
        for match in found.finditer(text)
    ]


def yaml_blocks(page: str) -> list[tuple[Block, dict[str, Any]]]:
    found = []
    for block in blocks(page):
        if block.language == "yaml":
            read, problems = document.read(block.text, f"{page}:{block.line}")
            assert read is not None, problems
            found.append((block, read.data))
    return found


@pytest.fixture
def workspace(tmp_path: Path, page: str) -> Path:
    """A folder with the repository's specs and configuration, and the files that the page shows or sets up."""
    if not (ROOT / page).read_text("utf-8").startswith(EMPTY):
        for name in ("config", "specs"):
            shutil.copytree(ROOT / name, tmp_path / name)
    for block in blocks(page):
        if block.mark.startswith("file: "):
            target = tmp_path / block.mark.removeprefix("file: ")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, "utf-8")
    run_blocks(page, "setup", tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_examples_are_valid(page: str, workspace: Path) -> None:
    profile = "docs" if (workspace / "config" / "docs.yaml").exists() else None
    opened = Workspace.open(root=workspace, profile=profile, environ=VARIABLES)
    pipeline: dict[str, Any] = {"version": 1, "name": "page", "steps": {}}
    for block, data in yaml_blocks(page):
        where = f"{page}:{block.line}"
        if "version" in data:
            assert problems_of(block.text, opened) == [], where
        elif data.keys() <= PARTS:
            for part, content in data.items():
                pipeline.setdefault(part, {}).update(content)
        elif all(isinstance(step, dict) and "uses" in step for step in data.values()):
            pipeline["steps"].update(data)
        elif "cases" in data:
            name = block.mark.removeprefix("file: ")
            assert suite.check([str(workspace / name)])[1] == [], where
        elif "expectations" in data:
            Suite.model_validate(data)
        elif data.keys() <= policy.Policy.model_fields.keys():
            (workspace / policy.FILE).write_text(block.text, "utf-8")
            policy.load(workspace, VARIABLES)
        else:
            assert data.keys() <= Settings.model_fields.keys(), (
                f"{where}: neither spec, step, suite, policy nor settings"
            )
            accept_settings(block.text, workspace)
    if pipeline["steps"]:
        assert problems_of(pipeline, opened, "error") == [], page  # of warnings: not every example reads all others


def problems_of(spec: Any, workspace: Workspace, *severities: str) -> list[str]:
    """Return the problems of a spec; all of them if no severity is named."""
    problems = e2i.validate(spec, workspace=workspace).problems
    return [str(problem) for problem in problems if not severities or problem.severity in severities]


def accept_settings(text: str, workspace: Path) -> None:
    folder = workspace / "settings"
    folder.mkdir(exist_ok=True)
    (folder / "default.yaml").write_text(text, "utf-8")
    settings.load(folder, None, VARIABLES).check()


SHOWN = [page for page in PAGES if any(block.mark == "checked" for block in blocks(page))]


LONG = {f"docs/{name}.md" for name in ("flagship", "operations", "predictions", "tutorial")}


@pytest.mark.parametrize("page", [pytest.param(page, marks=pytest.mark.slow if page in LONG else ()) for page in SHOWN])
def test_commands_print_what_the_page_shows(page: str, workspace: Path) -> None:
    if page != "README.md":  # which is run as it is shipped; elsewhere nothing that is shown depends on trackers
        file = workspace / "config" / "default.yaml"
        file.parent.mkdir(exist_ok=True)
        shipped = file.read_text("utf-8") if file.exists() else "sinks:\n"
        file.write_text(re.sub(r"^sinks:.*$", "sinks: []", shipped, flags=re.M), "utf-8")
    run_blocks(page, "checked", workspace)


def run_blocks(page: str, mark: str, workspace: Path) -> None:
    """Run the commands of all blocks with this mark, and compare their output with the page."""
    for block in blocks(page):
        if block.mark != mark:
            continue
        for command, shown in commands_in(block.text):
            printed = run(command, workspace)
            assert matches(shown, printed), f"{page}:{block.line}: {command}\n{printed}"


def test_every_command_of_the_tutorial_is_run() -> None:
    assert {block.mark for block in blocks("docs/tutorial.md") if block.language == "console"} == {"setup", "checked"}


def commands_in(text: str) -> list[tuple[str, str]]:
    """Each command of a console block, with what it is shown to print."""
    _, *pieces = re.split(r"^\$ ", text, flags=re.M)
    pairs = (re.split(r"(?<!\\)\n", piece, maxsplit=1) for piece in pieces)
    return [(command, shown) for command, shown in pairs]


def run(command: str, workspace: Path) -> str:
    bin_folder = Path(sys.executable).parent
    kept = ("HOME", "LANG", "PYTHONPATH", "TMPDIR")
    environ = {name: os.environ[name] for name in kept if name in os.environ}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=workspace,
        env={**environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=600,
        text=True,
    )
    return done.stdout.replace(str(workspace), "/project")


def matches(shown: str, printed: str) -> bool:
    """Whether the output is what is shown, but for what is masked and for lines left out by ``…``."""
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line.rstrip()) + r" *\n"
        for line in masked(shown).splitlines()
    )
    return re.fullmatch(pattern, masked(printed)) is not None


def masked(text: str) -> str:
    for mask, name in MASKS:
        text = mask.sub(name, text)
    return text


def test_a_line_that_is_not_printed_is_noticed() -> None:
    assert matches("one\n…\n✓ two  0.1 s\n", "one\nany\nmore\n✓ two  12.5 s\n")
    assert not matches("one\ntwo\n", "one\nthree\n")
    assert not matches("one\n", "one\ntwo\n")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text("utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"", text):
        link = "".join(target)
        if link.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(file.read_text("utf-8")), f"{page}: {link}"


@pytest.mark.parametrize("page", [page for page in PAGES if any("from: " in block.mark for block in blocks(page))])
def test_code_that_is_shown_is_that_of_the_file(page: str) -> None:
    for block in blocks(page):
        if block.mark.startswith("from: "):
            file = block.mark.removeprefix("from: ")
            assert block.text in (ROOT / file).read_text("utf-8"), f"{page}:{block.line}: {file} differs"


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def page_names(page: str) -> set[str]:
    """Everything that a page sets as code."""
    return set(re.findall(r"`([^`\n]+)`", (ROOT / page).read_text("utf-8")))


def test_every_action_has_an_example() -> None:
    used = {
        step["uses"]
        for _, data in yaml_blocks("docs/tools.md")
        for step in data.values()
        if isinstance(step, dict) and "uses" in step
    }
    assert used == set(BUILT_IN.names())


@pytest.mark.parametrize("tool", sorted(BUILT_IN))
def test_every_setting_of_a_tool_is_described(tool: str) -> None:
    declared = BUILT_IN.tool(tool)
    assert declared is not None
    introduction, *sections = re.split(r"^## ", (ROOT / "docs/tools.md").read_text("utf-8"), flags=re.M)
    text = next(part for part in sections if part.startswith(f"{tool}\n"))
    of_all, own = ToolSettings.model_fields.keys(), declared.settings.model_fields.keys()
    assert {name for name in of_all if f"`{name}`" not in introduction} == set()
    assert {name for name in own - of_all if f"`{name}`" not in text} == set()
    assert own == of_all or "`deadline`" in text  # its default differs


def test_the_language_reference_names_everything_in_the_language() -> None:
    models = (PipelineSpec, ParamSpec, StepSpec, RetrySpec, ResourcesSpec)
    keys = {field.alias or name for model in models for name, field in model.model_fields.items()}
    words = {*filters.FILTERS, *filters.TESTS, *references.ROOTS, *Verdict, *Why}
    assert (keys | words) - page_names("docs/spec.md") == set()


def test_the_rules_of_a_policy_are_all_described() -> None:
    rules = {*policy.Policy.model_fields, *policy.Rules.model_fields, *policy.Budgets.model_fields}
    assert rules - page_names("docs/security.md") == set()


def test_the_settings_are_all_described() -> None:
    assert set(Settings.model_fields) - {"profile"} - page_names("docs/operations.md") == set()


def test_the_command_table_names_the_commands_that_there_are() -> None:
    rows = re.findall(r"^\| `(e2i[^`]*)`", (ROOT / "README.md").read_text("utf-8"), flags=re.M)
    named = {"run" if row.startswith("e2i-run") else row.split()[1] for row in rows}
    assert named == set(commands.list_commands(click.Context(commands)))


def test_the_make_targets_are_those_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text("utf-8"), flags=re.M)) - {"help"}
    rows = re.findall(r"^\| `make ([a-z-]+)`", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), flags=re.M)
    assert set(rows) == targets


def test_the_packages_are_described_in_the_order_of_the_import_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    rows = re.findall(r"^\| `(e2i\.\w+)` \|", (ROOT / "docs/code.md").read_text("utf-8"), flags=re.M)
    assert rows == [package for layer in layers for package in layer.split(" | ")]


def test_the_files_of_the_route_exist() -> None:
    named = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)+\.py)`", (ROOT / "docs/code.md").read_text("utf-8")))
    assert named
    assert {name for name in named if not (ROOT / "engine/e2i" / name).exists()} == set()


def test_the_glossary_is_alphabetical_and_defines_each_term_once() -> None:
    text = (ROOT / "docs/glossary.md").read_text("utf-8")
    _, _, *terms = [row.lower() for row in re.findall(r"^\| ([^|]+) \|", text, flags=re.M)]
    assert terms == sorted(set(terms))


def test_the_exit_codes_are_all_described() -> None:
    rows = re.findall(r"^\| (\d+) \|", (ROOT / "docs/commands.md").read_text("utf-8"), flags=re.M)
    assert [int(row) for row in rows] == sorted(code.value for code in Exit)

"""Paths on the command line and in specs that lead to pipes, devices, sockets and folders: refused at once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from e2i.cli.main import e2i
from project import Project

SPEC = "version: 1\nname: s\nsteps: {a: {uses: debug.echo, with: {value: 1}}}\n"
KINDS = ("pipe", "device", "folder", "dangling link", "way out")


def put(path: Path, kind: str, project: Project) -> None:
    """Puts something under the path that is no regular file of the workspace."""
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case "dangling link":
            path.symlink_to("nowhere")
        case _:
            outside = project.root.parent / f"{project.root.name}-outside.yaml"
            outside.write_text(SPEC, "utf-8")
            path.symlink_to(outside)


@pytest.fixture
def here(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(project.root)
    monkeypatch.delenv("E2I_STORE", raising=False)
    project.write("s.yaml", SPEC)
    return project


def command(*arguments: str) -> Result:
    return CliRunner().invoke(e2i, arguments)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "arguments",
    [
        ("validate", "x.yaml"),
        ("validate", "--format", "sarif", "x.yaml"),
        ("plan", "x.yaml"),
        ("run", "x.yaml"),
        ("run", "--dry-run", "x.yaml"),
        ("fix", "x.yaml"),
        ("fix", "--write", "x.yaml"),
        ("diff", "x.yaml", "s.yaml"),
        ("diff", "s.yaml", "x.yaml"),
    ],
)
def test_a_spec_is_a_regular_file_of_the_workspace(here: Project, arguments: tuple[str, ...], kind: str) -> None:
    put(here.root / "x.yaml", kind, here)
    result = command(*arguments)
    assert result.exit_code == 2, result.output
    assert "x.yaml" in result.output and "Traceback" not in result.output


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_a_plan_is_read_from_and_written_to_regular_files_only(here: Project, kind: str) -> None:
    put(here.root / "plan.json", kind, here)
    assert command("run", "s.yaml", "--plan", "plan.json").exit_code == 2
    written = command("plan", "s.yaml", "-o", "plan.json")
    assert written.exit_code == (0 if kind in ("dangling link", "device") else 2)
    if written.exit_code == 0:  # the link itself was replaced
        assert json.loads((here.root / "plan.json").read_text("utf-8"))["name"] == "s"


@pytest.mark.parametrize("kind", KINDS[:-1])
@pytest.mark.parametrize(("file", "code"), [("policy", 3), ("default", 2), ("dev", 2)])
def test_configuration_that_cannot_be_read_stops_everything(here: Project, file: str, code: int, kind: str) -> None:
    put(here.root / "config" / f"{file}.yaml", kind, here)
    for arguments in (("validate", "s.yaml"), ("plan", "s.yaml"), ("run", "s.yaml"), ("fix", "s.yaml")):
        result = command(*arguments, *(("--profile", "dev") if file == "dev" else ()))
        assert result.exit_code == code, result.output
        assert f"{file}.yaml" in result.output
    assert not here.store.exists()


@pytest.mark.parametrize("kind", ["dangling link", "pipe", "file"])
def test_a_folder_of_configuration_that_is_none_stops_everything(here: Project, kind: str) -> None:
    (here.root / "config" / "default.yaml").unlink()
    (here.root / "config").rmdir()
    if kind == "file":
        here.write("config", "")
    else:
        put(here.root / "config", kind, here)
    assert command("validate", "s.yaml").exit_code in (2, 3)


@pytest.mark.parametrize(
    "text",
    [
        "human: [",
        "human: {bugets: {}}",
        "human: {actions: [${NOT_SET}]}",
        "1",
        "agent: {actions: [debug.nothing]}",
        "#" * 2**21,
    ],
)
def test_a_policy_that_is_invalid_is_a_refusal(here: Project, text: str) -> None:
    here.write("config/policy.yaml", text)
    result = command("validate", "s.yaml", "--origin", "agent")
    assert result.exit_code == 3, result.output
    assert "policy.yaml" in result.output


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_policy_that_may_not_be_read_is_a_refusal(here: Project) -> None:
    here.write("config/policy.yaml", "human: {}\n").chmod(0)
    assert command("validate", "s.yaml").exit_code == 3


def test_a_profile_is_a_name_and_no_path(here: Project) -> None:
    here.write("other.yaml", "sinks: []\n")
    result = command("plan", "s.yaml", "--profile", "../other")
    assert (result.exit_code, "no profile '../other'" in result.output) == (2, True)


@pytest.mark.parametrize("kind", ["pipe", "device", "dangling link"])
def test_a_store_is_a_folder(here: Project, kind: str) -> None:
    put(here.root / "store", kind, here)
    for arguments in (("run", "s.yaml"), ("runs",), ("doctor",), ("sync",), ("gc",)):
        result = command(*arguments, "--store", "store")
        assert result.exit_code in (0, 2, 3, 4), (arguments, result.output)
        assert "Traceback" not in result.output


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
@pytest.mark.parametrize(
    "step",
    [
        "{uses: data.load, with: {path: x.csv}}",
        "{uses: python.call, with: {file: x.py, function: f}}",
        "{uses: great_expectations.validate, with: {table: '${{ steps.t.table }}', suite: x}}",
        "{uses: ./x.yaml}",
    ],
)
def test_what_a_spec_names_is_a_regular_file(here: Project, step: str, kind: str) -> None:
    here.write("t.csv", "a\n1\n")
    for file in ("x.csv", "x.py", "config/expectations/x.yaml", "x.yaml"):
        put(here.root / file, kind, here)
    here.write("s.yaml", f"version: 1\nname: s\nsteps:\n  t: {{uses: data.load, with: {{path: t.csv}}}}\n  a: {step}\n")
    result = command("validate", "s.yaml")
    assert result.exit_code in (2, 3), result.output


@pytest.mark.parametrize("step", ["{uses: data.load, with: {path: x.csv}}", "{uses: ./x.yaml}"])
def test_hidden_names_are_not_reached_by_a_link(here: Project, step: str) -> None:
    here.write(".private/x.csv", "secret\n1\n")
    here.write(".private/x.yaml", SPEC)
    (here.root / "x.csv").symlink_to(".private/x.csv")
    (here.root / "x.yaml").symlink_to(".private/x.yaml")
    (here.root / "folder").symlink_to(".private")
    for text in (step, step.replace("x.", "folder/x.")):
        here.write("s.yaml", f"version: 1\nname: s\nsteps: {{a: {text}}}\n")
        assert command("validate", "s.yaml").exit_code == 0
        result = command("validate", "s.yaml", "--origin", "agent")
        assert result.exit_code == (3 if "data.load" in step else 2), result.output
        assert "hidden name" in result.output and "secret" not in result.output

"""``runs``, ``show``, ``diff`` and ``provenance`` on real runs."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from e2i.cli import run_view, schemas
from e2i.cli.main import e2i
from project import LONGEST, Project, lines, until
from records.past import past_run

FLOW = """
version: 1
name: flow
params:
  n: {type: integer, default: 3}
  secret_word: {type: string, default: none}
steps:
  load: {uses: data.load, with: {path: data/x.csv}}
  kept: {uses: debug.echo, with: {value: "${{ steps.load.table }}"}}
  judge: {uses: debug.echo, needs: [kept], with: {value: {metrics: {roc_auc: "${{ params.n / 10 }}"}}}}
outputs: {auc: "${{ steps.judge.value.metrics.roc_auc }}"}
"""
FAILS = """
version: 1
name: fails
params: {n: {type: integer, default: 3}}
steps:
  first: {uses: debug.echo, with: {value: "${{ params.n }}"}}
  bad: {uses: debug.fail, with: {message: "no ${{ steps.first.value }}"}}
  below: {uses: debug.echo, needs: [bad]}
"""
SLOW = "version: 1\nname: slow\nsteps: {wait: {uses: debug.sleep, with: {seconds: 600}}, last: {uses: debug.echo, needs: [wait]}}\n"


def git(folder: Path, *arguments: str) -> None:
    who = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", **who}
    subprocess.run(["git", *arguments], cwd=folder, env=environ, capture_output=True, check=True)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in a repository, with two runs of one spec: other parameters, another file, another commit."""
    made = Project(tmp_path_factory.mktemp("past") / "project")
    made.write(".gitignore", ".e2i\n")
    made.write("flow.yaml", FLOW)
    made.write("data/x.csv", "x,y\n1,2\n")
    git(made.root, "init", "-q", "-b", "main")
    git(made.root, "add", ".")
    git(made.root, "commit", "-q", "-m", "first")
    assert made.cli("run", "flow.yaml").returncode == 0
    made.write("data/x.csv", "x,y\n1,3\n")
    git(made.root, "remote", "add", "origin", "https://me:token@example.com/team/repo.git")
    assert made.cli("run", "flow.yaml", "-p", "n=4").returncode == 0
    assert until(lambda: not made.processes())
    return made


def reported(project: Project, *arguments: str) -> Result:
    """Runs ``e2i ARGUMENTS`` in the project, in this process."""
    with contextlib.chdir(project.root):
        return CliRunner().invoke(e2i, list(arguments), prog_name="e2i", env={"E2I_STORE": None, "COLUMNS": "200"})


def document(project: Project, kind: str, *arguments: str) -> Any:
    """Returns the ``--json`` output of a command, validated against its schema."""
    done = reported(project, *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    jsonschema.Draft202012Validator(schemas.schema(kind)).validate(found)
    return found


def ids(project: Project, *options: str) -> list[str]:
    return [run["run"] for run in document(project, "runs", "runs", *options)["runs"]]


def test_runs_are_listed_with_what_their_steps_came_to(past: Project) -> None:
    newest, oldest = document(past, "runs", "runs")["runs"]
    assert (newest["pipeline"], newest["status"], newest["steps"]) == ("flow", "succeeded", {"succeeded": 3})
    assert newest["started_ms"] > oldest["started_ms"]
    text = reported(past, "runs").stdout
    assert re.search(
        rf"^{newest['run']}  succeeded +\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d +\d+\.\d s  flow  3 ✓$", text, re.M
    )


def test_the_list_is_narrowed_by_pipeline_status_and_number(past: Project) -> None:
    assert len(ids(past, "--limit", "1")) == 1
    assert len(ids(past, "--pipeline", "flow", "--status", "succeeded")) == 2
    assert ids(past, "--pipeline", "other") == ids(past, "--status", "failed") == []
    assert reported(past, "runs", "--status", "failed").stdout == "no runs\n"


def test_a_run_goes_by_its_id_the_beginning_of_it_or_last(past: Project) -> None:
    newest, oldest = ids(past)
    assert document(past, "run", "show", "last")["run"] == newest
    assert document(past, "run", "show", oldest[:-1])["run"] == oldest
    several = reported(past, "show", oldest[:4])
    assert (several.exit_code, "several runs begin with" in several.stderr) == (2, True)
    none = reported(past, "show", "nothing", "--json")
    assert (none.exit_code, json.loads(none.stdout)["error"]["code"]) == (2, "unknown-run")


def test_a_run_says_where_it_comes_from_and_nothing_of_this_machine_s_disk(past: Project) -> None:
    found = document(past, "run", "show", "last")
    git = found["provenance"]["git"]
    assert (git["branch"], git["dirty"], git["changed"]) == ("main", True, ["data/x.csv"])
    assert (git["remote"], git["path"]) == ("https://example.com/team/repo.git", "flow.yaml")
    assert str(past.root) not in json.dumps(found)
    assert "with 1 changed files" in reported(past, "show", "last").stdout


def test_one_step_shows_its_parameters_inputs_and_outputs(past: Project) -> None:
    done = reported(past, "show", "last", "--step", "kept")
    assert "value: load.table" in done.stdout
    assert "load.table: table sha256:" in done.stdout
    assert "file data/x.csv: sha256:" in reported(past, "show", "last", "--step", "load").stdout
    wrong = reported(past, "show", "last", "--step", "keptt")
    assert (wrong.exit_code, 'did you mean "kept"?' in wrong.stderr) == (2, True)


def test_two_runs_are_compared_by_what_went_in_and_what_came_out(past: Project) -> None:
    newest, oldest = ids(past)
    found = document(past, "comparison", "diff", oldest, "last")
    assert [run["run"] for run in found["runs"]] == [oldest, newest]
    assert found["params"] == [{"name": "n", "before": 3, "after": 4}]
    assert [pair["name"] for pair in found["files"]] == ["data/x.csv"]
    assert [pair["name"] for pair in found["environment"]] == ["changed files"]
    figures = {figure["name"]: figure for figure in found["figures"]}
    assert (figures["auc"]["before"], figures["auc"]["after"]) == (0.3, 0.4)
    assert figures["judge.value.metrics.roc_auc"]["better"] is True
    reasons = {step["id"]: step["reason"]["code"] for step in found["steps"] if step["reason"]}
    assert reasons == {"load": "file-changed", "kept": "input-changed", "judge": "parameter-changed"}
    assert (found["same_inputs"], found["same_results"]) == (False, False)
    text = reported(past, "diff", oldest, newest).stdout
    assert "~ parameter n: 3 → 4" in text
    assert re.search(r"^  auc +0\.3 +0\.4 +\+0\.1  \+33\.3%$", text, re.M)
    assert re.search(r"^  judge.value.metrics.roc_auc .*  better$", text, re.M)


def test_a_spec_and_a_run_are_not_compared_and_two_specs_still_are(past: Project) -> None:
    mixed = reported(past, "diff", "flow.yaml", "last")
    assert (mixed.exit_code, "pass two specs or two runs" in mixed.stderr) == (2, True)
    assert reported(past, "diff", "flow.yaml", "HEAD:flow.yaml").stdout.startswith("cosmetic")
    assert reported(past, "diff", "last", "last", "-p", "n=1").exit_code == 2
    assert "the same: spec, parameters, files, versions, seed" in reported(past, "diff", "last", "last").stdout


def test_an_artifact_is_traced_back_to_its_file_by_name_and_by_digest(past: Project) -> None:
    found = document(past, "provenance", "provenance", "last.kept.value")
    assert [step["step"] for step in found["steps"]] == ["load", "kept"]
    (file,) = found["files"]
    assert file["path"] == "data/x.csv"
    (output,) = found["outputs"]
    for digest in (output["digest"], output["digest"][7:19]):
        again = document(past, "provenance", "provenance", digest)
        assert (again["run"], again["files"]) == (found["run"], found["files"])
    text = reported(past, "provenance", "last.kept").stdout
    assert f"from file data/x.csv  {file['digest']}" in text
    assert re.search(r"commit [0-9a-f]{12} of main with 1 changed files", text)
    missing = reported(past, "provenance", "abcdef")
    assert (missing.exit_code, "[unknown-artifact]" in missing.stderr) == (2, True)
    assert reported(past, "provenance", "last").exit_code == 2


def test_lineage_is_reported_as_events_and_as_linked_data(past: Project) -> None:
    events = lines(reported(past, "show", "last", "--format", "openlineage").stdout)
    assert [event["eventType"] for event in events].count("COMPLETE") == 4
    files = {dataset["name"] for event in events for dataset in event["inputs"] if dataset["namespace"] == "file"}
    assert files == {"data/x.csv"}
    graph = json.loads(reported(past, "show", "last", "--format", "jsonld").stdout)
    assert "prov" in graph["@context"]


def test_looking_at_the_records_changes_nothing(past: Project) -> None:
    before = past.listing()
    for command in (["runs"], ["show", "last"], ["diff", "last", "last"], ["provenance", "last.kept"]):
        assert reported(past, *command).exit_code == 0
    assert past.listing() == before


def test_a_failed_step_shows_its_parameters_and_the_others_why_they_were_skipped(project: Project) -> None:
    project.write("fails.yaml", FAILS)
    assert project.cli("run", "fails.yaml").returncode == 1
    step = json.loads(reported(project, "show", "last", "--step", "bad", "--json").stdout)
    assert step["parameters"] == {"message": "no 3"}
    assert [attempt["error"]["code"] for attempt in step["tries"]] == ["asked-to-fail"]
    text = reported(project, "show", "last").stdout
    assert "no 3 [asked-to-fail]" in text
    assert re.search(r"- below  debug.echo  skipped  bad returned no result", text)
    document(project, "run", "show", "last")


@pytest.fixture
def slow(project: Project) -> Iterator[subprocess.Popen[str]]:
    """A run whose step is running."""
    project.write("slow.yaml", SLOW)
    with project.start("run", "slow.yaml", "--json") as process:
        assert process.stdout is not None
        assert any(json.loads(line)["event"] == "step.started" for line in process.stdout)
        yield process
        process.kill()


def test_a_run_is_shown_while_it_runs_and_as_interrupted_once_it_was_killed(
    project: Project, slow: subprocess.Popen[str]
) -> None:
    assert ids(project, "--status", "running") != []
    assert ids(project, "--status", "interrupted") == []
    found = document(project, "run", "show", "last")
    assert [step["status"] for step in found["steps"]] == ["running", "pending"]
    text = reported(project, "show", "last").stdout
    assert re.search(r"▸ wait  debug.sleep  running \d+\.\d s$", text, re.M)
    assert "· last  debug.echo  pending after wait" in text
    events = lines(reported(project, "show", "last", "--format", "openlineage").stdout)
    assert {event["eventType"] for event in events} == {"START"}
    slow.kill()
    slow.wait()
    found = document(project, "run", "show", "last")
    assert (found["status"], [step["status"] for step in found["steps"]]) == ("interrupted", ["interrupted", "pending"])
    assert document(project, "runs", "runs")["runs"][0]["steps"] == {"interrupted": 1, "pending": 1}
    assert ids(project, "--status", "running") == []


def test_watching_ends_with_the_run(project: Project, slow: subprocess.Popen[str]) -> None:
    with project.start("show", "last", "--watch") as watching:
        slow.send_signal(signal.SIGTERM)
        slow.wait(LONGEST)
        out, _ = watching.communicate(timeout=LONGEST)
    assert (watching.returncode, "interrupted" in out) == (0, True)


def test_a_watched_run_is_looked_at_until_it_is_over() -> None:
    running, failed = past_run(status="running", ended_ms=None), past_run(status="failed")
    looks = iter([running, running, failed])
    waited: list[float] = []
    assert run_view.watch(lambda: next(looks), lambda: 0, waited.append) == failed
    assert len(waited) == 2


def test_the_end_of_a_long_log_is_read_without_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert run_view.tail(log, 2) == ["line 99998", "line 99999"]
    assert run_view.tail(tmp_path / "none.log") == []

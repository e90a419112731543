"""The files of docs/deployment.md: systemd accepts the units, the manifest fits the API, and every command runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from e2i import settings
from e2i.errors import Exit
from project import ENGINE

ROOT = Path(__file__).parents[2]
FILES = ROOT / "examples" / "deployment"
SPEC = "version: 1\nname: churn\nsteps:\n  a: {uses: debug.echo, with: {value: 7}}\n"
PLACE = "/srv/churn"
CRON = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
PROD = {
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:1", "MLFLOW_ARTIFACT_ROOT": "s3://x/y", "OPIK_URL": "http://127.0.0.1:1/api",
    "OPIK_API_KEY": "a-key-of-the-test-1", "OPTUNA_STORAGE": "postgresql://127.0.0.1:1/x",
    "FEAST_REGISTRY": "postgresql+psycopg://127.0.0.1:1/x", "REDIS_HOST": "127.0.0.1",
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The project that the files name, at another path: a small spec, embedded tools, and the commands."""
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "churn.yaml").write_text(SPEC)
    (tmp_path / "config").mkdir()
    for name in ("default", "prod"):
        (tmp_path / "config" / f"{name}.yaml").write_text("sinks: []\n")
    commands = tmp_path / ".venv" / "bin"
    commands.mkdir(parents=True)
    for name, function in (("e2i", "main"), ("e2i-run", "main_run")):
        script = f"import sys; from e2i.cli.main import {function}; sys.argv[0] = '{name}'; {function}()"
        (commands / name).write_text(f'#!/bin/sh\nexec {sys.executable} -c "{script}" "$@"\n')
        (commands / name).chmod(0o755)
    return tmp_path


def at(place: Path, text: str) -> str:
    return text.replace(PLACE, str(place)).replace("/etc/e2i/churn.env", str(place / "churn.env"))


def bash(place: Path, script: str, **env: str) -> subprocess.CompletedProcess[str]:
    path = f"{place / '.venv' / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script], cwd=place, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ENGINE), **env},
    )  # fmt: skip


def units() -> list[Path]:
    return sorted((FILES / "systemd").iterdir())


def test_systemd_accepts_the_units(place: Path) -> None:
    assert shutil.which("systemd-analyze"), "install systemd, as .ci/run does"
    installed = place / "units"
    installed.mkdir()
    for unit in units():
        (installed / unit.name).write_text(at(place, unit.read_text("utf-8")))
    names = [str(path) for path in sorted(installed.iterdir())]
    done = subprocess.run(["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    calendars = [line for unit in units() for line in unit.read_text().splitlines() if line.startswith("OnCalendar=")]
    assert len(calendars) == 2
    for line in calendars:
        subprocess.run(["systemd-analyze", "calendar", line.partition("=")[2]], capture_output=True, check=True)


def test_systemd_notices_a_wrong_unit(place: Path) -> None:
    wrong = place / "wrong.service"
    wrong.write_text(
        at(place, (FILES / "systemd" / "e2i-gc.service").read_text()).replace("Type=oneshot", "Type=onesht")
    )
    done = subprocess.run(["systemd-analyze", "verify", str(wrong)], capture_output=True, text=True, check=False)
    assert "onesht" in done.stderr


@pytest.mark.parametrize("unit", [path for path in units() if path.suffix == ".service"], ids=lambda path: path.name)
def test_the_commands_of_the_units_run(place: Path, unit: Path) -> None:
    commands = re.findall(r"^ExecStart(?:Pre)?=-?(.*)$", unit.read_text("utf-8"), re.MULTILINE)
    assert commands
    for command in commands:
        done = bash(place, at(place, command))
        assert done.returncode == 0, (command, done.stdout, done.stderr)


def unit(name: str) -> str:
    return (FILES / "systemd" / name).read_text("utf-8")


def test_what_still_waits_does_not_keep_the_garbage_collection_from_its_start() -> None:
    started = re.findall(r"^ExecStart=(-?).*/e2i (\w+) ", unit("e2i-gc.service"), re.MULTILINE)
    assert started == [("-", "sync"), ("", "gc")]


def test_a_tracker_that_is_down_keeps_no_run_from_its_start_and_an_outage_is_tried_again() -> None:
    text = unit("e2i-churn.service")
    assert re.findall(r"^ExecStartPre=(.)", text, re.MULTILINE) == ["-"]
    assert "--retry-run 3\n" in text and "\nRestart=on-failure\n" in text
    final = {Exit.STEP_FAILED, Exit.BAD_INPUT, Exit.REFUSED}
    assert f"\nRestartPreventExitStatus={' '.join(str(int(code)) for code in sorted(final))}\n" in text


@pytest.mark.parametrize("name", ["e2i-churn.service", "e2i-gc.service"])
def test_the_units_may_write_where_the_page_of_operations_puts_log_and_metrics(name: str) -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    metrics, log = re.findall(r"^(?:metrics_file: |log: \{file: )(/[\w/.]+)", page, re.MULTILINE)
    writable = dict(line.split("=", 1) for line in unit(name).splitlines() if re.match(r"(Logs|State)Directory=", line))
    assert str(Path(metrics).parent) == f"/var/lib/{writable['StateDirectory']}"
    assert str(Path(log).parent) == f"/var/log/{writable['LogsDirectory']}"


def test_a_shell_reads_a_quoted_value_whole(place: Path) -> None:
    value = "postgresql://e2i:x@db/optuna?sslmode=require&options=x"
    (place / "churn.env").write_text(f"OPTUNA_STORAGE='{value}'\n")
    script = crontab()[1][0][1].partition("; exec ")[0]
    assert bash(place, at(place, script) + "; printenv OPTUNA_STORAGE").stdout == f"{value}\n"
    assert "OPTUNA_STORAGE='postgresql://" in (ROOT / "docs" / "deployment.md").read_text("utf-8")


def crontab() -> tuple[dict[str, str], list[tuple[list[str], str]]]:
    """The variables of the crontab, and its jobs with their five fields of time."""
    variables, jobs = {}, []
    for line in (FILES / "crontab").read_text("utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if match := re.fullmatch(r"([A-Z_]+)=(.*)", line):
            variables[match[1]] = match[2]
        else:
            *times, command = line.split(None, 5)
            jobs.append((times, command))
    return variables, jobs


def test_the_crontab_can_be_read_and_its_commands_run(place: Path) -> None:
    variables, jobs = crontab()
    assert variables["SHELL"] == "/bin/bash"
    (place / "churn.env").write_text("OPIK_API_KEY=a-key-of-the-test-1\n")
    for times, command in jobs:
        assert len(times) == 5
        for text, (least, most) in zip(times, CRON, strict=True):
            assert text == "*" or least <= int(text) <= most
        assert "%" not in command, "cron ends the command there"
        done = bash(place, f"cd /\n{at(place, command)}")  # cron's folder is the home of the user
        assert done.returncode == 0, (command, done.stderr)
    assert (place / ".e2i" / "state.db").exists(), "of the project, whatever folder cron starts in"


def manifests() -> dict[str, dict[str, Any]]:
    text = (FILES / "kubernetes" / "cronjob.yaml").read_text("utf-8")
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(Path(__file__).with_name("cronjob.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_cron_job_fits_the_api_of_kubernetes() -> None:
    found = manifests()
    validator().validate(found["CronJob"])
    pod = found["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    claims = {v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v}
    assert claims == {found["PersistentVolumeClaim"]["metadata"]["name"]}
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in [*pod["initContainers"], *pod["containers"]]:
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        assert container["envFrom"] == [{"secretRef": {"name": found["Secret"]["metadata"]["name"]}}]
    (rule, _) = found["CronJob"]["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["containerName"] in {container["name"] for container in pod["containers"]}


def test_the_schema_notices_a_wrong_cron_job() -> None:
    for wrong in ("schedle", "jobTemplates"):
        with pytest.raises(jsonschema.ValidationError):
            validator().validate({**manifests()["CronJob"], "spec": {wrong: 1}})
    job = manifests()["CronJob"]
    job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] = "OnFailure"
    with pytest.raises(jsonschema.ValidationError):
        validator().validate(job)


def test_the_secret_has_what_the_profile_reads() -> None:
    secret = manifests()["Secret"]["stringData"]
    loaded = settings.load(ROOT / "config", "prod", secret)
    loaded.check()
    with_defaults = {"OPIK_WORKSPACE", "REDIS_PORT"}
    text = re.sub(r"#.*", "", (ROOT / "config" / "prod.yaml").read_text("utf-8"))
    assert set(re.findall(r"\$\{([A-Z_]+)", text)) - with_defaults == {*secret} == {*PROD}


def test_the_commands_of_the_pod_run(place: Path) -> None:
    pod = manifests()["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    for container in [*pod["initContainers"], *pod["containers"]]:
        env = {variable["name"]: variable["value"] for variable in container["env"]}
        (place / "store").mkdir(exist_ok=True)
        env["E2I_STORE"] = env["E2I_STORE"].replace("/store", str(place / "store"))
        env["HOME"] = str(place)
        done = bash(place, shlex.join(container["command"]), **env)
        assert done.returncode == 0, (done.stdout, done.stderr)
    assert (place / "store" / "e2i" / "state.db").exists()


def test_the_workflow_of_github_runs(place: Path) -> None:
    workflow = yaml.safe_load((FILES / "github-actions.yml").read_text("utf-8"))
    assert workflow[True]["schedule"] == [{"cron": "15 3 * * *"}]  # YAML 1.1 reads `on` as true
    job = workflow["jobs"]["run"]
    steps = [step for step in job["steps"] if "run" in step and step["name"] != "install"]
    assert [step["name"] for step in steps] == ["ready", "run", "report", "housekeeping"]
    for step in steps:
        done = bash(place, step["run"], SPEC=job["env"]["SPEC"])
        assert done.returncode == 0, (step["run"], done.stderr)
    kept = next(step for step in job["steps"] if "upload-artifact" in step.get("uses", ""))["with"]["path"].split()
    assert all((place / name).is_file() for name in kept)


def test_the_pipeline_of_gitlab_runs(place: Path) -> None:
    job = yaml.safe_load((FILES / "gitlab-ci.yml").read_text("utf-8"))["nightly"]
    for command in [*job["script"], *job["after_script"]]:
        done = bash(place, command, **job["variables"])
        assert done.returncode == 0, (command, done.stderr)
    assert all((place / name).is_file() for name in job["artifacts"]["paths"])
    assert (place / job["cache"]["paths"][0]).is_dir()


def test_every_file_is_named_on_the_page() -> None:
    page = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    files = [path.relative_to(ROOT) for path in FILES.rglob("*") if path.is_file()]
    assert [str(file) for file in files if f"(../{file})" not in page] == []

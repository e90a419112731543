"""Runs under the settings of an operator: hooks, metrics file and log say how each ended, and change none of them."""

from __future__ import annotations

import json
import re
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from live.unwell import unwell
from operations import openmetrics_text
from operations.test_openmetrics import read_by_others
from operations.webhooks import Receiver
from project import Project, Stopwatch, lines, until

OK = "version: 1\nname: fine\nsteps: {a: {uses: debug.echo, with: {value: 1}}}\noutputs: {a: '${{ steps.a.value }}'}\n"
BAD = "version: 1\nname: poor\nsteps: {gate: {uses: debug.fail, with: {message: the model is poor}}}\n"
LOOKUP = """
version: 1
name: down
steps:
  first: {uses: debug.echo, with: {value: 1}}
  find: {uses: mlflow.load, needs: [first], on_unavailable: ON, with: {name: x, stage: production}}
"""
MLFLOW_DOWN = "tools: {mlflow: {tracking_uri: 'http://127.0.0.1:PORT', deadline: 2}}\n"


def down(port: int, policy: str = "fail") -> str:
    return LOOKUP.replace("ON", policy)


def configure(project: Project, text: str) -> None:
    project.write("config/default.yaml", f"sinks: []\nflush: 1\n{text}")


def note_to(name: str = "note.json", when: str = "always") -> str:
    return f"on_finish: [{{command: [/bin/sh, -c, 'cat > {name}'], when: {when}}}]\n"


def noted(project: Project, name: str = "note.json") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project.root / name).read_text())
    return found


@pytest.fixture
def port() -> Any:
    with unwell("refusing", "http") as found:
        yield found


# Exit codes and records


def test_exit_code_and_list_of_runs_tell_an_outage_from_a_bad_model(project: Project, port: int) -> None:
    configure(project, MLFLOW_DOWN.replace("PORT", str(port)))
    project.write("ok.yaml", OK)
    project.write("bad.yaml", BAD)
    project.write("down.yaml", down(port))
    codes = [project.cli("run", name).returncode for name in ("ok.yaml", "bad.yaml", "down.yaml")]
    assert codes == [0, 1, 4]
    listed = json.loads(project.cli("runs", "--json").stdout)["runs"]
    outage, poor, fine = listed
    assert [
        (error["step"], error["uses"], error["status"], error["code"], error["outage"])
        for run in listed
        for error in run["errors"]
    ] == [
        ("find", "mlflow.load", "failed", "tool-unavailable", True),
        ("gate", "debug.fail", "failed", "asked-to-fail", False),
    ]
    assert (fine["outputs"], fine["params"], fine["errors"]) == ({"a": 1}, {}, [])
    assert "the model is poor" in poor["errors"][0]["message"]
    shown = json.loads(project.cli("show", outage["run"], "--json").stdout)
    assert shown["errors"] == outage["errors"]
    text = project.cli("runs").stdout
    assert "find [tool-unavailable]" in text and "gate [asked-to-fail]" in text


def test_a_step_that_was_deferred_is_listed_with_its_code(project: Project, port: int) -> None:
    configure(project, MLFLOW_DOWN.replace("PORT", str(port)))
    project.write("down.yaml", down(port, "defer"))
    assert project.cli("run", "down.yaml").returncode == 0
    (run,) = json.loads(project.cli("runs", "--json").stdout)["runs"]
    (error,) = run["errors"]
    assert (run["status"], error["status"], error["code"]) == ("succeeded", "deferred", "tool-unavailable")


def test_deferred_steps_are_a_metric_until_they_are_done(project: Project, port: int) -> None:
    configure(project, MLFLOW_DOWN.replace("PORT", str(port)) + "metrics_file: e2i.prom\n")
    project.write("down.yaml", down(port, "defer"))
    project.write("ok.yaml", OK)

    def deferred() -> set[str]:
        written = (project.root / "e2i.prom").read_text().splitlines()
        return {line for line in written if line.startswith("e2i_deferred_steps{")}

    assert project.cli("run", "ok.yaml").returncode == 0
    assert deferred() == {'e2i_deferred_steps{pipeline="fine",profile="default"} 0'}
    assert project.cli("run", "down.yaml").returncode == 0
    assert deferred() == {
        'e2i_deferred_steps{pipeline="down",profile="default"} 1',
        'e2i_deferred_steps{pipeline="fine",profile="default"} 0',
    }


def test_a_run_that_a_required_tool_keeps_from_starting_is_counted_for_its_pipeline(
    project: Project, port: int
) -> None:
    required = MLFLOW_DOWN.replace("PORT", str(port)).replace("tracking_uri", "required: true, tracking_uri")
    configure(project, required + "metrics_file: e2i.prom\n" + note_to())
    project.write("down.yaml", down(port))
    assert project.cli("run", "down.yaml").returncode == 4
    found = noted(project)
    assert (found["pipeline"], found["status"], found["run"], found["report"]) == ("down", "not-started", None, None)
    assert (
        'pipeline="down",profile="default",status="not-started",code="tool-required"'
        in (project.root / "e2i.prom").read_text()
    )


def test_the_notification_names_a_report_that_is_written(project: Project) -> None:
    configure(project, note_to())
    project.write("bad.yaml", BAD)
    project.cli("run", "bad.yaml")
    first = noted(project)
    assert first["report"] is None
    path = project.cli("report", first["run"]).stdout.strip()
    project.cli("run", "--resume", first["run"])
    assert noted(project)["report"] == str(project.store / "runs" / first["run"] / "report.html")
    assert "report.html" in path


# Hooks


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (OK, ("fine", "succeeded", 0, [])),
        (BAD, ("poor", "failed", 1, [("asked-to-fail", "gate", "debug", False)])),
        (
            "version: 1\nname: odd\nsteps: {a: {uses: debug.ecko}}\n",
            ("odd", "not-started", 2, [("invalid-spec", None, None, False)]),
        ),
        ("version: 1\nname: [\n", (None, "not-started", 2, [("invalid-spec", None, None, False)])),
    ],
)
def test_the_notification_says_how_the_run_ended(project: Project, spec: str, expected: Any) -> None:
    configure(project, note_to())
    project.write("s.yaml", spec)
    code = project.cli("run", "s.yaml").returncode
    found = noted(project)
    errors = [(error["code"], error["step"], error["tool"], error["outage"]) for error in found["errors"]]
    assert (found["pipeline"], found["status"], found["exit_code"], errors) == expected
    assert found["exit_code"] == code
    assert "the model is poor" not in json.dumps(found)


def test_an_outage_is_notified_with_its_tool(project: Project, port: int) -> None:
    configure(project, MLFLOW_DOWN.replace("PORT", str(port)) + note_to())
    project.write("s.yaml", down(port))
    assert project.cli("run", "s.yaml").returncode == 4
    (error,) = noted(project)["errors"]
    assert (error["step"], error["tool"], error["code"], error["outage"]) == (
        "find",
        "mlflow",
        "tool-unavailable",
        True,
    )


@pytest.mark.parametrize(
    ("when", "ran"),
    [("always", "ok bad"), ("succeeded", "ok"), ("failed", "bad"), ("degraded", ""), ("[failed, succeeded]", "ok bad")],
)
def test_a_hook_runs_when_its_settings_say(project: Project, when: str, ran: str) -> None:
    configure(project, f"on_finish: [{{command: [/bin/sh, -c, 'cat >> notes'], when: {when}}}]\n")
    project.run(OK)
    project.run(BAD)
    path = project.root / "notes"
    statuses = [json.loads(line)["status"] for line in path.read_text().splitlines()] if path.exists() else []
    assert statuses == [{"ok": "succeeded", "bad": "failed"}[word] for word in ran.split()]


def test_a_run_that_is_terminated_is_notified_as_interrupted(project: Project) -> None:
    configure(project, note_to())
    project.write("s.yaml", f"version: 1\nname: held\nsteps: {{a: {{{project.hold()}}}}}\n")
    with project.start("run", "s.yaml", "--json") as process:
        assert process.stdout is not None
        next(line for line in process.stdout if '"step.started"' in line)
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 143
    assert (noted(project)["status"], noted(project)["exit_code"]) == ("interrupted", 143)


def test_waiting_telemetry_makes_a_run_degraded_and_is_counted(project: Project, port: int) -> None:
    project.write(
        "config/default.yaml",
        "sinks: [mlflow]\nflush: 1\n" + MLFLOW_DOWN.replace("PORT", str(port)) + note_to(when="degraded"),
    )
    project.write("s.yaml", OK)
    assert project.cli("run", "s.yaml").returncode == 0
    found = noted(project)
    (waiting,) = found["telemetry"]
    assert (found["degraded"], waiting["tool"], waiting["refused"]) == (True, "mlflow", 0)
    assert waiting["waiting"] > 0


@pytest.mark.parametrize("kind", ["refusing", "silent", "dripping"])
@pytest.mark.parametrize(("spec", "code"), [(OK, 0), (BAD, 1)])
def test_a_webhook_that_is_not_there_changes_no_exit_code(project: Project, kind: str, spec: str, code: int) -> None:
    project.write("s.yaml", spec)
    with unwell(kind, "http") as port:
        configure(project, f"on_finish: [{{webhook: 'http://127.0.0.1:{port}/key-4711', deadline: 1}}]\n")
        with Stopwatch() as watch:
            ran = project.cli("run", "s.yaml", "--json")
    *_, hook, last = lines(ran.stdout)
    assert (ran.returncode, hook["event"], last["event"]) == (code, "hook.finished", "run.finished")
    assert (hook["delivered"], hook["hook"]) == (False, f"webhook http://127.0.0.1:{port}")
    assert "key-4711" not in ran.stdout + ran.stderr
    assert watch.seconds < 8


def test_a_hook_that_failed_is_reported_to_people(project: Project) -> None:
    configure(project, "on_finish: [{command: [/bin/false]}]\n")
    project.write("s.yaml", OK)
    ran = project.cli("run", "s.yaml")
    assert ran.returncode == 0
    assert "! command false was not notified: it ended with exit code 1" in ran.stderr


def test_no_secret_reaches_a_hook_a_worker_or_a_log(project: Project) -> None:
    canary = "canary-7f3a9c1e55"
    project.write("look.py", "import os, json\n\ndef look():\n    return sorted(os.environ.values())\n")
    spec = "version: 1\nname: s\nsteps: {a: {uses: python.call, with: {file: look.py, function: look}}, b: {uses: debug.fail, needs: [a], with: {message: 'no canary-7f3a9c1e55'}}}\n"
    project.write("s.yaml", spec.replace("canary-7f3a9c1e55", "data"))
    with Receiver() as receiver:
        configure(
            project,
            "log: {file: op.log, level: debug}\n"
            "on_finish:\n"
            f"  - {{webhook: '{receiver.url}', headers: {{Authorization: 'Bearer ${{HOOK_TOKEN}}'}}}}\n"
            "  - {command: [/bin/sh, -c, 'env > env.txt']}\n",
        )
        ran = project.cli("run", "s.yaml", "--json", env={"HOOK_TOKEN": canary})
        assert ran.returncode == 1
        assert receiver.headers[0]["Authorization"] == f"Bearer {canary}"
        assert canary not in json.dumps(receiver.received) + ran.stdout + ran.stderr
    for path in project.root.rglob("*"):
        if path.is_file():
            assert canary.encode() not in path.read_bytes(), path


def test_programs_that_run_a_spec_notify_as_the_command_does(project: Project) -> None:
    configure(project, note_to())
    assert project.run(BAD).status == "failed"
    assert noted(project)["status"] == "failed"
    assert [event.event for event in map(_named, project.events)][-2:] == ["hook.finished", "run.finished"]


def _named(event: Any) -> Any:
    return type("Named", (), {"event": event.to_json()["event"]})


# Metrics


def metrics(project: Project, name: str = "e2i.prom") -> str:
    found = (project.root / name).read_text()
    openmetrics_text.read(found)
    read_by_others(found)
    return found


def test_the_metrics_file_counts_runs_by_status_and_code(project: Project, port: int) -> None:
    configure(project, MLFLOW_DOWN.replace("PORT", str(port)) + "metrics_file: e2i.prom\n")
    for spec in (OK, OK, BAD, down(port)):
        project.run(spec)
    text, value = metrics(project), openmetrics_text.value
    assert value(text, "e2i_runs_total", pipeline="fine", status="succeeded", code="") == 2
    assert value(text, "e2i_runs_total", pipeline="poor", status="failed", code="asked-to-fail") == 1
    assert value(text, "e2i_runs_total", pipeline="down", status="failed", code="tool-unavailable") == 1
    assert value(text, "e2i_run_last_exit_code", pipeline="down") == 4
    assert value(text, "e2i_run_last_success_timestamp_seconds", pipeline="poor") is None
    success = value(text, "e2i_run_last_success_timestamp_seconds", pipeline="fine")
    assert success is not None and abs(success - Path(project.root / "e2i.prom").stat().st_mtime) < 600
    states = {name: value(text, "e2i_breaker_state", tool="mlflow", state=name) for name in ("closed", "open")}
    assert states == {"closed": 1, "open": 0}
    assert (value(text, "e2i_store_bytes") or 0) > 10_000
    assert stat.S_IMODE((project.root / "e2i.prom").stat().st_mode) == 0o644


def test_totals_survive_a_collection(project: Project) -> None:
    configure(project, "metrics_file: e2i.prom\n")
    project.run(OK)
    assert project.cli("gc", "--keep-days", "0").returncode == 0
    project.run(OK)
    assert openmetrics_text.value(metrics(project), "e2i_runs_total", pipeline="fine") == 2


@pytest.mark.slow
def test_doctor_and_sync_write_the_metrics_file_too(project: Project, port: int) -> None:
    tools = MLFLOW_DOWN.replace("PORT", str(port))
    project.write("config/default.yaml", f"sinks: [mlflow]\nflush: 1\nmetrics_file: e2i.prom\n{tools}")
    project.run(OK)
    waiting = openmetrics_text.value(metrics(project), "e2i_outbox_entries", tool="mlflow", state="waiting")
    assert waiting is not None and waiting > 0
    for command in (("sync",), ("doctor", "--metrics")):
        (project.root / "e2i.prom").unlink()
        assert project.cli(*command).returncode == 4
        again = openmetrics_text.value(metrics(project), "e2i_outbox_entries", tool="mlflow", state="waiting")
        assert again == waiting
    configure(project, "")
    refused = project.cli("doctor", "--metrics")
    assert refused.returncode == 2 and "metrics_file" in refused.stderr


# The log


@pytest.mark.slow
def test_the_log_has_runs_steps_hooks_and_commands(project: Project, port: int) -> None:
    tools = MLFLOW_DOWN.replace("PORT", str(port))
    log = "log: {file: logs.jsonl, format: json}\n"
    project.write(
        "config/default.yaml", f"sinks: [mlflow]\nflush: 1\n{tools}{log}on_finish: [{{command: [/bin/false]}}]\n"
    )
    project.write("s.yaml", down(port, "defer"))
    project.cli("run", "s.yaml")
    project.cli("sync")
    project.write("t.yaml", "version: 1\nname: t\nsteps: {a: {uses: debug.ecko}}\n")
    project.cli("run", "t.yaml")
    found = [json.loads(line) for line in (project.root / "logs.jsonl").read_text().splitlines()]
    by_event = {line["event"]: line for line in found}
    assert {"run.started", "step.started", "tool.degraded", "hook.finished", "command.finished"} <= by_event.keys()
    ends = {line["step"]: line for line in found if line["event"] == "step.finished"}
    assert (ends["find"]["level"], ends["find"]["facts"]["code"]) == ("warning", "tool-unavailable")
    assert (by_event["hook.finished"]["level"], by_event["hook.finished"]["facts"]["delivered"]) == ("warning", False)
    assert by_event["command.finished"]["facts"]["command"] == "sync"
    assert by_event["command.finished"]["facts"]["exit_code"] == 4
    assert by_event["run.failed"]["facts"]["code"] == "invalid-spec"
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["at"]) for line in found)


def test_the_level_leaves_out_what_is_below(project: Project) -> None:
    configure(project, "log: {file: op.log, level: error}\n")
    project.run(OK)
    project.run(BAD)
    (step, run) = (project.root / "op.log").read_text().splitlines()
    assert "ERROR" in step and "step.finished" in step and 'message="the model is poor"' in step
    assert "ERROR" in run and "run.finished" in run and 'errors="asked-to-fail (gate)"' in run


@pytest.mark.parametrize("setting", ["log: {file: /proc/nowhere/e2i.log}", "metrics_file: /proc/nowhere/e2i.prom"])
def test_a_file_that_cannot_be_written_is_reported_once_and_changes_nothing(project: Project, setting: str) -> None:
    configure(project, setting + "\n")
    project.write("s.yaml", OK)
    ran = project.cli("run", "s.yaml", "--json")
    failed = [line for line in lines(ran.stdout) if line["event"] == "setting.failed"]
    assert ran.returncode == 0 and len(failed) == 1
    assert failed[0]["setting"] == setting.partition(":")[0] and "/proc/nowhere" in failed[0]["problem"]


def test_without_settings_nothing_is_written(project: Project) -> None:
    project.run(OK)
    assert not [path for path in project.store.iterdir() if path.name.startswith(("metrics", "e2i"))]


# Attempts of whole runs

FLAKY = """
version: 1
name: flaky
steps:
  first: {uses: python.call, with: {file: count.py, function: count}}
  find: {uses: mlflow.load, needs: [first], with: {name: x, stage: production}}
"""
COUNT = "from pathlib import Path\n\ndef count():\n    with Path('counted').open('a') as file:\n        file.write('x')\n    return 1\n"
QUICK = "retry_run: {initial: 50ms, max: 100ms}\n"


@pytest.mark.slow
def test_a_run_that_meets_an_outage_is_resumed_as_often_as_asked(project: Project, port: int) -> None:
    configure(project, MLFLOW_DOWN.replace("PORT", str(port)) + QUICK + note_to())
    project.write("count.py", COUNT)
    project.write("s.yaml", FLAKY)
    ran = project.cli("run", "s.yaml", "--json", "--retry-run", "2")
    events = lines(ran.stdout)
    assert ran.returncode == 4
    assert len({line["run"] for line in events}) == 1
    assert [line["event"] for line in events if line["event"].startswith(("run.", "hook."))] == [
        "run.started", "run.finished", "run.retried",
        "run.started", "run.finished", "run.retried",
        "run.started", "hook.finished", "run.finished",
    ]  # fmt: skip
    retried = [line for line in events if line["event"] == "run.retried"]
    assert [(line["attempt"], line["attempts"]) for line in retried] == [(2, 3), (3, 3)]
    assert retried[0]["reason"] == "tool-unavailable (find)"
    assert (project.root / "counted").read_text() == "x", "a finished step is not run again"
    assert (noted(project)["attempts"], noted(project)["status"]) == (3, "failed")


def test_the_wait_for_another_attempt_lasts_until_the_circuit_allows_a_call(project: Project, port: int) -> None:
    mlflow = MLFLOW_DOWN.replace("PORT", str(port)).replace(
        "deadline: 2", "deadline: 2, circuit_breaker: {failure_threshold: 1, recovery_timeout: 2}"
    )
    configure(project, mlflow + QUICK)
    project.write("s.yaml", down(port))
    ran = project.cli("run", "s.yaml", "--json", "--retry-run", "1")
    events = lines(ran.stdout)
    (retried,) = [line for line in events if line["event"] == "run.retried"]
    assert 0.1 < retried["wait"] <= 2
    codes = [line["error"]["code"] for line in events if line["event"] == "step.finished" and line["error"]]
    assert codes == ["tool-unavailable", "tool-unavailable"], "never circuit-open, which is no call"
    assert ran.returncode == 4


def test_a_run_that_fails_for_another_reason_is_not_tried_again(project: Project) -> None:
    configure(project, QUICK)
    project.write("s.yaml", BAD)
    ran = project.cli("run", "s.yaml", "--json", "--retry-run", "5")
    assert ran.returncode == 1
    assert [line["event"] for line in lines(ran.stdout)].count("run.started") == 1


def test_a_run_succeeds_when_the_outage_is_over(project: Project) -> None:
    configure(project, QUICK)
    project.write(
        "come.py",
        "import os\nfrom pathlib import Path\n\ndef come():\n    seen = Path('seen')\n    if not seen.exists():\n        seen.touch()\n        os.kill(os.getpid(), 9)\n    return 1\n",
    )
    project.write(
        "s.yaml",
        "version: 1\nname: s\nsteps: {a: {uses: python.call, retry: {attempts: 1}, with: {file: come.py, function: come}}}\n",
    )
    ran = project.cli("run", "s.yaml", "--json", "--retry-run", "1")
    events = lines(ran.stdout)
    assert (ran.returncode, events[-1]["status"]) == (0, "succeeded")
    assert [line["reason"] for line in events if line["event"] == "run.retried"] == ["worker-lost (a)"]


def test_a_signal_ends_the_wait_for_the_next_attempt(project: Project, port: int) -> None:
    configure(project, MLFLOW_DOWN.replace("PORT", str(port)) + "retry_run: {initial: 1h, max: 1h}\n" + note_to())
    project.write("s.yaml", down(port))
    with project.start("run", "s.yaml", "--json", "--retry-run", "3") as process:
        assert process.stdout is not None
        next(line for line in process.stdout if '"run.retried"' in line)
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 4
    assert until(lambda: noted(project)["attempts"] == 1)
    assert [line["event"] for line in lines(rest)] == ["hook.finished"]


def test_a_store_that_is_busy_or_full_is_tried_again_and_a_wrong_spec_is_not(project: Project) -> None:
    configure(project, QUICK)
    project.write("s.yaml", "version: 1\nname: odd\nsteps: {a: {uses: debug.ecko}}\n")
    ran = project.cli("run", "s.yaml", "--json", "--retry-run", "3")
    assert ran.returncode == 2 and "run.retried" not in ran.stdout


@pytest.mark.slow
def test_a_fresh_run_that_is_tried_again_keeps_its_finished_steps(project: Project, port: int) -> None:
    configure(project, MLFLOW_DOWN.replace("PORT", str(port)) + QUICK)
    project.write("count.py", COUNT)
    project.write("s.yaml", FLAKY)
    ran = project.cli("run", "s.yaml", "--fresh", "--retry-run", "1")
    assert ran.returncode == 4
    assert (project.root / "counted").read_text() == "x"


def test_a_signal_ends_a_hook_that_takes_long(project: Project) -> None:
    configure(project, "on_finish: [{command: [/bin/sh, -c, 'echo $$ > pid; sleep 200'], deadline: 200}]\n")
    project.write("s.yaml", OK)
    with project.start("run", "s.yaml", "--json") as process:
        assert until(lambda: (project.root / "pid").exists())
        process.send_signal(signal.SIGTERM)
        with Stopwatch() as watch:
            out, _ = process.communicate(timeout=60)
    hook, last = lines(out)[-2:]
    assert (process.returncode, last["status"], hook["problem"]) == (0, "succeeded", "it was stopped by a signal")
    assert watch.seconds < 5


def test_runs_at_a_time_share_the_log_and_the_totals(project: Project) -> None:
    configure(project, "log: {file: op.log, max_bytes: 2KB, keep: 50}\nmetrics_file: e2i.prom\n")
    for number in range(6):
        project.write(f"s{number}.yaml", OK.replace("name: fine", f"name: p{number}"))
    running = [project.start("run", f"s{number}.yaml") for number in range(6)]
    for process in running:
        process.communicate()
        assert process.returncode == 0
    found = "".join(path.read_text() for path in project.root.glob("op.log*") if path.suffix != ".lock")
    assert found.count("run.finished") == 6
    text = metrics(project)
    assert [openmetrics_text.value(text, "e2i_runs_total", pipeline=f"p{number}") for number in range(6)] == [1] * 6

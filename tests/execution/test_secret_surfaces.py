"""No command, record or document shows a secret that a run was given, whatever its steps did with it.

``test_secret_property`` tries all ways out of a step. Here some steps show and raise their secrets, and then everything
is asked that reads what they left: commands, approvals, tests, rehearsals, backups, reports, metrics, hooks, agents.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from approvals_project import Approved
from e2i.mcp import reading
from e2i.mcp.place import Place
from execution.test_secret_property import CODE, ENCODINGS, canary, exposed
from operations.webhooks import Receiver
from project import Project

SEARCH = '''
from pathlib import Path

def holders(token):
    """The commands of processes whose arguments hold the secret, and of processes of e2i whose environment does."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words, around = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
        except OSError:
            continue
        own = b"e2i/" in words or b"bentoml" in words
        for where, text in (("arguments", words), ("environment", around if own else b"")):
            if any(line.encode() in text for line in token.splitlines() if len(line) >= 8):
                found.append(f"{where} of {words.replace(bytes(1), b' ')[:80].decode(errors='replace')}")
    return found
'''
SERVICE: dict[str, Any] = {
    "data": {"uses": "dataset.hcp", "with": {"rows": 400}},
    "train": {
        "uses": "model.train",
        "with": {
            "table": "${{ steps.data.journeys }}",
            "target": "target",
            "algorithm": "LogisticRegression",
            "features": ["call_frequency"],
        },
    },
    "package": {"uses": "bentoml.package", "with": {"model": "${{ steps.train.model }}", "name": "hcp"}},
    "serve": {"uses": "bentoml.serve", "with": {"bento": "${{ steps.package.bento }}"}},
}


def step(file: str, function: str, number: int, **arguments: str) -> dict[str, Any]:
    given = {"token": f"${{{{ secrets.CANARY_{number} }}}}", **arguments}
    return {
        "uses": "python.call",
        "on_error": "continue",
        "with": {"file": file, "function": function, "arguments": given},
    }


def written(numbers: list[int]) -> dict[str, Any]:
    leaks = {
        f"{way}_{encoding}_{number}": step("leak.py", "leak", number, encoding=encoding, way=way)
        for number in numbers
        for encoding in ENCODINGS
        for way in ("print", "raise")
    }
    searches = {f"search_{number}": {**step("search.py", "holders", number), "needs": ["serve"]} for number in numbers}
    return {"version": 1, "name": "shown", "steps": {**SERVICE, **leaks, **searches}}


def commands(run: str, steps: list[str]) -> list[tuple[str, ...]]:
    return [
        ("validate", "s.yaml", "--json"),
        *(("plan", "s.yaml", "--format", form) for form in ("text", "mermaid", "dot", "markdown", "html")),
        ("runs", "--json"),
        ("show", run, "--json"),
        ("show", run, "--format", "openlineage"),
        ("show", run, "--format", "jsonld"),
        *(("show", run, "--step", name) for name in steps),
        ("report", run),
        ("diff", run, run, "--json"),
        ("diff", "s.yaml", "s.yaml"),
        ("provenance", f"{run}.{steps[0]}.value"),
        ("approvals", "--json"),
        ("test", "s.yaml", "--json", "--junit", "junit.xml"),
        ("test", "--from", run, "--step", steps[0]),
        ("rehearse", "s.yaml", "--rows", "100", "--json"),
        ("doctor", "--json", "--metrics"),
        ("outbox", "list", "--json"),
        ("outbox", "show", run, "--json"),
        ("sync",),
        ("gc", "--dry-run", "--json"),
        ("backup", "backup"),
    ]


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param([5], id="one"),
        *(pytest.param([*range(at, at + 4)], id=f"from {at}", marks=pytest.mark.sweep) for at in range(0, 20, 4)),
    ],
)
def test_nothing_that_is_asked_after_a_run_shows_its_secrets(numbers: list[int], tmp_path: Path) -> None:
    project = Approved(tmp_path)
    project.policy("actions: [python.call]")
    secrets = ", ".join(f"CANARY_{number}: MY_CANARY_{number}" for number in numbers)
    environ = {f"MY_CANARY_{number}": canary(number) for number in numbers}
    project.write("leak.py", CODE)
    project.write("search.py", SEARCH)
    project.write("s.yaml", yaml.safe_dump(written(numbers)))
    first = f"print_raw_{numbers[0]}"
    case = {"run": [first], "expect": {"holds": f"${{{{ steps.{first}.value == 'done' }}}}"}}
    project.write("s.test.yaml", yaml.safe_dump({"tests": "./s.yaml", "cases": {"one": case}}))
    with Receiver() as receiver:
        project.write("config/default.yaml", f"""
secrets: {{{secrets}}}
flush: 20
metrics_file: e2i.prom
log: {{file: op.log, level: debug, format: json}}
on_finish: [{{webhook: '{receiver.url}'}}, {{command: [/bin/sh, -c, 'cat > note.txt; env > env.txt']}}]
""")  # fmt: skip
        messages = said(project, environ, ("plan", "s.yaml", "-o", "plan.json"))
        project.approve(project.plan(str(project.root / "s.yaml")))
        ran = said(project, environ, ("run", "s.yaml", "--json"))
        messages += [*ran, json.dumps(receiver.received), json.dumps(receiver.headers)]
    last = json.loads(ran[0].splitlines()[-1])
    expected = {name: "failed" if name.startswith("raise") else "succeeded" for name in written(numbers)["steps"]}
    assert {name: found["status"] for name, found in last["steps"].items()} == expected
    leaks = [name for name in expected if name.startswith(("print", "raise"))]
    for words in commands(last["run"], leaks):
        messages += said(project, environ, words)
    messages += read_by_an_agent(project, last["run"], leaks)
    holders = [project_value(project, last["run"], f"search_{number}") for number in numbers]
    assert [[each for each in found if "e2i.cli" not in each] for found in holders] == [[] for _ in numbers]
    assert {number: exposed(project, canary(number), messages, []) for number in numbers} == {
        each: [] for each in numbers
    }


def said(project: Project, environ: dict[str, str], words: tuple[str, ...]) -> list[str]:
    done = project.cli(*words, env=environ)
    assert done.returncode in (0, 1, 4), (words, done.stdout[-1000:], done.stderr)
    return [done.stdout, done.stderr]


def project_value(project: Project, run: str, name: str) -> Any:
    return json.loads(project.cli("show", run, "--step", name, "--json").stdout)["outputs"]["value"]


def read_by_an_agent(project: Project, run: str, steps: list[str]) -> list[str]:
    place = Place(project.root)
    addresses = ["runs", f"runs/{run}", f"diff/{run}/{run}", f"provenance/{run}.{steps[0]}.value"]
    addresses += [f"runs/{run}/{kind}/{name}" for name in steps for kind in ("steps", "logs")]
    return [msgspec.json.encode(reading.read(place, address, 0, reading.MOST)).decode() for address in addresses]

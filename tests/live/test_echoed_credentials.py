"""What a tracker repeats of a request's credentials is kept nowhere and shown nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from live.echoing import Echo, forms
from project import Project

SPEC = "version: 1\nname: echoed\nsteps: {one: {uses: debug.sleep, with: {seconds: 0, value: 1}}}\n"
TOKEN = "tok/9fK2xLq7+Vt4Zw8RmB3nY=c5Jd6&H"
CASES = {
    "mlflow token": ("mlflow", {"MLFLOW_TRACKING_TOKEN": TOKEN}),
    "mlflow password": ("mlflow", {"MLFLOW_TRACKING_USERNAME": "bob", "MLFLOW_TRACKING_PASSWORD": TOKEN}),
    "opik key": ("opik", {"OPIK_API_KEY": TOKEN}),
}


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


def leaks(folder: Path, secret: str) -> list[str]:
    """The files below the folder in which the secret is, in any encoding."""
    wanted = [form.encode() for form in forms(secret)]
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if any(form in path.read_bytes() for form in wanted)]


@pytest.mark.parametrize("status", [400, *(pytest.param(status, marks=pytest.mark.slow) for status in (401, 500))])
@pytest.mark.parametrize("case", ["mlflow token", pytest.param("mlflow password", marks=pytest.mark.slow), "opik key"])
def test_credentials_in_the_answers_of_a_tracker_are_stored_and_shown_nowhere(
    case: str, status: int, echo: Echo, project: Project
) -> None:
    tool, variables = CASES[case]
    echo.status = status
    where = "{tracking_uri: 'URL'}" if tool == "mlflow" else "{url: 'URL/api', api_key: '${OPIK_API_KEY:-}'}"
    project.write("s.yaml", SPEC)
    project.write(
        "config/default.yaml", f"sinks: [{tool}]\nflush: 60\ntools: {{{tool}: {where.replace('URL', echo.url)}}}\n"
    )
    shown = [project.cli("run", "s.yaml", "--json", env=variables)]
    shown += [project.cli(*words, env=variables) for words in (["sync"], ["sync", "--refused", "--json"])]
    shown.append(listed := project.cli("outbox", "list", "--json"))
    for entry in json.loads(listed.stdout).get("entries", []):
        shown.append(project.cli("outbox", "show", str(entry.get("key") or entry.get("id"))))
    assert any(TOKEN in heard or heard.startswith("Basic ") for heard in echo.heard), "it was told nothing"
    said = "".join(result.stdout + result.stderr for result in shown)
    assert not [form for form in forms(TOKEN) if form in said], said
    assert leaks(project.root, TOKEN) == []
    if status == 400:
        assert "refused ***" in said or "refused Bearer ***" in said or "refused Basic " in said, said

"""The page of a run: everything is there, nothing is fetched, and what was recorded stays text."""

from __future__ import annotations

import base64
import hashlib
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from e2i.catalog.artifacts import Stored
from e2i.catalog.step_error import ErrorDocument
from e2i.records.past import PastRun
from e2i.report import page as report_page
from e2i.store.artifacts import MissingArtifact
from e2i.store.past import GitState, RecordedAttempt, RunOrigin
from report.looked_at import LookedAt
from report.past import DIGEST, past_run, planned, png, recorded, report_artifact

HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</pre></style></title><svg onload=alert(1)>",
    "{{ 7*7 }}",
    "{% for x in [1] %}x{% endfor %}",
    "javascript:alert(1)",
    ']; click a "javascript:alert(1)"',
    "https://evil.example/x.png",
    "&lt;b&gt;",
    "`'\"",
]


def nothing(artifact: Stored) -> Path:
    raise MissingArtifact(f"artifact {artifact.digest} is not in the store", code="artifact-missing")


def page_of(**more: Any) -> LookedAt:
    return LookedAt(report_page.build(past_run(**more), nothing))


def everywhere(text: str) -> PastRun:
    """A run with that text wherever a text can be."""
    error = ErrorDocument(code=text, message=text, hint=text, details={text: [text, {text: text}]})
    outputs = {
        "metrics": {text: 0.5, "other": 1},
        "importance": {text: 0.5},
        "rows": [{text: text, "b": 1}],
        "deep": {text: {text: {text: {text: [text]}}}},
        "service": {"type": "service", "digest": DIGEST, "url": text, "pid": 1},
        "version": {"type": "model_version", "digest": DIGEST, "name": text, "version": 1, "uri": text, "run": text},
        "page": report_artifact(title=text, entry=text),
        "table": {"type": "table", "digest": DIGEST, "columns": [{"name": text, "type": text}], "rows": 1},
        text: text,
    }
    tried = RecordedAttempt(number=1, started_ms=0, ended_ms=1000, seconds=1, error=error)
    git = GitState(commit=text, branch=text, remote=text, path=text, changed=(text,), changed_files=9)
    names: Any = dict.fromkeys(("e2i", "python", "system", "host", "seed", "spec"), text)
    return past_run(
        [planned(text, detail=text, uses=text), planned("below", text, uses=text)],
        [
            recorded(text, "failed", error=error, outputs=outputs, tries=(tried, tried)),
            recorded("below", "skipped", seconds=None, note=text),
        ],
        provenance=RunOrigin(**names, cores=2, libraries={text: text}, git=git),
        pipeline=text,
        file=text,
        profile=text,
        spec=f"name: {text}\n",
        params={text: text},
        outputs={text: text, "x": outputs},
        status="failed",
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_recorded_text_stays_text_everywhere(text: str) -> None:
    page = LookedAt(report_page.build(everywhere(text), nothing, Path("/somewhere")))
    assert text in page.text
    assert page.tags.isdisjoint({"script", "iframe", "object", "embed", "base", "form", "img"})
    assert not [
        name for _, given in page.elements for name in given if name.startswith("on") or name in ("style", "srcdoc")
    ]
    assert page.fetched == []
    for href in page.values("href", "a"):
        assert re.match(r"https?://|#", href), href


def test_names_with_template_syntax_are_not_evaluated() -> None:
    page = LookedAt(report_page.build(everywhere("{{ 7*7 }}"), nothing))
    assert "{{ 7*7 }}" in page.text
    assert "49" not in page.text.replace(DIGEST[7:19], "")


def test_a_service_is_linked_only_by_http() -> None:
    for url, linked in (("http://127.0.0.1:3000", True), ("javascript:alert(1)", False), ("data:text/html,x", False)):
        service = {"type": "service", "digest": DIGEST, "url": url, "pid": 1}
        steps = [recorded("first", outputs={"service": service})]
        assert (url in page_of(steps=steps).values("href", "a")) is linked


def test_characters_that_reorder_or_vanish_are_shown_escaped() -> None:
    page = report_page.build(everywhere("a\u202eb\x00c\ud800\ufeff"), nothing)
    assert "a\\u202eb\\x00c\\ud800\\ufeff" in page
    page.encode("utf-8")


def test_the_policy_allows_this_style_sheet_and_pictures_inside_the_page_only() -> None:
    page = page_of()
    policies = [given["content"] for _, given in page.elements if given.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert policies == [
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    ]
    assert page.tags.isdisjoint({"script"})


def test_the_page_names_no_remote_address() -> None:
    page = report_page.build(past_run(), nothing)
    assert "http:" not in page
    assert "https:" not in page
    assert LookedAt(page).fetched == []


def test_every_step_of_the_plan_is_there_reached_or_not() -> None:
    page = page_of(steps=[recorded("first")], status="interrupted")
    for step in ("first", "train[1]", "train[2]", "last"):
        assert step in page.text
    anchors = set(page.values("id"))
    assert {href[1:] for href in page.values("href", "a") if href.startswith("#")} <= anchors
    assert {f"step-{number}" for number in range(1, 5)} <= anchors
    assert "pending" in page.text


def test_a_failed_run_shows_its_failures_and_how_to_resume() -> None:
    error = ErrorDocument(
        code="gate", message="roc_auc 0.61\nis too low", hint="look at the data", details={"rows": 4120}
    )
    steps = [
        recorded("first", "failed", error=error),
        recorded("train[1]", "skipped", seconds=None, note="first returned no result"),
    ]
    page = page_of(steps=steps, status="failed")
    for text in (
        "Failures",
        "roc_auc 0.61\nis too low",
        "look at the data",
        "4,120",
        "first returned no result",
    ):
        assert text in page.text
    assert "e2i-run specs/demo.yaml --resume 20261122-000000-abcdef" in page.text


def test_descriptions_of_steps_and_parameters_are_shown() -> None:
    page = page_of(params={"n": 5})
    for text in ("What it is for.", "Comes first.", "for model_trainer", "How many", "not the default"):
        assert text in page.text


def test_a_spec_that_cannot_be_read_does_not_stop_the_report() -> None:
    assert "train[1]" in page_of(spec="version: 9\n: :").text


def test_a_run_that_is_not_over_has_a_page() -> None:
    steps = [
        recorded("first", "running", ended_ms=None),
        recorded("train[1]", "pending", started_ms=None, ended_ms=None),
    ]
    page = page_of(steps=steps, status="running", ended_ms=None, outputs=None)
    assert "not finished" in page.text


def test_a_run_without_parameters_outputs_or_steps_that_began_has_a_page() -> None:
    page = page_of(steps=[], params={}, outputs={})
    assert "Timeline" not in page.text
    assert "Results" not in page.text


def test_pictures_of_reports_are_inside_the_page(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<h2>The bars</h2><img src="bar.png"><script src="https://evil.example/x.js"></script>'
    )
    (tmp_path / "bar.png").write_bytes(png())
    steps = [recorded("first", outputs={"report": report_artifact()})]
    page = LookedAt(report_page.build(past_run(steps=steps), lambda artifact: tmp_path, tmp_path.parent))
    assert page.values("src", "img") == ["data:image/png;base64," + base64.b64encode(png()).decode()]
    assert page.values("alt", "img") == ["The bars"]
    assert f"{tmp_path.name}/index.html" in page.values("href", "a")
    assert page.tags.isdisjoint({"script"})


def test_equal_runs_give_equal_pages() -> None:
    assert report_page.build(past_run(), nothing) == report_page.build(past_run(), nothing)


def test_large_runs_give_pages_of_bounded_size() -> None:
    cells = [f"train[{number}]" for number in range(600)]
    plan = [planned("first"), *(planned(cell, "first") for cell in cells), planned("last", *cells)]
    steps = [recorded("first", outputs={"value": "x" * 1_000_000, "list": list(range(100_000))})]
    steps += [recorded(cell, at=1) for cell in cells]
    assert len(report_page.build(past_run(plan, steps), nothing)) < 2_500_000


def test_the_template_and_the_style_sheet_are_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hatchling.builders.sdist import SdistBuilder
    from hatchling.builders.wheel import WheelBuilder

    root = str(Path(__file__).parents[2])
    wheel = next(WheelBuilder(root).build(directory=str(tmp_path), versions=["standard"]))
    sdist = next(SdistBuilder(root).build(directory=str(tmp_path), versions=["standard"]))
    wanted = {"report.html.j2", "values.html.j2", "report.css"}
    with zipfile.ZipFile(wheel) as archive:
        assert {f"e2i/report/{name}" for name in wanted} <= set(archive.namelist())
    with tarfile.open(sdist) as packed:
        assert wanted <= {Path(name).name for name in packed.getnames()}


def test_the_time_in_which_a_run_was_interrupted_is_none_of_its_duration() -> None:
    duration = re.compile("<dt>Duration</dt><dd>[^<]*")
    whole = past_run()
    paused = past_run(ended_ms=(whole.run.ended_ms or 0) + 36_000_000, paused_ms=36_000_000)
    (expected,) = duration.findall(report_page.build(whole, nothing))
    assert duration.findall(report_page.build(paused, nothing)) == [expected]


def test_names_break_behind_their_words() -> None:
    name = report_page.environment().filters["name"]
    assert name("validation_average_precision") == "validation_<wbr>average_<wbr>precision"
    assert name("split.<b>_x") == "split.&lt;b&gt;_<wbr>x" and name("a_\u202eb") == "a_\\u202eb"

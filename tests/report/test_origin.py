"""The origin of a run on its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from e2i.report import origin, steps
from e2i.report import page as report_page
from e2i.store.past import GitState, KeptResult, RunOrigin
from records.past import components
from report.looked_at import LookedAt
from report.past import past_run, recorded

GIT = GitState(
    commit="1" * 40,
    branch="main",
    remote="https://example.com/r.git",
    path="specs/demo.yaml",
    dirty=True,
    changed=("a.py",),
    changed_files=3,
)
PROVENANCE = RunOrigin(e2i="0.1.0", python="3.11.7", host="here", seed=0, libraries={"numpy": "2.4"}, git=GIT)


def page(**more: Any) -> LookedAt:
    return LookedAt(report_page.build(past_run(**more), lambda artifact: Path("/nowhere")))


def test_commit_versions_and_machine_are_reported_and_the_repository_is_a_link() -> None:
    found = page(provenance=PROVENANCE)
    for text in ("1" * 12 + " of main", "specs/demo.yaml", "3.11.7", "here", "numpy", "a.py", "2 more files"):
        assert text in found.text
    assert "https://example.com/r.git" in found.values("href", "a")


def test_what_is_not_known_is_not_reported() -> None:
    unknown = RunOrigin(e2i="0.1.0", git=GitState(problem="git did not answer within 2 s"))
    found = origin.of(past_run(provenance=unknown).run, (), None)
    assert found.facts == (("commit", "git did not answer within 2 s"), ("e2i", "0.1.0"))
    assert "recorded by an early version" in page().text


def test_a_reused_result_leads_to_the_page_of_the_run_that_made_it(tmp_path: Path) -> None:
    rows = [recorded(step, "reused", seconds=None, fingerprint=step) for step in ("first", "train[1]")]
    results = {
        step: KeptResult(run=run, components=components("debug.echo", {}, {}))
        for step, run in (("first", "earlier"), ("train[1]", "gone"))
    }
    past = past_run(steps=rows, results=results)
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "report.html").write_text("")
    found = origin.of(past.run, steps.of(past, None), tmp_path / "now")
    assert [(maker.run, maker.href, [step.id for step in maker.steps]) for maker in found.makers] == [
        ("gone", "", ["train[1]"]),
        ("earlier", "../earlier/report.html", ["first"]),
    ]

"""Test files go in, results come out: cases, given outputs, expectations, snapshots, coverage, faults."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2i.errors import BadInput, InvalidSpec
from e2i.testing import junit, suite
from e2i.testing.results import CaseResult, SuiteDocument

SPEC = """\
version: 1
name: words
params:
  least: {type: number, default: 1}
steps:
  source: {uses: debug.echo, with: {value: {amount: 5, words: [a, b]}}}
  middle: {uses: debug.echo, with: {value: "${{ steps.source.value.amount + 1 }}"}}
  big:
    uses: debug.echo
    when: ${{ steps.middle.value > params.least }}
    with: {value: "${{ steps.middle.value }}"}
outputs:
  big: ${{ steps.big.value }}
  words: ${{ steps.source.value }}
"""
TABLES = """\
version: 1
name: tables
steps:
  load: {uses: data.load, with: {path: people.csv, types: {id: integer}}}
  big:
    uses: data.select
    with: {table: "${{ steps.load.table }}", where: [{column: age, op: ge, value: 18}]}
  split:
    uses: data.split
    with: {table: "${{ steps.big.table }}", strategy: entity, by: id}
"""
PEOPLE = "id,age,name\n1,17,ann\n2,30,bob\n3,45,cleo\n"


class Specs:
    """A folder with a spec and a test file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("config/default.yaml", "sinks: [mlflow]\n")
        self.write("people.csv", PEOPLE)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def run(
        self, cases: str, spec: str = SPEC, *, only: str = "", update: bool = False, coverage: bool = False
    ) -> SuiteDocument:
        self.write("a.yaml", spec)
        file = self.write("a.test.yaml", f"tests: ./a.yaml\n{cases}")
        return suite.run(suite.load([str(file)], update=update), only=only, update=update, with_coverage=coverage)

    def problems(self, cases: str, spec: str = SPEC) -> list[str]:
        with pytest.raises(InvalidSpec) as caught:
            self.run(cases, spec)
        return [
            f"{problem.location.line}:{problem.location.column} {problem.code}: {problem.message}"
            for problem in caught.value.problems
        ]


@pytest.fixture
def specs(tmp_path: Path) -> Specs:
    return Specs(tmp_path)


def results(found: SuiteDocument) -> dict[str, CaseResult]:
    return {case.name: case for file in found.files for case in file.cases}


def messages(found: SuiteDocument) -> dict[str, list[str]]:
    return {name: [failure.message for failure in case.failures] for name, case in results(found).items()}


def test_a_given_output_takes_the_place_of_its_step(specs: Specs) -> None:
    found = specs.run(
        """\
cases:
  small:
    given: {middle: {value: 0}}
    expect:
      steps: {big: skipped, middle: reused}
      verdicts: {middle: reuse, big: skip}
  large:
    given: {source: {value: {amount: 41}}}
    run: [middle, big]
    expect: {holds: "${{ steps.big.value == 42 }}"}
"""
    )
    assert messages(found) == {"small": [], "large": []}
    assert results(found)["large"].ran == ["middle", "big"]
    assert results(found)["small"].ran == []  # source feeds only a step that is given
    assert (found.passed, found.failed) == (2, 0)


def test_what_is_not_met_is_named_with_its_place(specs: Specs) -> None:
    found = specs.run(
        """\
cases:
  wrong:
    params: {least: 3}
    expect:
      status: failed
      problem: timeout
      steps: {big: skipped}
      verdicts: {big: skip}
      holds:
        - ${{ steps.big.value == 6 }}
        - ${{ steps.big.value > params.least + 10 }}
"""
    )
    (case,) = results(found).values()
    assert [(f.line, f.column, f.message) for f in case.failures] == [
        (7, 16, "no problem timeout; none was found"),
        (6, 15, "the run succeeded, expected: failed"),
        (8, 15, "big: succeeded, expected: skipped"),
        (9, 18, "big: undecided (when: ${{ steps.middle.value > params.least }}), expected: skip"),
        (12, 11, "steps.big.value > params.least + 10 is False"),
    ]
    assert case.failures[-1].lines == ["steps.big.value = 6", "params.least = 3.0"]


def test_a_problem_of_the_spec_is_expected(specs: Specs) -> None:
    found = specs.run(
        """\
defaults: {params: {least: 2}}
cases:
  text: {params: {least: high}, expect: {problem: bad-parameter}}
  other: {params: {least: high}, expect: {problem: unknown-step}}
  surprise: {params: {least: high}}
"""
    )
    failed = messages(found)
    assert failed["text"] == []
    assert failed["other"] == ["no problem unknown-step; found: bad-parameter"]
    assert failed["surprise"] == ["the spec has a problem"]


def test_a_step_that_fails_is_expected(specs: Specs) -> None:
    spec = "version: 1\nname: f\nsteps:\n  a: {uses: debug.fail, with: {message: oh}}\n"
    found = specs.run(
        "cases:\n  fails: {expect: {status: failed, steps: {a: failed}}}\n  surprise: {}\n  code: {expect: {problem: x-y}}\n",
        spec,
    )
    failed = messages(found)
    assert failed["fails"] == []
    assert failed["surprise"] == ["the run failed, expected: succeeded"]
    assert failed["code"][0].startswith("no problem x-y; found: ")


def test_mistakes_in_a_test_file_are_problems_with_a_place(specs: Specs) -> None:
    assert specs.problems("cases:\n  a: {gven: {}}\n") == ['3:7 unknown-key: unknown key "gven"']
    assert specs.problems("cases: []\n")[0].startswith("2:8 bad-value")
    assert specs.problems("case: {}\n")[0].startswith('2:1 unknown-key: unknown key "case"')
    found = specs.problems(
        """\
cases:
  a:
    given:
      sorce: {value: 1}
      source: {vlue: 1}
    params: {most: 3}
    run: [bigg]
    expect:
      holds: ["${{ steps.bog.value }}", "${{ steps.big.valu }}", "1 > 0", "${{ 1 + }}"]
      steps: {middel: failed}
      disjoint: [{tables: [big.value, biig.value], by: x}]
"""
    )
    assert [line.partition(": ")[0] for line in found] == [
        *("5:7 unknown-step", "6:16 unknown-output", "7:14 unknown-parameter", "8:11 unknown-step"),
        *("10:15 unknown-step", "10:41 unknown-output", "10:66 bad-expression", "10:80 bad-expression"),
        *("11:15 unknown-step", "12:39 unknown-step"),
    ]


def test_an_input_that_is_neither_given_nor_run_is_a_problem(specs: Specs) -> None:
    assert specs.problems("cases:\n  a: {run: [big]}\n") == [
        '3:3 input-not-given: step "big" reads middle, which is neither given nor run'
    ]
    assert specs.problems("cases:\n  a: {given: {source: {}}, run: [middle]}\n") == [
        '3:3 input-not-given: step "middle" reads source.value, which is neither given nor run'
    ]


def test_tables_are_given_and_compared(specs: Specs) -> None:
    specs.write("fixtures/people.csv", PEOPLE)
    found = specs.run(
        """\
cases:
  rows:
    given: {load: {table: {rows: [{id: 1, age: 20}, {id: 2, age: 3}]}}}
    run: [big]
    expect:
      tables: {big.table: {rows: [{id: 1, age: 20, name: null}]}}
  csv:
    given: {load: {table: {csv: "id,age\\n1,20\\n2,30"}}}
    run: [big]
    expect:
      tables: {big.table: {csv: "id,age\\n2,30\\n1,21\\n3,1", by: [id]}}
  file:
    given: {load: {table: {file: fixtures/people.csv}}}
    run: [big]
    expect:
      holds: ["${{ steps.big.table.rows == 2 }}"]
      disjoint: [{tables: [big.table, load.table], by: id}]
""",
        TABLES,
    )
    failed = results(found)
    assert failed["rows"].failures == []
    assert failed["csv"].failures[0].lines == [
        "row   column  expected  actual",
        "id=1  age     21        20",
        "- id=3, age=1",
    ]
    assert [failure.message for failure in failed["file"].failures] == ["2 values of id in several tables"]


def test_given_tables_are_checked_against_the_known_columns(specs: Specs) -> None:
    found = specs.problems(
        """\
cases:
  a:
    given: {load: {table: {rows: [{id: 1, agee: 20}]}}}
    run: [big]
  b:
    given: {load: {table: {rows: [{id: one}]}}}
    run: [big]
  c:
    given: {load: {table: 3}}
    run: [big]
  d:
    given: {load: {table: {rowz: [{id: 1}]}}}
    run: [big]
  e:
    given: {load: {table: {rows: [{id: 1}], types: {age: int46}}}}
    run: [big]
  f:
    given: {load: {table: {rows: [{id: 1}], types: {aeg: int64}}}}
    run: [big]
""",
        TABLES,
    )
    assert [line.partition(": ")[0] for line in found] == [
        "4:49 unknown-column",
        "7:40 bad-fixture",
        "10:27 bad-fixture",
        "13:28 unknown-key",
        "16:58 bad-fixture",
        "19:58 bad-fixture",
    ]


def test_snapshots_are_written_and_compared(specs: Specs) -> None:
    cases = "cases:\n  a:\n    given: {middle: {value: VALUE}}\n    run: [big]\n    expect: {snapshot: [big.value]}\n"
    first = specs.run(cases.replace("VALUE", "7.5"))
    assert results(first)["a"].failures[0].lines[0] == "there is no snapshot of it"
    assert specs.run(cases.replace("VALUE", "7.5"), update=True).updated == [str(specs.root / "a.snapshots.json")]
    assert specs.run(cases.replace("VALUE", "7.5")).failed == 0
    assert specs.run(cases.replace("VALUE", "7.5"), update=True).updated == []
    other = specs.run(cases.replace("VALUE", "8"))
    assert results(other)["a"].failures[0].lines[0] == "value: expected 7.5, is 8"
    assert specs.run(cases.replace("VALUE", "8").replace("[big.value]}", "[big.value], tolerance: 0.1}")).failed == 0


def test_a_table_that_has_become_too_large_for_its_snapshot_differs_from_it(specs: Specs) -> None:
    cases = "cases:\n  a: {run: [load, big], expect: {snapshot: [big.table]}}\n"
    specs.run(cases, TABLES, update=True)
    specs.write("people.csv", PEOPLE + "".join(f"{number},20,x\n" for number in range(4, 2_004)))
    found = results(specs.run(cases, TABLES))["a"]
    assert found.failures[0].lines == [
        "a snapshot of a table has at most 2,000 rows, this one has 2,002",
        "take a smaller table, or write the expectation under holds:",
    ]
    with pytest.raises(BadInput, match="at most 2,000 rows"):
        specs.run(cases, TABLES, update=True)


def test_coverage_names_what_no_case_exercises(specs: Specs) -> None:
    one = 'cases:\n  a: {params: {least: 100}, expect: {holds: "${{ steps.source.value.amount == 5 }}"}}\n'
    found = (specs.run(one, coverage=True).coverage or [])[0]
    assert (found.covered, found.total) == (4, 7)
    assert found.missing == ["step big", "when true big", "output big"]
    both = one + '  b: {expect: {holds: "${{ steps.big.value == 6 }}"}}\n'
    found = (specs.run(both, coverage=True).coverage or [])[0]
    assert found.missing == []
    wrong = "cases:\n  a:\n    params: {least: x}\n    expect: {problem: bad-parameter}\n"
    found = (specs.run(wrong, coverage=True).coverage or [])[0]
    assert found.covered == 0 and "step source" in found.missing, "a case that expects a problem runs nothing"


def test_a_fault_lasts_until_an_attempt(specs: Specs) -> None:
    spec = TABLES.replace("load: {uses", "load: {retry: {attempts: 3, initial: 30s}, uses")
    found = specs.run(
        """\
cases:
  passes: {run: [load], fault: {tool: data, until: 3}, expect: {steps: {load: succeeded}}}
  stays: {run: [load], fault: {tool: data}, expect: {status: failed, problem: tool-unavailable}}
""",
        spec,
    )
    assert messages(found) == {"passes": [], "stays": []}


def test_a_fault_of_a_tool_that_is_not_called_is_a_problem(specs: Specs) -> None:
    assert specs.problems("cases:\n  a: {run: [load], fault: {tool: mlflow}}\n", TABLES) == [
        '3:34 bad-value: no step that runs calls the tool "mlflow"'
    ]


def test_a_test_file_is_not_taken_for_a_spec(specs: Specs) -> None:
    specs.write("a.test.yaml", "# nothing yet\n")
    with pytest.raises(InvalidSpec) as caught:
        suite.load([str(specs.root)])
    assert [problem.hint for problem in caught.value.problems] == ["a test file starts with tests: ./NAME.yaml"]


def test_only_chosen_cases_run(specs: Specs) -> None:
    found = specs.run("cases:\n  one: {}\n  two: {}\n", only="TWO")
    assert list(results(found)) == ["two"]
    with pytest.raises(BadInput, match="no case contains 'three'"):
        specs.run("cases:\n  one: {}\n", only="three")


def test_the_workspace_is_not_touched(specs: Specs) -> None:
    specs.run("cases:\n  a: {given: {load: {table: {csv: 'id,age,name'}}}, run: [big]}\n", TABLES)
    before = sorted(specs.root.rglob("*"))
    spec = TABLES + "  out: {uses: data.write, with: {table: '${{ steps.load.table }}', path: out.csv}}\n"
    found = specs.run("cases:\n  a: {run: [load, out], expect: {problem: policy-path}}\n", spec)
    assert messages(found) == {"a": []}
    assert sorted(specs.root.rglob("*")) == before


def test_results_are_written_as_junit(specs: Specs) -> None:
    found = specs.run("cases:\n  good: {}\n  bad: {expect: {status: failed}}\n")
    root = junit.tree(found)
    assert root.attrib == {"tests": "2", "failures": "1"}
    assert [case.get("name") for case in root.iter("testcase")] == ["good", "bad"]
    (failure,) = root.iter("failure")
    assert (failure.text or "").endswith("a.test.yaml:4:26: the run succeeded, expected: failed")


def test_a_broken_file_of_snapshots_is_reported(specs: Specs) -> None:
    specs.write("a.snapshots.json", json.dumps([]))
    with pytest.raises(BadInput, match="is not a file of snapshots"):
        specs.run("cases:\n  a: {}\n")


@pytest.mark.parametrize("path", ["nothing", "a.yaml"])
def test_a_path_without_tests_is_reported(specs: Specs, path: str) -> None:
    specs.write("a.yaml", SPEC)
    with pytest.raises(BadInput, match="there is no test file at"):
        suite.load([str(specs.root / path)])

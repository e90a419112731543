"""pytest collects test files of specs, with the plug-in: each case is a test."""

from __future__ import annotations

import pytest

pytest_plugins = "pytester"
SPEC = 'version: 1\nname: a\nsteps:\n  one: {uses: debug.echo, with: {value: 1}}\n  two: {uses: debug.echo, with: {value: "${{ steps.one.value }}"}}\n'
CASES = """\
tests: ./a.yaml
cases:
  equal: {expect: {holds: "${{ steps.two.value == 1 }}"}}
  other: {given: {one: {value: 2}}, expect: {holds: "${{ steps.two.value == 1 }}"}}
"""


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-p", "e2i.testing.pytest_plugin", "-p", "no:opik", *arguments)


def test_each_case_is_a_test(pytester: pytest.Pytester) -> None:
    pytester.makefile(".yaml", a=SPEC)
    pytester.makefile(".test.yaml", a=CASES)
    done = run(pytester)
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["*a.test.yaml:4:53: steps.two.value == 1 is False", "*steps.two.value = 2"])
    run(pytester, "-k", "equal").assert_outcomes(passed=1, deselected=1)


def test_an_invalid_test_file_is_a_collection_error(pytester: pytest.Pytester) -> None:
    pytester.makefile(".yaml", a=SPEC)
    pytester.makefile(".test.yaml", a=CASES.replace("two.value", "tow.value"))
    done = run(pytester)
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(['*a.test.yaml:3:*: the spec has no step "tow" ?unknown-step?; did you mean "two"?'])

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from e2i.catalog.action import Action
from e2i.catalog.registry import BUILT_IN
from e2i.planning import fingerprint
from e2i.planning.canonical import canonical, digest
from e2i.planning.fingerprint import Environment
from e2i.planning.inputs import Components
from e2i.planning.model import Why
from e2i.spec.expansion.nodes import Pending

DIGEST = "sha256:" + "a" * 64
AROUND = Environment(library=lambda name: "1.0", file=lambda name: DIGEST, python="3.11")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def echo() -> Action:
    found = BUILT_IN.action("debug.echo")
    assert found is not None
    return found


def components(uses: str, action: Action, raw: Any, params: Any, seed: int, facts: Environment) -> Components:
    known = fingerprint.fixed(uses, action, raw, seed, facts)
    return fingerprint.components(known, action, params, facts)


def parts(value: Any = 1, seed: int = 0, facts: Environment = AROUND) -> Components:
    return components("debug.echo", echo(), {"value": value}, {"value": value}, seed, facts)


@given(st.dictionaries(st.text(max_size=3), JSON, min_size=2, max_size=4))
def test_the_order_of_keys_counts_for_nothing(value: dict[str, Any]) -> None:
    assert fingerprint.fingerprint(parts(value)) == fingerprint.fingerprint(parts(dict(reversed(value.items()))))


@given(JSON, JSON)
def test_different_data_has_different_digests(one: Any, two: Any) -> None:
    assert (digest(one) == digest(two)) == (canonical(one) == canonical(two))


def test_everything_that_can_change_the_result_is_covered() -> None:
    marks = {
        fingerprint.fingerprint(changed)
        for changed in (
            parts(),
            parts(2),
            parts("1"),
            parts(True),
            parts(seed=1),
            replace(parts(), version=2),
            replace(parts(), action="debug.sleep"),
            replace(parts(), libraries={"pandas": "2"}),
            replace(parts(), files={"a.csv": DIGEST}),
            replace(parts(), python="3.12"),
        )
    }
    assert len(marks) == 10


def test_how_a_reference_is_written_changes_no_fingerprint() -> None:
    assert fingerprint.fingerprint(replace(parts(), written="${{ steps.a.value }}")) == fingerprint.fingerprint(parts())


def test_of_an_artifact_only_the_digest_counts() -> None:
    one = {"type": "bento", "digest": DIGEST, "tag": "m:1", "model": DIGEST}
    two = {**one, "tag": "m:2"}
    assert fingerprint.reduced({"x": [one]}) == fingerprint.reduced({"x": [two]}) == {"x": [{"$artifact": DIGEST}]}


def test_files_that_an_action_reads_are_inputs() -> None:
    found = BUILT_IN.action("python.call")
    assert found is not None
    params = {"file": "a.py", "function": "f"}
    seen = components("python.call", found, params, params, 0, AROUND)
    assert seen.files == {"a.py": DIGEST}
    assert set(seen.libraries) == {"pandas", "numpy", "pyarrow", "polars"}


def test_a_file_counts_before_and_after_the_other_inputs_are_known() -> None:
    found = BUILT_IN.action("python.call")
    assert found is not None
    raw = {"file": "a.py", "function": "f", "arguments": {"x": Pending("${{ steps.a.value }}", ())}}
    before = components("python.call", found, raw, raw, 0, AROUND)
    after = components("python.call", found, raw, {**raw, "arguments": {"x": 1}}, 0, AROUND)
    assert before.files == after.files == {"a.py": DIGEST}
    assert fingerprint.static_key(before) == fingerprint.static_key(after)
    assert before.inputs == after.inputs


def test_a_file_that_a_step_names_counts_for_the_result_but_not_for_the_plan() -> None:
    found = BUILT_IN.action("data.load")
    assert found is not None
    raw = {"path": Pending("${{ steps.a.value }}", ())}
    before = components("data.load", found, raw, raw, 0, AROUND)
    after = components("data.load", found, raw, {"path": "a.csv"}, 0, AROUND)
    assert (before.files, after.files, after.found_files) == ({}, {}, {"a.csv": DIGEST})
    assert fingerprint.static_key(before) == fingerprint.static_key(after)
    assert before.inputs == after.inputs
    other = replace(after, found_files={"a.csv": "sha256:other"})
    assert fingerprint.fingerprint(other) != fingerprint.fingerprint(after)
    assert fingerprint.difference(other, after).code is Why.FILE_CHANGED


def test_the_first_difference_of_interest_is_the_reason() -> None:
    before = parts({"trials": 20, "deep": {"x": [1]}})
    cases = [
        (None, Why.NEVER_RUN, ""),
        (replace(before, version=2), Why.ACTION_CHANGED, "debug.echo v2 → debug.echo v1"),
        (parts({"trials": 40, "deep": {"x": [1]}}), Why.PARAMETER_CHANGED, "value.trials 40 → 20"),
        (parts({"trials": 20, "deep": {"x": [2]}}), Why.PARAMETER_CHANGED, "value.deep.x [2] → [1]"),
        (parts({"trials": 20}), Why.PARAMETER_CHANGED, "value.deep (none) → {'x': [1]}"),
        (replace(before, files={"a.csv": "x"}), Why.FILE_CHANGED, "a.csv"),
        (replace(before, libraries={"pandas": "1"}), Why.LIBRARY_CHANGED, "pandas 1 → (none)"),
        (replace(before, python="3.10"), Why.LIBRARY_CHANGED, "python 3.10 → 3.11"),
        (replace(before, seed=5), Why.SEED_CHANGED, "5 → 0"),
        (replace(before, params={"value": 0}), Why.INPUT_CHANGED, "value"),
        (before, Why.RESULT_LOST, "it ran before, but its result is no longer in the store"),
    ]
    for last, code, detail in cases:
        reason = fingerprint.difference(before, last)
        assert reason.code is code
        assert detail in reason.detail


def test_the_server_that_a_tool_acts_on_is_covered_and_named_when_it_is_another() -> None:
    def on(**server: Any) -> Components:
        facts = Environment(
            library=AROUND.library, file=AROUND.file, python=AROUND.python, server=lambda tool, given: server
        )
        return parts(facts=facts)

    embedded, one, other = on(), on(url="https://one", prefix=""), on(url="https://two", prefix="")
    assert embedded == parts()  # results of embedded tools stay as they were
    assert len({fingerprint.fingerprint(found) for found in (embedded, one, other)}) == 3
    assert len({fingerprint.static_key(found) for found in (embedded, one, other)}) == 3
    reason = fingerprint.difference(one, embedded)
    assert (reason.code, reason.detail) == (Why.SERVER_CHANGED, "debug: embedded → https://one")
    assert fingerprint.difference(other, one).detail == "debug: https://one → https://two"
    assert one.inputs.server == {"url": "https://one", "prefix": ""}

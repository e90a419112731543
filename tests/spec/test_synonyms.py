"""Words of other tools: each leads to something that there is, and no fix changes what is meant."""

from __future__ import annotations

import pytest

from e2i.catalog.registry import BUILT_IN
from e2i.spec import action_synonyms, synonyms
from e2i.spec.models import PipelineSpec, StepSpec


def keys(model: type[PipelineSpec] | type[StepSpec]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def test_every_word_leads_to_one_of_ours_and_is_none_itself() -> None:
    assert set(synonyms.SPEC_KEYS.values()) <= keys(PipelineSpec)
    assert set(synonyms.STEP_KEYS.values()) <= keys(StepSpec)
    assert keys(PipelineSpec).isdisjoint(synonyms.SPEC_KEYS)
    assert keys(StepSpec).isdisjoint({*synonyms.STEP_KEYS, *synonyms.OTHERWISE})
    names = set(BUILT_IN.names())
    assert set(action_synonyms.ACTIONS.values()) <= names
    assert names.isdisjoint(action_synonyms.ACTIONS)


def test_every_parameter_that_has_synonyms_is_one_of_some_action() -> None:
    known = {name for action in BUILT_IN.names() for name in BUILT_IN.action(action).params.model_fields}  # type: ignore[index]
    assert set(action_synonyms.PARAMETERS) <= known


@pytest.mark.parametrize(
    ("path", "value", "beside", "fixes"),
    [
        (("steps", "a", "if"), "${{ params.x }}", ("if",), 1),
        (("steps", "a", "if"), "${{ params.x }}", ("if", "when"), 0),
        (("steps", "a", "depends_on"), ["b"], ("depends_on",), 1),
        (("steps", "a", "depends_on"), "b", ("depends_on",), 2),
        (("steps", "a", "args"), {"x": 1}, ("args",), 1),
        (("steps", "a", "args"), ["x"], ("args",), 0),
        (("steps", "a", "strategy"), {"matrix": {"x": [1]}}, ("strategy",), 2),
        (("steps", "a", "strategy"), {"matrix": {"x": [1]}, "max-parallel": 2}, ("strategy",), 0),
        (("steps", "a", "retries"), 3, ("retries",), 2),
        (("steps", "a", "retries"), "three", ("retries",), 0),
        (("steps", "a", "timeout-minutes"), 5, ("timeout-minutes", "timeout"), 0),
    ],
)
def test_a_key_is_renamed_only_if_its_value_can_stand_under_ours(
    path: tuple[str, ...], value: object, beside: tuple[str, ...], fixes: int
) -> None:
    found = synonyms.step_key(path, value, beside)
    assert found is not None
    assert len(found[1]) == fixes


def test_a_key_of_another_tool_has_a_hint_whatever_its_value_is() -> None:
    for word in {*synonyms.STEP_KEYS, *synonyms.CONVERTED, *synonyms.OTHERWISE}:
        for value in (None, True, -1, 2.5, "entity", [], ["a"], [{}], {}, {"a": 1}, {"matrix": 3}):
            found = synonyms.step_key(("steps", "a", word), value, (word,))
            assert found is not None and found[0], (word, value)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("sklearn.train", "use model.train"),
        ("data.laod", 'did you mean "data.load"?'),
        ("pandas.merge", "use table.join"),
        ("data.save", "use data.write"),
        ("pandas.explode", "python.call"),
        ("nothing.known", "`e2i catalog` lists the actions"),
    ],
)
def test_a_mistyped_action_is_told_from_one_that_there_is_not(name: str, hint: str) -> None:
    assert hint in action_synonyms.action(name, BUILT_IN.names())


@pytest.mark.parametrize(
    ("word", "fields", "given", "ours"),
    [
        ("target_column", ("table", "target"), (), "target"),
        ("target_column", ("table", "target"), ("target",), None),
        ("kwargs", ("params", "arguments"), (), None),
        ("nonsense", ("target",), (), None),
    ],
)
def test_a_parameter_is_renamed_when_one_alone_can_be_meant(
    word: str, fields: tuple[str, ...], given: tuple[str, ...], ours: str | None
) -> None:
    assert action_synonyms.parameter(word, fields, given) == ours

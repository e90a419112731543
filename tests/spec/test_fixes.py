from __future__ import annotations

from typing import Any

import pytest

from e2i.spec import fixes
from e2i.spec.operations import Replace


@pytest.mark.parametrize(
    ("value", "kind", "meant"),
    [
        ("yes", "boolean", True),
        ("Off", "boolean", False),
        ("20", "integer", 20),
        ("1e3", "integer", 1000),
        (" 20 ", "integer", 20),
        (20.0, "integer", 20),
        ("0.5", "number", 0.5),
        (20, "string", "20"),
        ("one", "list", ["one"]),
    ],
)
def test_a_value_of_the_wrong_type_is_read_as_what_it_looks_like(value: Any, kind: str, meant: Any) -> None:
    assert fixes.meant(value, kind) == meant


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("maybe", "boolean"),
        (1, "boolean"),
        ("twenty", "integer"),
        (20.5, "integer"),
        ("20 trials", "integer"),
        ("1e999", "number"),
        (".inf", "number"),
        (True, "string"),
        (1.10, "string"),
        ({}, "list"),
        ("x", "mapping"),
        ("x", ""),
    ],
)
def test_a_value_that_could_mean_anything_is_left_alone(value: Any, kind: str) -> None:
    assert fixes.meant(value, kind) is fixes.MISSING


@pytest.mark.parametrize(
    ("written", "meant"),
    [("10 min", "10m"), ("1 hour 30 minutes", "1h30m"), ("500 ms", "500ms"), ("2 Days", "2d"), ("90 sec", "90s")],
)
def test_units_in_words_are_understood(written: str, meant: str) -> None:
    assert fixes.duration(written) == meant


def test_a_plain_number_is_a_duration_in_seconds() -> None:
    assert fixes.duration(30) == "30s"


@pytest.mark.parametrize("written", ["30", "soon", 0, -1, True, 1.5, None, "10 m 1 h", "1 M"])
def test_a_number_without_a_unit_is_no_duration(written: Any) -> None:
    assert fixes.duration(written) is None


def test_a_name_is_mended_everywhere_in_an_expression_but_nowhere_else() -> None:
    text = "${{ steps.lod.lod ~ steps.lod.x ~ 'steps.lods' }} lod"
    (fix,) = fixes.reworded(("with", "a/b"), text, "steps.", "lod", "load")
    assert fix == Replace(path="/with/a~1b", value="${{ steps.load.lod ~ steps.load.x ~ 'steps.lods' }} lod")


def test_a_name_in_brackets_is_mended_when_it_stands_there_once() -> None:
    (fix,) = fixes.reworded(("x",), "${{ params['trails'] }}", "params.", "trails", "trials")
    assert isinstance(fix, Replace) and fix.value == "${{ params['trials'] }}"
    assert fixes.reworded(("x",), "${{ params['a'] ~ 'a' }}", "params.", "a", "b") == ()


def test_a_key_is_not_renamed_to_one_that_is_there() -> None:
    assert fixes.renamed(("steps", "a", "need"), ["needs", "when"])[0].path == "/steps/a/needs"
    assert fixes.renamed(("steps", "a", "need"), ["needs", "when"], {"needs": []}) == ()


@pytest.mark.parametrize(
    ("value", "choice"),
    [("Fail", "fail"), ("contineu", "continue"), ("1", 1), ("xyz", fixes.MISSING), (7, fixes.MISSING)],
)
def test_a_choice_is_found_in_what_pydantic_expects(value: Any, choice: Any) -> None:
    assert fixes.choice(value, "'fail', 'continue' or 1") == choice
    assert fixes.choice("gpu", "'cpu' or 'cuda'") == "cuda", "not the nearest by letters"

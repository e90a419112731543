from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from e2i.cli import options
from e2i.errors import BadInput
from e2i.planning.model import Plan
from e2i.spec.document import read
from e2i.spec.models import PipelineSpec
from e2i.spec.params import CommandLineValue, parameter_values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("n=3", 3),
        ("n=no", "no"),
        ("n=true", True),
        ("n=[1, a]", [1, "a"]),
        ("n={a: 1}", {"a": 1}),
        ("n=a=b", "a=b"),
        ("n=", None),
    ],
)
def test_values_are_yaml(text: str, value: Any) -> None:
    found = options.parameters([text])["n"]
    assert (found.value if isinstance(found, CommandLineValue) else found) == value


@pytest.mark.parametrize(
    ("declared", "text", "value"),
    [
        ("{type: string}", "02116", "02116"),
        ("{type: string}", "1e3", "1e3"),
        ("{type: string}", "true", "true"),
        ("{type: string}", "null", "null"),
        ("{type: string, default: null}", "null", None),
        ("{type: string, default: null}", "", None),
        ("{type: path}", "2024", "2024"),
        ("{type: integer}", "3", 3),
        ("{type: number}", "3", 3.0),
        ("{type: any}", "02116", 2116),
        ("{type: string, pattern: '[0-9]{5}'}", "02116", "02116"),
    ],
)
def test_a_parameter_of_text_takes_the_text_as_it_is_written(declared: str, text: str, value: Any) -> None:
    document, _ = read(
        f"version: 1\nname: s\nparams: {{p: {declared}}}\nsteps: {{a: {{uses: debug.echo}}}}\n", "s.yaml"
    )
    assert document is not None
    spec = PipelineSpec.model_validate(document.data)
    assert parameter_values(spec, document, options.parameters([f"p={text}"])) == ({"p": value}, [])


@pytest.mark.parametrize("given", [["n"], ["=3"], ["n=1", "n=2"], ["n={"], ["n=!!python/object:x y"]])
def test_what_is_no_parameter_is_refused(given: list[str]) -> None:
    with pytest.raises(BadInput):
        options.parameters(given)


def test_a_value_that_is_a_comment_is_no_empty_file() -> None:
    with pytest.raises(BadInput, match="-p n: the value is empty, since # starts a comment") as refused:
        options.parameters(["n=#x"])
    assert refused.value.hint == """quote it: -p n='"#x"'"""


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"digest": "x"}', '{"digest": 3, "schema_version": 1}', "\xff"])
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text, "latin-1")
    with pytest.raises(BadInput, match="plan"):
        options.plan_document(path)


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    document = Plan("é", (), {}).document
    options.write_plan(tmp_path / "plan.json", document)
    assert options.plan_document(tmp_path / "plan.json") == document

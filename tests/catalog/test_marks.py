from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, Field

from e2i.catalog import marks
from e2i.catalog.action import Params
from e2i.catalog.marks import Budget, Privilege, WorkspaceFile, WorkspacePath
from e2i.catalog.registry import BUILT_IN


class Inner(BaseModel):
    path: WorkspacePath
    rows: Annotated[int | None, Budget("rows")] = None


class Outer(Params):
    one: Annotated[str, WorkspaceFile("config/{}.yaml"), Field(pattern="x")] | int
    many: tuple[Inner, ...] = ()
    named: Mapping[str, Inner] = {}
    stage: Annotated[str, Privilege("promote_to_production", "production")] = "staging"


def test_marks_are_found_wherever_they_stand() -> None:
    data = {"one": "x", "many": [{"path": "a", "rows": 3}, {"path": "b"}], "named": {"n": {"path": "c"}}, "other": 1}
    assert [(path, value) for path, _, value in marks.found(Outer, data)] == [
        (("one",), "x"),
        (("many", 0, "path"), "a"), (("many", 1, "path"), "b"), (("many", 0, "rows"), 3),
        (("named", "n", "path"), "c"),
    ]  # fmt: skip


def test_data_of_another_shape_has_no_marked_values() -> None:
    assert list(marks.found(Outer, {"many": "text", "named": [1], "one": None})) == [
        (("one",), WorkspaceFile("config/{}.yaml"), None)
    ]


def test_a_pattern_says_which_file_a_name_means() -> None:
    assert WorkspaceFile("config/expectations/{}.yaml").path("flights") == "config/expectations/flights.yaml"


def test_the_files_and_amounts_of_the_catalog_are_marked() -> None:
    marked = {
        f"{name}:{'.'.join(map(str, path))}"
        for name in BUILT_IN.names()
        for path, _ in marks.of(BUILT_IN.action(name).params)  # type: ignore[index]  # it is named
    }
    assert marked >= {
        "data.load:path",
        "data.load:rows",
        "python.call:file",
        "great_expectations.validate:suite",
        "optuna.tune:trials",
        "dataset.hcp:rows",
        "dataset.nycflights13:rows",
        "shap.explain:rows",
        "mlflow.promote:stage",
        "bentoml.serve:keep",
    }

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from e2i.catalog.artifacts import ARTIFACTS, Stored, Table, read_artifacts

DIGEST = "sha256:" + "0" * 64
TABLE = {"type": "table", "digest": DIGEST, "columns": [{"name": "a", "type": "double"}], "rows": 3}


def test_artifacts_in_plain_data_are_found_and_typed() -> None:
    found = read_artifacts({"deep": [TABLE, 1], "type": "something else"})
    assert isinstance(found["deep"][0], Table)
    assert found["deep"][0].names == ("a",)
    assert found["type"] == "something else"


@pytest.mark.parametrize(
    "value", [{"type": "table"}, {"type": "other", "digest": DIGEST}, {"type": 3, "digest": DIGEST}, []]
)
def test_what_is_no_artifact_stays_as_it_is(value: Any) -> None:
    assert read_artifacts(value) == value


@pytest.mark.parametrize("wrong", [{"digest": "md5:1"}, {"rows": "many"}, {"extra": 1}, {"columns": [{"name": "a"}]}])
def test_an_artifact_that_is_corrupt_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read_artifacts({**TABLE, **wrong})


def test_documents_come_back_as_they_were() -> None:
    table = read_artifacts(TABLE)
    assert read_artifacts(table.model_dump(mode="json")) == table
    with pytest.raises(ValidationError):
        table.rows = 4


def test_every_type_goes_by_its_own_name() -> None:
    for name, kind in ARTIFACTS.items():
        assert kind.model_fields["type"].default == name
    assert {name for name, kind in ARTIFACTS.items() if issubclass(kind, Stored)} == {
        "table",
        "model",
        "effect_model",
        "report",
        "file",
        "folds",
    }

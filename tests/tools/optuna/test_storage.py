"""Where studies are: the store, a SQLite file of the settings, a server; and the names of their locks."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2i.tools.optuna import OptunaSettings
from e2i.tools.optuna.storage import StudyStorage, plain


def storage(home: Path, address: str | None) -> StudyStorage:
    return StudyStorage(OptunaSettings.model_validate({"study_storage": address}), home)


def test_studies_are_in_the_store_unless_the_settings_name_a_database(tmp_path: Path) -> None:
    own = storage(tmp_path, None)
    assert (own.file, own.server) == (tmp_path / "studies.db", None)
    file = storage(tmp_path, f"sqlite:///{tmp_path}/folder/x.db?timeout=3")
    assert (file.file, file.server) == (tmp_path / "folder/x.db", None)
    server = storage(tmp_path, "postgresql://u:p@db/o")
    assert (server.file, server.server) == (None, "postgresql+psycopg://u:p@db/o")
    other = storage(tmp_path, "mysql+pymysql://u:p@db/o")
    assert (other.file, other.server) == (None, None)


def test_two_stores_share_the_locks_of_one_file(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/shared.db"
    turns = [storage(tmp_path / name, address).file_turn("s") for name in ("one", "two")]
    assert [turn.take() for turn in turns] == [True, False]
    turns[0].close()
    assert turns[1].take()
    turns[1].close()


@pytest.mark.parametrize("name", ["../x", "a/b", "é", "", "." * 3, "x" * 300])
def test_any_name_of_a_study_has_a_lock_of_its_own(name: str) -> None:
    assert plain(name) != plain(name + "!") and "/" not in plain(name) and len(plain(name)) < 160


def test_a_plain_name_is_its_own_file_name() -> None:
    assert plain("target-XGBoost_1.2") == "target-XGBoost_1.2"


def test_an_empty_address_is_none() -> None:
    assert OptunaSettings.model_validate({"study_storage": "", "mlflow_tracking_uri": ""}) == OptunaSettings()

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from editor import Editor

if importlib.util.find_spec("pygls") is None:  # an environment without the extra
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    """An editor with one server for the tests of a module."""
    from editor import Editor

    started = Editor(tmp_path_factory.mktemp("editor") / "project")
    yield started
    started.close()

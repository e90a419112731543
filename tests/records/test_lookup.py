from __future__ import annotations

from pathlib import Path

import pytest

from e2i.errors import BadInput
from e2i.records import lookup
from e2i.store.history import Reader
from e2i.store.runs import RunStore


def test_a_run_that_a_collection_takes_at_the_last_moment_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RunStore(tmp_path, lambda digest: True).close()
    monkeypatch.setattr(Reader, "named", lambda self, text: ["gone"])
    with pytest.raises(BadInput, match="no run 'gone'") as raised:
        lookup.run(tmp_path, "last")
    assert raised.value.code == "unknown-run"

from __future__ import annotations

from pathlib import Path

import pytest

from approvals_project import Approved


@pytest.fixture
def project(tmp_path: Path) -> Approved:
    return Approved(tmp_path / "project")

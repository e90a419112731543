"""A pytest plug-in that collects ``*.test.yaml``: each case is a test.

In: test files below the folders that pytest collects. Out: test items. ``pytest -k``, ``-x`` and reports work as usual.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from e2i.testing.preparing import PreparedCase
    from e2i.testing.running import Runner
    from e2i.testing.suite import ReadyFile

SUFFIXES = (".test.yaml", ".test.yml")
RUNNERS: pytest.StashKey[dict[Path, Any]] = pytest.StashKey()


class CaseFailure(Exception):
    """A case does not meet its expectations."""


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> SpecTestFile | None:
    if file_path.name.endswith(SUFFIXES):
        return SpecTestFile.from_parent(parent, path=file_path)
    return None


def pytest_sessionfinish(session: pytest.Session) -> None:
    for runner in session.config.stash.get(RUNNERS, {}).values():
        runner.__exit__(None, None, None)


class SpecTestFile(pytest.File):
    """A test file of a spec."""

    def collect(self) -> Iterator[SpecTestItem]:
        from e2i.errors import E2IError, InvalidSpec
        from e2i.testing import suite

        try:
            (ready,) = suite.load([str(self.path)])
        except InvalidSpec as error:
            raise self.CollectError("\n".join(map(str, error.problems))) from None
        except E2IError as error:
            raise self.CollectError(f"{error.message} [{error.code}]") from None
        for case in ready.cases:
            yield SpecTestItem.from_parent(self, name=case.name, ready=ready, case=case)


class SpecTestItem(pytest.Item):
    """A case."""

    def __init__(self, *, ready: ReadyFile, case: PreparedCase, **rest: Any) -> None:
        super().__init__(**rest)
        self._ready = ready
        self._case = case

    def runtest(self) -> None:
        from e2i.testing import junit, suite

        result, _ = suite.execute(self._ready, self._case, self._runner())
        if result.failures:
            raise CaseFailure(junit.text_of(result))

    def _runner(self) -> Runner:
        """Returns the runner of the workspace, which all tests of the session share."""
        from e2i.testing.running import Runner

        runners = self.config.stash.setdefault(RUNNERS, {})
        root = self._ready.workspace.root
        if root not in runners:
            runners[root] = Runner(self._ready.workspace)
        found: Runner = runners[root]
        return found

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, CaseFailure):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        line = self._ready.file.document.location(("cases", self._case.name), key=True).line
        return self.path, line - 1, f"{self.path.name}::{self.name}"

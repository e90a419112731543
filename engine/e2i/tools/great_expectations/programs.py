"""Validate what programs name. In: data, the name of a suite, rows to keep. Out: a ``GEValidationResult``.

Data is a frame, an Arrow table, a file of the workspace, or a table of the configured datasource. A suite is one of the
workspace, of an existing Great Expectations project, or one that e2i ships; the first of these that there is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from e2i.errors import BadInput
from e2i.spec.suggest import hint
from e2i.tools.great_expectations import (
    FolderSource,
    GreatExpectationsSettings,
    PostgresqlSource,
    SqliteSource,
    rows,
)
from e2i.tools.great_expectations.suite import FOLDER, SHIPPED, Suite, load, path_of, shipped
from e2i.tools.great_expectations.values import plain

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from e2i.tools.great_expectations.project import Project
    from e2i.tools.great_expectations.sql import Database

SAMPLES = 20
"""Unexpected values that a result lists."""
SPLIT = "split"
"""Column with the part of the data that a row belongs to."""


class GEValidationResult(Struct, frozen=True):
    """Result of one validation.

    ``statistics`` has evaluated_expectations, successful_expectations, unsuccessful_expectations and success_percent.
    ``results`` has one mapping per expectation, in the order of the suite: expectation (its type), success, kwargs (its
    arguments) and result (counts, or the observed value; ``exception`` when it could not be computed).
    """

    success: bool
    statistics: Mapping[str, int | float]
    results: list[dict[str, Any]]
    duration_seconds: float
    passed_expectations: int
    failed_expectations: int


class Files(Protocol):
    """The data files of the workspace."""

    def has(self, path: str) -> bool:
        """Return True when there is such a file."""

    def read(self, path: str) -> pa.Table:
        """Return the rows of a file. Raises Refused for one outside the workspace, StepError for one without rows."""

    def tables(self, folder: str) -> Mapping[str, str]:
        """Return the data files of a folder: name without ending → name."""

    def read_table(self, folder: str, name: str) -> pa.Table:
        """Return the rows of a file of such a folder."""


class Validations:
    """Validations with one set of settings. ``clock`` returns seconds."""

    def __init__(
        self,
        settings: GreatExpectationsSettings,
        workspace: Path,
        files: Files,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._workspace = workspace
        self._files = files
        self._clock = clock

    def validate(self, data: Any, suite_name: str, equal: Mapping[str, Any]) -> GEValidationResult:
        """Check the rows of the data whose columns have the values of ``equal``.

        Raises BadInput, Refused or StepError for what the caller can correct: an unknown suite, file, table,
        expectation, argument or column, or no rows; ToolUnavailable when a database does not answer.
        """
        started = self._clock()
        suite = self._suite(suite_name)
        found = self._data(data)
        if isinstance(found, tuple):
            from e2i.tools.great_expectations import sql

            results = sql.validate(*found, equal, suite, SAMPLES)
        else:
            results = _of_frame(rows.kept(found, equal), suite)
        return _result(suite, results, self._clock() - started)

    def server(self, data: Any) -> str | None:
        """Return the datasource of the settings that a program names a table of; None for a frame or a file."""
        if not isinstance(data, str | Path) or "/" in str(data) or self._files.has(str(data)):
            return None
        known = list(self._settings.datasources)
        only = known[0] if len(known) == 1 and self._settings.context_root is None else None
        return self._settings.datasource_name or only

    def create_suite(self, name: str, text: bytes) -> Path:
        """Write a suite's file. Raises BadInput when the project has a suite of that name."""
        from e2i.tools.great_expectations import writing

        project = self._project()
        if project is not None and name in project.suites():
            raise BadInput(
                f"the Great Expectations project has a suite {name!r}",
                code="suite-exists",
                hint="choose another name: e2i writes nothing into the project",
            )
        return writing.write(self._workspace, name, text)

    def _suite(self, name: str) -> Suite:
        path = self._workspace / path_of(name)
        if Path(name).name == name and path.is_file():
            return load(path, name)
        project = self._project()
        if project is not None and (suite := project.suite(name)):
            return suite
        if suite := shipped(name):
            return suite
        known = [file.stem for folder in (self._workspace / FOLDER, SHIPPED) for file in sorted(folder.glob("*.yaml"))]
        known += project.suites() if project is not None else []
        raise BadInput(
            f"there is no suite {name!r}",
            code="unknown-suite",
            hint=hint(name, sorted(set(known)), most=20) or "make it with create_suite",
        )

    def _data(self, given: Any) -> pd.DataFrame | tuple[Database, str]:
        """Return the rows of what a program names, or the database and the table that it is."""
        if isinstance(given, str | Path):
            return self._named(str(given))
        import pandas as pd
        import pyarrow as pa

        if isinstance(given, pd.DataFrame):
            return given
        if hasattr(given, "__arrow_c_stream__"):
            given = pa.table(given)
        if isinstance(given, pa.Table):
            return _frame(given)
        raise BadInput(
            f"{type(given).__name__} is no data to validate",
            code="bad-data-source",
            hint="give a pandas frame, an Arrow table, a file of the workspace, or a table of the datasource",
        )

    def _named(self, name: str) -> pd.DataFrame | tuple[Database, str]:
        """Return a file of the workspace, or else a table of the datasource."""
        if self._files.has(name):
            return _frame(self._files.read(name))
        project = self._project()
        source = self._source_name(project)
        if source is None or "/" in name:
            return _frame(self._files.read(name))  # reports that there is no such file
        match self._settings.datasources.get(source):
            case FolderSource(path=folder):
                tables = self._files.tables(folder)
                if name not in tables:
                    known = f"its tables: {', '.join(sorted(tables)[:20]) or 'none'}"
                    message = f"datasource {source!r} has no table {name!r}, and there is no such file"
                    raise BadInput(message, code="unknown-table", hint=hint(name, list(tables)) or known)
                return _frame(self._files.read_table(folder, tables[name]))
            case SqliteSource(path=path):
                return self._database(source, (self._workspace / path).resolve()), name
            case PostgresqlSource(url=url):
                return self._database(source, url.get_secret_value()), name
            case None:
                assert project is not None  # its datasource was chosen
                return project.data(source, name)

    def _database(self, name: str, address: str | Path) -> Database:
        from e2i.tools.great_expectations.sql import Database

        if isinstance(address, Path) and not address.is_file():
            raise BadInput(
                f"datasource {name!r} has no file: {address.name} does not exist",
                code="no-such-file",
                hint="correct its `path`, which is relative to the workspace",
            )
        return Database(name, address, self._settings.source_deadline)

    def _source_name(self, project: Project | None) -> str | None:
        """Return the datasource whose tables are named; None when there is none. Raises BadInput for several."""
        known = [*self._settings.datasources, *(project.datasources() if project is not None else [])]
        name = self._settings.datasource_name
        if name is None and len(known) > 1:
            said = f"there are several datasources: {', '.join(known)}"
            raise BadInput(said, code="unknown-datasource", hint="set `datasource_name`")
        if name is not None and name not in known:
            said = f"there is no datasource {name!r}"
            raise BadInput(said, code="unknown-datasource", hint=hint(name, known) or f"known: {', '.join(known)}")
        return name or (known[0] if known else None)

    def _project(self) -> Project | None:
        if self._settings.context_root is None:
            return None
        from e2i.tools.great_expectations.project import Project

        return Project(self._workspace / self._settings.context_root, self._settings.source_deadline)


def _frame(table: pa.Table) -> pd.DataFrame:
    """Return a frame whose integers and truth values with nulls are not floats or objects."""
    import pandas as pd
    import pyarrow as pa

    exact = {kind: getattr(pd, f"{str(kind).capitalize().replace('Ui', 'UI')}Dtype")() for kind in _integers()}
    exact[pa.bool_()] = pd.BooleanDtype()
    with_nulls = {name for name, column in zip(table.column_names, table.columns, strict=True) if column.null_count}
    columns = {
        name: column.to_pandas(types_mapper=exact.get if name in with_nulls else None)
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows))


def _integers() -> list[Any]:
    import pyarrow as pa

    return [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]


def _of_frame(frame: pd.DataFrame, suite: Suite) -> list[Any]:
    from e2i.tools.great_expectations import validation

    rows.require(suite, [str(name) for name in frame.columns])
    return validation.results_of(frame, suite, SAMPLES)


def _result(suite: Suite, results: list[Any], seconds: float) -> GEValidationResult:
    from e2i.tools.great_expectations.validation import broken

    found: list[dict[str, Any]] = []
    for item, result in zip(suite.expectations, results, strict=True):
        reason = broken(result.exception_info)
        details = plain(dict(result.result)) if reason is None else {"exception": reason}
        kwargs = dict(item.model_extra or {})
        found.append({"expectation": item.type, "success": bool(result.success), "kwargs": kwargs, "result": details})
    passed = sum(item["success"] for item in found)
    statistics = {
        "evaluated_expectations": len(found),
        "successful_expectations": passed,
        "unsuccessful_expectations": len(found) - passed,
        "success_percent": 100.0 * passed / len(found),
    }
    return GEValidationResult(passed == len(found), statistics, found, seconds, passed, len(found) - passed)

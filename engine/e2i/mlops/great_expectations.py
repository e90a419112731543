"""``GEValidator``: Great Expectations for programs. In: data and suites. Out: validation results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from e2i.mlops import arguments, loading
from e2i.mlops.connector import Connector
from e2i.mlops.files import DataFiles
from e2i.mlops.mistakes import LONGEST_PART, NAME_MAX, PATH_MAX, encodable, file_path, mistakes, text
from e2i.mlops.tracing import traced
from e2i.resilience.breaker import State
from e2i.resilience.circuits import breaker_of
from e2i.tools.great_expectations import GreatExpectationsSettings as GEConfig
from e2i.tools.great_expectations.programs import SPLIT, GEValidationResult, Validations
from e2i.tools.great_expectations.suite import DEFAULT_SUITE

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["GEConfig", "GEValidationResult", "GEValidator"]

SUITE = 'the name of a suite, such as "journeys"'


class GEValidator(Connector[GEConfig]):
    """Great Expectations: validates data against suites of expectations."""

    tool = "great_expectations"

    def open(self) -> None:
        files = DataFiles(self.program.roots, self.home)
        self._validations = Validations(self.config, self.program.workspace, files)
        self._guards = {
            server: replace(self.guard, breaker=breaker_of(self.program.store, self.tool, self.config, server))
            for server in self.config.circuits()
        }
        """Guards of the PostgreSQL databases: one that is down is called neither from here nor from a run."""

    @property
    def state(self) -> str:
        """The state of the circuit breaker; that of a configured database when its circuit is not closed."""
        states = [guard.breaker.state for guard in self._guards.values()]
        return next((state.value for state in states if state is not State.CLOSED), super().state)

    @traced
    async def validate(
        self,
        data_source: pd.DataFrame | pa.Table | str | Path,
        suite_name: str,
        split_filter: str | None = None,
        batch_parameters: Mapping[str, Any] | None = None,
    ) -> GEValidationResult:
        """Validate data against a suite.

        ``data_source``: a frame, an Arrow table, a file of the workspace (csv, tsv, jsonl, parquet, feather, excel), or
        a table of the configured datasource; PostgreSQL and SQLite compute the expectations themselves.
        ``split_filter`` keeps the rows whose column ``split`` has this value, ``batch_parameters`` those whose columns
        have these values. Rows are never changed.

        Raises BadCall (a ValueError) for an unknown suite, file, table, expectation, argument or column, and when there
        are no rows; ToolUnavailable when the database does not answer or the settings' ``deadline`` passes.
        """
        text(suite_name, "suite_name", longest=LONGEST_PART)
        if isinstance(data_source, str | Path):
            file_path(str(data_source), "data_source", part=NAME_MAX, longest=PATH_MAX)
        arguments.text("suite_name", suite_name, SUITE)
        arguments.optional_text("split_filter", split_filter, 'such as split_filter="train"')
        if batch_parameters is not None:
            arguments.mapping("batch_parameters", batch_parameters, 'such as {"brand": "Kisqali"}')
        equal = {**({} if split_filter is None else {SPLIT: split_filter}), **(batch_parameters or {})}
        with mistakes(), encodable("a name, a value or the data"):
            guard = self._guards.get(self._validations.server(data_source) or "", self.guard)
            return await guard.acall(self._validate, data_source, suite_name, equal)

    @traced
    def create_suite(self, suite_name: str, expectations: Iterable[Mapping[str, Any]]) -> Path:
        """Write a suite to ``config/expectations/`` of the workspace, and return its file. Specs can use it too.

        An expectation is ``{"type": …, "kwargs": {…}}``, or has its arguments beside ``type``. A suite of that name is
        replaced, at once and as a whole. Raises BadCall for an expectation that does not exist, lacks an argument, or
        would execute code.
        """
        text(suite_name, "suite_name", longest=LONGEST_PART)
        with mistakes(), encodable("an expectation"):
            given = arguments.mappings("expectations", expectations, 'write [{"type": …, "kwargs": {…}}]')
            from e2i.tools.great_expectations import writing

            content = writing.text_of(suite_name, given)
            self.guard.call(self._check, content, suite_name)
            return self.guard.call(self._validations.create_suite, suite_name, content)

    def _validate(self, data: object, suite_name: str, equal: Mapping[str, Any]) -> GEValidationResult:
        loading.once(self.tool, _library)
        return self._validations.validate(data, suite_name, equal)

    def _check(self, text: bytes, suite_name: str) -> None:
        from e2i.tools.great_expectations import writing

        loading.once(self.tool, _library)
        writing.check(text, suite_name)

    def get_default_suite(self, problem_type: str) -> str:
        """Return the name of the default suite of a problem type; ``e2i_default_suite`` for an unknown one."""
        arguments.text("problem_type", problem_type, "such as classification or regression")
        return self.config.default_suites.get(problem_type, DEFAULT_SUITE)


def _library() -> None:
    from e2i.tools.great_expectations import data_docs, validation  # noqa: F401 - with all that they need

    validation.context(validation.library())

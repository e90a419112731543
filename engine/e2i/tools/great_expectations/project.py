"""Read an existing Great Expectations project. In: its folder. Out: its suites, and the data of its datasources.

The project is used as it is, and nothing is written into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2i.errors import BadInput, Refused
from e2i.spec.suggest import hint
from e2i.tools.great_expectations.sql import Database
from e2i.tools.great_expectations.suite import Suite
from e2i.tools.great_expectations.validation import library, opened
from e2i.tools.great_expectations.writing import suite_of

if TYPE_CHECKING:
    import pandas as pd

FILE = "great_expectations.yml"


class Project:
    """An existing project, read when it is asked. ``root`` holds ``great_expectations.yml``, or ``gx/`` with it."""

    def __init__(self, root: Path, seconds: float) -> None:
        self._root = root
        self._seconds = seconds

    def suite(self, name: str) -> Suite | None:
        """Return the suite of that name; None when there is none.

        Raises BadInput or Refused for one that e2i cannot run.
        """
        found = next((suite for suite in self._context().suites.all() if suite.name == name), None)
        if found is None:
            return None
        items: list[Mapping[str, Any]] = [item.configuration.to_json_dict() for item in found.expectations]
        return suite_of(name, [{key: value for key, value in item.items() if key != "id"} for item in items])

    def suites(self) -> list[str]:
        """Return the names of the suites, sorted."""
        return sorted(suite.name for suite in self._context().suites.all())

    def datasources(self) -> list[str]:
        """Return the names of the datasources, sorted."""
        return sorted(self._context().data_sources.all())

    def data(self, datasource: str, asset: str) -> pd.DataFrame | tuple[Database, str]:
        """Return the newest batch of a file asset, or a table of a database and where that is. Raises BadInput."""
        context = self._context()  # held until the end: a datasource refers to its context weakly
        source = context.data_sources.get(datasource)
        known = {found.name: found for found in source.assets}
        if hasattr(source, "connection_string"):
            return self._table(source, known.get(asset), asset)
        if asset not in known:
            raise BadInput(
                f"datasource {datasource!r} has no asset {asset!r}",
                code="unknown-table",
                hint=hint(asset, list(known)) or f"its assets: {', '.join(sorted(known)) or 'none'}",
            )
        found = source.get_asset(asset)
        if found.type == "pickle":
            raise Refused(f"asset {asset!r} is a pickle, which executes code when it is read", code="pickle-refused")
        data = found.get_batch(found.build_batch_request()).data
        frame: Any = getattr(data, "dataframe", None)
        if type(frame).__module__.partition(".")[0] != "pandas":
            raise BadInput(f"asset {asset!r} is neither a file nor a table of a database", code="unknown-table")
        held: pd.DataFrame = frame
        return held

    def _table(self, source: Any, asset: Any, name: str) -> tuple[Database, str]:
        """Return the database of a SQL datasource, and the table that an asset stands for."""
        if getattr(asset, "type", "table") != "table":
            raise BadInput(
                f"asset {name!r} is a query",
                code="unknown-table",
                hint="validate a table, or a view with this query",
            )
        address = str(source.dict(config_provider=source._config_provider)["connection_string"])
        if asset is not None:
            schema = asset._effective_schema_name
            name = f"{schema}.{asset.table_name}" if schema else str(asset.table_name)
        return Database(source.name, _address(source.name, address, self._root), self._seconds), name

    def _context(self) -> Any:
        library()
        from great_expectations.data_context import FileDataContext

        root = next((root for root in (self._root, self._root / "gx") if (root / FILE).is_file()), None)
        if root is None:
            raise BadInput(
                f"{self._root} is no Great Expectations project: it has no {FILE}",
                code="no-project",
                hint="correct `context_root` in the settings of great_expectations",
            )
        return opened(lambda: FileDataContext(context_root_dir=str(root)))


def _address(name: str, address: str, root: Path) -> str | Path:
    """Return a PostgreSQL address, or the file of a SQLite one."""
    scheme, _, rest = address.partition("://")
    kind = scheme.partition("+")[0]
    if kind == "sqlite":
        return (root / rest.removeprefix("/").partition("?")[0]).resolve()
    if kind in ("postgresql", "postgres"):
        return address
    raise BadInput(
        f"datasource {name!r} is {kind}, which e2i does not read",
        code="unknown-datasource",
        hint="use PostgreSQL, SQLite or files, or give the rows as a frame",
    )

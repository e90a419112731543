"""Types of parameters that name columns of a table. Declared once, so that the schema of specs has each once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypeAliasType

ColumnName = Annotated[str, Field(min_length=1, max_length=500)]
ColumnNames = TypeAliasType("ColumnNames", tuple[ColumnName, ...])

"""The setting ``algorithms``: names that specs may use for an algorithm with own defaults.

In: a configuration file. Out: ``ListedPreset``s with their locations. Whether they fit their algorithm is checked when
one is used, by ``e2i.estimators.extended``.
"""

# Annotations are evaluated here: as text, pydantic would compile each of them at every start.
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from e2i.catalog.extensible import Preset
from e2i.documents import Values
from e2i.errors import InvalidSpec
from e2i.spec.document import Document
from e2i.spec.problems import Location

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
"""The name of an added algorithm."""


class ListedPreset(BaseModel):
    """An algorithm under a name of its own, and where it is defined."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    of: Annotated[str, Field(min_length=1, description="The algorithm, of e2i or of a listed plug-in.")]
    params: Annotated[
        Mapping[str, bool | int | float | str | None],
        Field(description="Hyperparameters that replace the library's defaults. A spec may set others."),
    ] = {}
    space: Annotated[
        Mapping[str, Values] | None,
        Field(description="Hyperparameters that a search varies; null: those of the algorithm, without `params`."),
    ] = None
    file: str = "config"
    line: int = 1
    column: int = 1

    @property
    def preset(self) -> Preset:
        """The preset as the registry has it."""
        space = None if self.space is None else {name: dict(item) for name, item in self.space.items()}
        return Preset(self.of, self.params, space, Location(self.file, self.line, self.column))


def read(found: Document, substitute: Callable[[Any], Any]) -> dict[str, dict[str, ListedPreset]]:
    """Returns the setting of a file, with the location of each name; {} for a file without it.

    ``substitute`` fills variables in. Raises InvalidSpec at the first value that no preset can have.
    """
    if "algorithms" not in found.data:
        return {}
    written = found.data["algorithms"] or {}
    if not isinstance(written, dict):
        message = '"algorithms" should be a mapping from a name to {of, params, space}'
        raise InvalidSpec([found.problem("bad-settings", ("algorithms",), message)])
    return {"algorithms": {name: _read(name, substitute(item), found) for name, item in written.items()}}


def _read(name: Any, item: Any, found: Document) -> ListedPreset:
    path = ("algorithms", name)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        message = f"an algorithm has a name of letters, digits and _, such as fast_xgboost, not {name!r}"
        raise InvalidSpec([found.problem("bad-settings", path, message, key=True)])
    if not isinstance(item, dict):
        message = f'"{name}" should be a mapping, such as {{of: XGBoost, params: {{max_depth: 3}}}}'
        raise InvalidSpec([found.problem("bad-settings", path, message)])
    where = found.location(path)
    try:
        return ListedPreset.model_validate({**item, "file": where.file, "line": where.line, "column": where.column})
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        inner = tuple(part for part in detail["loc"] if found.has((*path, part)))[:1]
        message = f"{'.'.join(map(str, (*path, *detail['loc'])))}: {detail['msg']}"
        raise InvalidSpec([found.problem("bad-settings", (*path, *inner), message)]) from error

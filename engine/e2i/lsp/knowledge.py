"""Keep what is known of an open document: its text now, and its last state that could be expanded and checked.

In: texts. Out: ``Checked`` from the stages of ``e2i.route``, and ``Knowledge``, which every answer reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from e2i import api, route
from e2i.catalog.files import Files
from e2i.check import types
from e2i.check.type_environment import TypeEnvironment
from e2i.check.types import Types
from e2i.documents import ParamValues
from e2i.lsp import cursor as cursors
from e2i.lsp import outline as outlines
from e2i.lsp.catalog import Catalog
from e2i.lsp.cursor import Cursor
from e2i.lsp.outline import Outline
from e2i.route import Draft
from e2i.scaffold import step
from e2i.scaffold.step import Offers
from e2i.spec.expansion.expanded import At, Expanded
from e2i.spec.expansion.nodes import SpecInstance
from e2i.spec.models import ParamSpec
from e2i.workspace.files import ChangedFiles
from e2i.workspace.source import Source


class Knowledge(Struct, frozen=True):
    """What answers are made of. ``state`` is the last draft with steps: it may be older than the text."""

    text: str
    file: str
    """The path of the document, relative to the workspace if it is inside."""
    outline: Outline
    workspace: api.Workspace
    catalog: Catalog
    state: Draft | None = None
    offers: Offers | None = None
    """What the steps of the state offer to a new step."""

    def with_text(self, text: str) -> Knowledge:
        """Returns the same state under a changed text."""
        return replace(self, text=text, outline=outlines.scan(text))

    def with_state(self, state: Draft | None) -> Knowledge:
        """Returns the same text over another state."""
        found = None
        if state is not None and state.expanded is not None and state.environment is not None:
            found = step.offers(state.expanded, state.environment)
        return replace(self, state=state, offers=found)

    @property
    def files(self) -> Files:
        return self.state.files if self.state is not None else self.workspace.files

    @property
    def expanded(self) -> Expanded | None:
        return self.state.expanded if self.state is not None else None

    @property
    def environment(self) -> TypeEnvironment | None:
        return self.state.environment if self.state is not None else None

    def at(self, step: tuple[str, str] | None) -> At:
        """Returns the context of expressions in a step: its node, or the pipeline when it was not there yet."""
        if self.expanded is None:
            return None
        units = self.expanded.root.units.get(step[1]) if step else None
        return units[0] if units else self.expanded.root

    def uses(self, name: str) -> str:
        """Returns what a step uses, in the text as it is now."""
        entry = self.outline.step(name)
        return entry.uses if entry else ""

    def outputs(self, name: str, at: At) -> Types:
        """Returns the type of ``steps.NAME``: as checked, or as the action declares for a step that is new."""
        uses = self.uses(name)
        if self.expanded is not None and self.environment is not None:
            units = self.expanded.root.units.get(name)
            if units and (not uses or units[0].step.uses == uses):
                return self.environment.of_step(name, at)
        action = self.catalog.registry.action(uses) if self.catalog.action(uses) else None
        return types.ANY if action is None else (types.of_model(action.outputs),)

    def included(self, uses: str) -> SpecInstance | None:
        """Returns the spec that steps include as ``uses``, if it could be read."""
        for one in self.expanded.instances if self.expanded is not None else ():
            if one.owner and one.owner.instance.owner is None and one.owner.step.uses == uses:
                return one
        return None

    @property
    def params(self) -> Mapping[str, ParamSpec]:
        """The declared parameters, as last read."""
        loaded = self.state.loaded if self.state is not None else None
        return loaded.spec.params if loaded is not None else {}

    def written(self, cursor: Cursor) -> ParamValues:
        """Returns the ``with`` of the step at the cursor, as it is written now; what cannot be read, as before."""
        if cursor.step is None:
            return ParamValues()
        now = cursor.value((*cursor.step, "with"))
        units = self.expanded.root.units.get(cursor.step[1]) if self.expanded is not None else None
        before = units[0].step.with_ if units else {}
        if not isinstance(now, dict):
            return ParamValues(before)
        is_whole = cursor.value((*cursor.step, "uses")) is not None
        return ParamValues(now if is_whole else {**before, **now})


def opened(text: str, file: str, workspace: api.Workspace, catalog: Catalog) -> Knowledge:
    """Returns what is known of a text before its first check."""
    return Knowledge(text, file, outlines.scan(text), workspace, catalog)


def check(text: str, file: str, workspace: api.Workspace, texts: Mapping[Path, str]) -> Draft:
    """Runs the stages up to ``check`` on a text. ``texts`` are those of other open files, by path without links."""
    files = ChangedFiles(workspace.files, texts) if texts else workspace.files
    return route.examine(Source(text, file), workspace, ParamValues(), files=files, require_params=False)


def tolerant(text: str, line: int, file: str, workspace: api.Workspace, texts: Mapping[Path, str]) -> Draft | None:
    """Checks a text that cannot be read, without the line that is being written. None when that does not help."""
    lines = text.splitlines(keepends=True)
    if not 0 <= line < len(lines):
        return None
    found = check("".join([*lines[:line], "\n", *lines[line + 1 :]]), file, workspace, texts)
    return found if found.expanded is not None else None


def cursor(knowledge: Knowledge, offset: int) -> Cursor | None:
    """Returns what is written at an offset of the text."""
    return cursors.find(knowledge.text, offset)

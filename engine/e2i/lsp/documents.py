"""Hold the open documents: their knowledge, their problems, and where the problems of other files are shown.

In: paths, texts, drafts. Out: ``OpenDocument``s, and ``Diagnosis``es by file. Knows no LSP.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from e2i import api, regular
from e2i.catalog.registry import Registry
from e2i.errors import E2IError, InvalidSpec
from e2i.lsp import cases, diagnosis, knowledge, place
from e2i.lsp.catalog import Catalog
from e2i.lsp.diagnosis import Diagnosis
from e2i.lsp.knowledge import Knowledge
from e2i.lsp.place import Place
from e2i.route import Draft
from e2i.spec.problems import Location, Problem


class OpenDocument:
    """A spec, or a test file of one, that is open in the editor."""

    def __init__(self, path: Path, known: Knowledge) -> None:
        self.path = path
        self.is_cases = cases.is_cases(path)
        self.known = known
        """Of a test file: its text, and what is known of the spec that it tests."""
        self.line = 0
        """The line that was changed last, from 0."""
        self.problems: tuple[Problem, ...] = ()
        self.checked = ""
        """The text that has these problems."""

    def changed(self, text: str) -> None:
        """Takes a new text."""
        self.line = _first_difference(self.known.text, text)
        self.known = replace(self.known, text=text) if self.is_cases else self.known.with_text(text)


class Documents:
    """The specs that are open, by path."""

    def __init__(self, where: Place) -> None:
        self._place = where
        self._catalog = Catalog(Registry())
        self.folders: list[Path] = []
        """The folders that the editor has open."""
        self.open: dict[Path, OpenDocument] = {}

    def opened(self, path: Path, text: str) -> OpenDocument | None:
        """Begins with a document, if it is a spec or a test file. Raises E2IError for settings that cannot be used."""
        if not (place.is_spec(path, text) or cases.is_cases(path)):
            return None
        workspace = self._place.workspace(path, self.folders)
        name = str(path) if cases.is_cases(path) else workspace.name(str(path))
        known = knowledge.opened(text, name, workspace, self.catalog(workspace))
        self.open[path] = OpenDocument(path, known)
        return self.open[path]

    def closed(self, path: Path) -> None:
        self.open.pop(path, None)

    def catalog(self, workspace: api.Workspace) -> Catalog:
        """Returns the catalog of the workspace's settings: the same one while they list the same tools."""
        registry = workspace.authority.registry
        before = self._catalog.registry
        if (registry.plugins, registry.presets) != (before.plugins, before.presets):
            self._catalog = Catalog(registry)
        return self._catalog

    def warm_up(self) -> None:
        """Describes all actions, so that the first answers do not have to."""
        for uses in self._catalog.summaries:
            self._catalog.action(uses)

    def check(self, document: OpenDocument) -> tuple[Knowledge, tuple[Problem, ...]]:
        """Checks the text of a document, with the unsaved texts of the others. Returns what is known after it.

        Changes nothing, so it can run beside answers to the editor. Runs no step.
        """
        known, path, line = document.known, document.path, document.line
        texts = {other: one.known.text for other, one in list(self.open.items()) if other != path}
        try:
            workspace = self._place.workspace(path, self.folders)
            if document.is_cases:
                return cases.check(known, path, workspace, texts)
            draft = knowledge.check(known.text, known.file, workspace, texts)
        except E2IError as error:
            return known, problems_of(error, known.file)
        state: Draft | None = draft if draft.expanded is not None else None
        if state is None and known.state is None:
            state = knowledge.tolerant(known.text, line, known.file, workspace, texts)
        now = knowledge.opened(known.text, known.file, workspace, self.catalog(workspace))
        return now.with_state(state or known.state), draft.problems

    def diagnoses(self, document: OpenDocument) -> dict[Path, list[Diagnosis]]:
        """Returns the problems of a document by the file that they are in: it, or a spec that it includes."""
        found: dict[Path, list[Diagnosis]] = {document.path: []}
        for problem in document.problems:
            path, text = self.source(document, problem.location.file)
            found.setdefault(path, []).append(diagnosis.of(problem, text))
        return found

    def source(self, document: OpenDocument, file: str) -> tuple[Path, str]:
        """Returns path and text of a file that problems of a document name."""
        known = document.known
        if file == known.file:
            return document.path, known.text
        path = known.workspace.files.own(file)
        if path is None:
            return document.path, known.text
        if path in self.open:
            return path, self.open[path].known.text
        try:
            return path, regular.read(path, regular.SPEC).decode("utf-8", "replace")
        except OSError:
            return document.path, known.text

    def on_lines(self, document: OpenDocument, first: int, last: int) -> Iterator[Diagnosis]:
        """Yields the problems of the document itself on these lines, from 0; none before a changed text is checked."""
        for problem in document.problems if document.checked == document.known.text else ():
            if problem.location.file == document.known.file and first <= problem.location.line - 1 <= last:
                yield diagnosis.of(problem, document.known.text)


def problems_of(error: E2IError, file: str) -> tuple[Problem, ...]:
    """Returns the problems of settings that a check cannot do without, at the start of the document."""
    if isinstance(error, InvalidSpec):
        messages = [(found.code, str(found), found.hint) for found in error.problems]
    else:
        messages = [(error.code, error.message, error.hint)]
    return tuple(Problem(code, message, Location(file, 1, 1), "", hint) for code, message, hint in messages)


def _first_difference(before: str, after: str) -> int:
    """Returns the line of the first difference, from 0."""
    pairs = list(zip(before.splitlines(), after.splitlines(), strict=False))
    return next((number for number, (old, new) in enumerate(pairs) if old != new), len(pairs))

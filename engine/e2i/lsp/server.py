"""The language server: LSP over the functions of this package. Only this module imports pygls.

In: a ``Place``. Out: a server on standard input and output. It runs no step, and writes nothing: changes are proposed
to the editor.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lsprotocol import converters
from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path
from pygls.workspace import TextDocument

from e2i import __version__
from e2i.errors import E2IError
from e2i.lsp import cases, completion, definition, diagnosis, documents, hover, knowledge
from e2i.lsp.diagnosis import Change, Diagnosis
from e2i.lsp.documents import Documents, OpenDocument
from e2i.lsp.items import Item
from e2i.lsp.place import Place

PAUSE = 0.2
"""Seconds without a change after which a document is checked."""
EXPLAIN = "e2i.explain"
KINDS = {
    "key": lsp.CompletionItemKind.Property,
    "parameter": lsp.CompletionItemKind.Property,
    "action": lsp.CompletionItemKind.Function,
    "value": lsp.CompletionItemKind.EnumMember,
    "step": lsp.CompletionItemKind.Module,
    "output": lsp.CompletionItemKind.Field,
    "column": lsp.CompletionItemKind.Field,
    "variable": lsp.CompletionItemKind.Variable,
    "filter": lsp.CompletionItemKind.Function,
    "file": lsp.CompletionItemKind.File,
    "snippet": lsp.CompletionItemKind.Snippet,
}
SEVERITIES = {"error": lsp.DiagnosticSeverity.Error, "warning": lsp.DiagnosticSeverity.Warning}


class SpecServer(LanguageServer):
    """The server with the documents that are open."""

    def __init__(self, place: Place) -> None:
        converter = converters.get_converter()
        super().__init__("e2i", __version__, converter_factory=lambda: converter)
        self.converter = converter
        self.is_warm = False
        self.documents = Documents(place)
        self.checks: dict[Path, asyncio.Task[None]] = {}
        self.shown: dict[Path, dict[Path, list[Diagnosis]]] = {}
        """The problems that are shown: by the document that was checked, and the file that they are in."""
        self.checker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="check")

    def warm_up(self) -> None:
        """Does once what the first completion would wait for: describes actions, and compiles how answers are sent."""
        item = _item(Item("a", "key", "a"), 0, lsp.Range(lsp.Position(0, 0), lsp.Position(0, 0)))
        answer = lsp.CompletionList(is_incomplete=False, items=[item])
        self.converter.unstructure(lsp.CompletionResponse(1, answer))
        self.documents.warm_up()

    def text(self, uri: str) -> TextDocument:
        return self.workspace.get_text_document(uri)

    def found(self, uri: str) -> OpenDocument | None:
        """Returns an open spec with its latest text."""
        document = self.documents.open.get(_path(uri))
        if document is not None and (text := self.text(uri).source) != document.known.text:
            document.changed(text)
        return document

    def changed(self, uri: str, pause: float = PAUSE) -> None:
        """Checks a document when nothing has changed for a while."""
        path, source = _path(uri), self.text(uri).source
        if path not in self.documents.open:
            try:
                self.documents.opened(path, source)
            except E2IError as error:  # it is opened at a later change
                found = [diagnosis.of(problem, source) for problem in documents.problems_of(error, str(path))]
                self.show(path, {path: found})
                return
        if self.found(uri) is None:
            return
        if path in self.checks:
            self.checks[path].cancel()
        self.checks[path] = asyncio.get_running_loop().create_task(self._check(uri, path, pause))

    async def _check(self, uri: str, path: Path, pause: float) -> None:
        await asyncio.sleep(pause)
        document = self.found(uri)
        if document is None:
            return
        text, loop = document.known.text, asyncio.get_running_loop()
        known, problems = await loop.run_in_executor(self.checker, self.documents.check, document)
        if not self.is_warm:  # the first problems come first
            self.is_warm = True
            self.checker.submit(self.warm_up)
        if path in self.documents.open and self.text(uri).source == text:
            document.known, document.problems, document.checked = known, problems, text
            self.show(path, self.documents.diagnoses(document))

    def show(self, owner: Path, found: dict[Path, list[Diagnosis]]) -> None:
        """Publishes the problems of a checked document, also those in files that it includes."""
        before = self.shown.get(owner, {})
        self.shown[owner] = found
        for path in {*before, *found}:
            each = {
                (one.line, one.start, one.problem.code, one.problem.message): one
                for shown in self.shown.values()
                for one in shown.get(path, [])
            }
            uri = from_fs_path(str(path)) or ""
            items = [_diagnostic(self.text(uri), one) for one in each.values()]
            self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, items))


def build(place: Place) -> SpecServer:
    """Returns the server, which answers nothing before the editor's first message."""
    server = SpecServer(place)
    _add_documents(server)
    _add_answers(server)
    _add_fixes(server)
    return server


def stdio(place: Place) -> None:
    """Serves standard input and output until the editor closes them."""
    build(place).start_io()


def _add_documents(server: SpecServer) -> None:
    @server.feature(lsp.INITIALIZED)
    def initialized(ls: SpecServer, params: lsp.InitializedParams) -> None:
        folders = (to_fs_path(uri) for uri in ls.workspace.folders)
        ls.documents.folders = [Path(folder) for folder in folders if folder]

    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    async def opened(ls: SpecServer, params: lsp.DidOpenTextDocumentParams) -> None:
        ls.changed(params.text_document.uri, pause=0)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    async def changed(ls: SpecServer, params: lsp.DidChangeTextDocumentParams) -> None:
        ls.changed(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
    async def saved(ls: SpecServer, params: lsp.DidSaveTextDocumentParams) -> None:
        for path in list(ls.documents.open):  # it may be included by another, or its data may have changed
            ls.changed(from_fs_path(str(path)) or "", pause=0)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def closed(ls: SpecServer, params: lsp.DidCloseTextDocumentParams) -> None:
        path = _path(params.text_document.uri)
        if path in ls.documents.open:
            ls.documents.closed(path)
            ls.show(path, {})


def _add_answers(server: SpecServer) -> None:
    @server.feature(
        lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(trigger_characters=[".", "{", " ", ":", "/", "|"])
    )
    def complete(ls: SpecServer, params: lsp.CompletionParams) -> lsp.CompletionList | None:
        document = ls.found(params.text_document.uri)
        if document is None:
            return None
        text = ls.text(params.text_document.uri)
        cursor = knowledge.cursor(document.known, text.offset_at_position(params.position))
        if cursor is None:
            return None
        complete_in = cases.complete if document.is_cases else completion.complete
        found, is_all = complete_in(document.known, cursor)
        start = lsp.Position(params.position.line, params.position.character - _units(text, cursor.word))
        extent = lsp.Range(start, params.position)
        items = [_item(one, number, extent) for number, one in enumerate(found)]
        return lsp.CompletionList(is_incomplete=not is_all, items=items)

    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    def describe(ls: SpecServer, params: lsp.HoverParams) -> lsp.Hover | None:
        document = ls.found(params.text_document.uri)
        if document is None:
            return None
        offset = ls.text(params.text_document.uri).offset_at_position(params.position)
        parts = [(cases.describe if document.is_cases else hover.at)(document.known, offset)]
        for one in ls.documents.on_lines(document, params.position.line, params.position.line):
            if one.start <= params.position.character <= one.end:
                parts.append(diagnosis.explanation(one.problem.code))
        shown = "\n\n---\n\n".join(part for part in parts if part)
        return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, shown)) if shown else None

    @server.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    def define(ls: SpecServer, params: lsp.DefinitionParams) -> lsp.Location | None:
        document = ls.found(params.text_document.uri)
        if document is None or document.is_cases:
            return None
        target = definition.at(document.known, ls.text(params.text_document.uri).offset_at_position(params.position))
        if target is None:
            return None
        uri = params.text_document.uri if target.path is None else from_fs_path(str(target.path)) or ""
        position = lsp.Position(target.line, target.column)
        return lsp.Location(uri, lsp.Range(position, position))


def _add_fixes(server: SpecServer) -> None:
    @server.feature(
        lsp.TEXT_DOCUMENT_CODE_ACTION,
        lsp.CodeActionOptions(code_action_kinds=[lsp.CodeActionKind.QuickFix]),
    )
    def actions(ls: SpecServer, params: lsp.CodeActionParams) -> list[lsp.CodeAction | lsp.Command]:
        document = ls.found(params.text_document.uri)
        if document is None:
            return []
        text, known = ls.text(params.text_document.uri), document.known
        found: list[lsp.CodeAction | lsp.Command] = []
        for one in ls.documents.on_lines(document, params.range.start.line, params.range.end.line):
            problem = one.problem
            if change := diagnosis.fix(known.text, known.file, problem):
                found.append(
                    lsp.CodeAction(
                        f"Fix: {problem.hint or problem.message}",
                        kind=lsp.CodeActionKind.QuickFix,
                        diagnostics=[_diagnostic(text, one)],
                        is_preferred=True,
                        edit=lsp.WorkspaceEdit({params.text_document.uri: [_edit(text, change)]}),
                    )
                )
            found.append(lsp.Command(f"e2i explain {problem.code}", EXPLAIN, arguments=[problem.code]))
        return found

    @server.command(EXPLAIN)
    def explain(ls: SpecServer, code: str) -> str | None:
        text = diagnosis.explanation(code)
        if text is not None:
            ls.window_show_message(lsp.ShowMessageParams(lsp.MessageType.Info, text.replace("**", "").replace("`", "")))
        return text


def _path(uri: str) -> Path:
    """Returns the path of a document, without links; of one that is not a file, a name that no file has."""
    found = to_fs_path(uri)
    return Path(found).resolve() if found else Path(uri)


def _item(item: Item, number: int, extent: lsp.Range) -> lsp.CompletionItem:
    about = lsp.MarkupContent(lsp.MarkupKind.Markdown, item.documentation) if item.documentation else None
    return lsp.CompletionItem(
        item.label,
        kind=KINDS[item.kind],
        detail=item.detail or None,
        documentation=about,
        sort_text=f"{number:04}",
        text_edit=lsp.TextEdit(extent, item.insert),
    )


def _diagnostic(text: TextDocument, one: Diagnosis) -> lsp.Diagnostic:
    line = text.lines[one.line] if one.line < len(text.lines) else ""
    start, end = (_units(text, line[:column]) for column in (one.start, one.end))
    return lsp.Diagnostic(
        lsp.Range(lsp.Position(one.line, start), lsp.Position(one.line, end)),
        one.message,
        severity=SEVERITIES[one.problem.severity],
        code=one.problem.code,
        source="e2i",
    )


def _edit(text: TextDocument, change: Change) -> lsp.TextEdit:
    start, end = _position(text, change.start), _position(text, change.end)
    return lsp.TextEdit(lsp.Range(start, end), change.text)


def _position(text: TextDocument, offset: int) -> lsp.Position:
    before = text.source[:offset].splitlines(keepends=True)
    is_open = bool(before) and not before[-1].endswith(("\n", "\r"))
    last = before[-1] if is_open else ""
    return lsp.Position(len(before) - is_open, _units(text, last))


def _units(text: TextDocument, characters: str) -> int:
    """Returns the length of a text as the client counts it."""
    return int(text.position_codec.client_num_units(characters))

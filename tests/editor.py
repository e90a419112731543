"""An editor for tests: the client of pygls, and `e2i lsp` in a process of its own. ``¦`` in a text is the cursor."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

from project import WITHIN, Project

T = TypeVar("T")


class Editor(Project):
    """A project that is open in an editor."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.loop = asyncio.new_event_loop()
        self.published: dict[str, asyncio.Queue[list[lsp.Diagnostic]]] = {}
        self.messages: list[str] = []
        self.client = LanguageClient("tests", "1")
        self.versions: dict[str, int] = {}
        self.do(self._start())

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, WITHIN))

    async def _start(self) -> None:
        @self.client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def published(params: lsp.PublishDiagnosticsParams) -> None:
            self._queue(params.uri).put_nowait(list(params.diagnostics))

        @self.client.feature(lsp.WINDOW_SHOW_MESSAGE)
        def shown(params: lsp.ShowMessageParams) -> None:
            self.messages.append(params.message)

        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "engine")}
        await self.client.start_io(sys.executable, "-m", "e2i.cli.main", "lsp", cwd=str(self.root), env=env)
        folders = [lsp.WorkspaceFolder(self.root.as_uri(), "project")]
        asked = lsp.InitializeParams(lsp.ClientCapabilities(), workspace_folders=folders)
        self.capabilities = (await self.client.initialize_async(asked)).capabilities
        self.client.initialized(lsp.InitializedParams())

    def close(self) -> None:
        self.do(self.client.shutdown_async(None))
        self.client.exit(None)
        self.do(self.client.stop())
        self.loop.close()

    def uri(self, name: str) -> str:
        return (self.root / name).as_uri()

    def _queue(self, uri: str) -> asyncio.Queue[list[lsp.Diagnostic]]:
        return self.published.setdefault(uri, asyncio.Queue())

    def type(self, name: str, text: str) -> None:
        """Opens a document with this text, or replaces its text. Nothing is saved."""
        uri, text = self.uri(name), text.replace("¦", "", 1)
        self.versions[uri] = version = self.versions.get(uri, 0) + 1
        if version == 1:
            self.client.text_document_did_open(
                lsp.DidOpenTextDocumentParams(lsp.TextDocumentItem(uri, "yaml", version, text))
            )
            return
        changes = [lsp.TextDocumentContentChangeWholeDocument(text)]
        named = lsp.VersionedTextDocumentIdentifier(version=version, uri=uri)
        self.client.text_document_did_change(lsp.DidChangeTextDocumentParams(named, changes))

    def problems(self, name: str, text: str, of: str = "") -> list[lsp.Diagnostic]:
        """Types a text, and returns the problems that the server finds in it, or in the file ``of``."""
        queue = self._queue(self.uri(of or name))
        while not queue.empty():
            queue.get_nowait()
        self.type(name, text)
        return self.do(queue.get())

    def known(self, name: str, text: str) -> None:
        """Types a text and waits until it is checked: later answers know its steps."""
        self.problems(name, text)

    def _at(self, name: str, text: str) -> tuple[lsp.TextDocumentIdentifier, lsp.Position]:
        before = text[: text.index("¦")]
        self.type(name, text)
        position = lsp.Position(before.count("\n"), len(before.rpartition("\n")[2].encode("utf-16-le")) // 2)
        return lsp.TextDocumentIdentifier(self.uri(name)), position

    def completions(self, name: str, text: str) -> list[lsp.CompletionItem]:
        where = self._at(name, text)
        found = self.do(self.client.text_document_completion_async(lsp.CompletionParams(*where)))
        items = found.items if isinstance(found, lsp.CompletionList) else found or ()
        return sorted(items, key=lambda item: item.sort_text or "")

    def labels(self, name: str, text: str) -> list[str]:
        return [item.label for item in self.completions(name, text)]

    def hover(self, name: str, text: str) -> str:
        found = self.do(self.client.text_document_hover_async(lsp.HoverParams(*self._at(name, text))))
        return found.contents.value if found and isinstance(found.contents, lsp.MarkupContent) else ""

    def definition(self, name: str, text: str) -> tuple[str, int] | None:
        """Returns the file and the line, from 1, of a definition."""
        found = self.do(self.client.text_document_definition_async(lsp.DefinitionParams(*self._at(name, text))))
        if not isinstance(found, lsp.Location):
            return None
        return found.uri.removeprefix(f"{self.root.as_uri()}/"), found.range.start.line + 1

    def actions(self, name: str, at: lsp.Range) -> list[lsp.CodeAction | lsp.Command]:
        asked = lsp.CodeActionParams(lsp.TextDocumentIdentifier(self.uri(name)), at, lsp.CodeActionContext([]))
        found = self.do(self.client.text_document_code_action_async(asked))
        return list(found or ())

    def run(self, command: str, *arguments: Any) -> Any:
        asked = lsp.ExecuteCommandParams(command, arguments=list(arguments))
        return self.do(self.client.workspace_execute_command_async(asked))


def applied(text: str, edits: list[lsp.TextEdit]) -> str:
    """Returns the text after the edits of one line each."""
    lines = text.splitlines(keepends=True)
    starts = [sum(map(len, lines[:number])) for number in range(len(lines) + 1)]
    for edit in sorted(edits, key=lambda one: (one.range.start.line, one.range.start.character), reverse=True):
        start, end = (starts[at.line] + at.character for at in (edit.range.start, edit.range.end))
        text = text[:start] + edit.new_text + text[end:]
    return text

"""Measures the language server with a real client on a spec of 200 steps, on standard input and output.

    .venv/bin/python benchmarks/lsp.py [ROUNDS]

Prints seconds until the first problems, then for each kind of completion, and for all of them, the median and the 95th
percentile from the change of the text to the answer. Every answer follows a change, as it does while one types.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

PART = """
  split{n}:
    uses: data.split
    with: {{table: "${{{{ steps.d.journeys }}}}", strategy: entity, by: hcp_id, seed: {n}}}
  train{n}:
    uses: model.train
    with:
      table: ${{{{ steps.split{n}.train }}}}
      target: target
      features: [brand, specialty, region, call_frequency]
  test{n}:
    uses: model.evaluate
    with: {{model: "${{{{ steps.train{n}.model }}}}", table: "${{{{ steps.split{n}.test }}}}"}}
"""
HEAD = "version: 1\nname: large\nsteps:\n  d: {uses: dataset.hcp}\n  e: {uses: debug.echo, with: {value: 1}}\n"
SPEC = HEAD + "".join(PART.format(n=number) for number in range(66))
CASES = {
    "action": ("uses: model.evaluate", "uses: mo|"),
    "parameter": ("      target: target\n", "      target: target\n      |\n"),
    "choice": ("strategy: entity", "strategy: |"),
    "step in an expression": ("${{ steps.split40.train }}", "${{ steps.|"),
    "output in an expression": ("${{ steps.split40.train }}", "${{ steps.split40.|"),
    "whole reference": ("table: ${{ steps.split40.train }}", "table: |"),
    "column": ("[brand, specialty", "[brand, |"),
    "hyperparameter": ("      target: target\n", "      target: target\n      params: {|}\n"),
    "new step": ("\n  split40:\n", "\n  |\n  split40:\n"),
    "column, text unreadable": ("target: target\n      features: [brand", "target: [x\n      features: [brand, |"),
}


class Typing:
    """One document in an editor."""

    def __init__(self, client: LanguageClient, uri: str) -> None:
        self.client, self.uri, self.version = client, uri, 1

    async def seconds(self, text: str) -> float:
        """Returns the time from a change to the completion at ``|``."""
        before, _, behind = text.partition("|")
        self.version += 1
        named = lsp.VersionedTextDocumentIdentifier(version=self.version, uri=self.uri)
        changes = [lsp.TextDocumentContentChangeWholeDocument(before + behind)]
        at = lsp.Position(before.count("\n"), len(before.rpartition("\n")[2]))
        began = time.perf_counter()
        self.client.text_document_did_change(lsp.DidChangeTextDocumentParams(named, changes))
        asked = lsp.CompletionParams(lsp.TextDocumentIdentifier(self.uri), at)
        found = await self.client.text_document_completion_async(asked)
        taken = time.perf_counter() - began
        assert isinstance(found, lsp.CompletionList) and found.items, text[:40]
        return taken


async def main(root: Path, rounds: int) -> None:
    client = LanguageClient("benchmark", "1")
    published: asyncio.Queue[lsp.PublishDiagnosticsParams] = asyncio.Queue()

    @client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    def publish(params: lsp.PublishDiagnosticsParams) -> None:
        published.put_nowait(params)

    began = time.perf_counter()
    await client.start_io(sys.executable, "-m", "e2i.cli.main", "lsp", cwd=str(root), env=dict(os.environ))
    await client.initialize_async(lsp.InitializeParams(lsp.ClientCapabilities(), root_uri=root.as_uri()))
    client.initialized(lsp.InitializedParams())
    uri = (root / "specs" / "large.yaml").as_uri()
    client.text_document_did_open(lsp.DidOpenTextDocumentParams(lsp.TextDocumentItem(uri, "yaml", 1, SPEC)))
    assert not (await published.get()).diagnostics
    print(f"{'first problems':28}{time.perf_counter() - began:>8.2f} s after the start")
    typing = Typing(client, uri)
    for old, new in CASES.values():  # once, without counting
        await typing.seconds(SPEC.replace(old, new, 1))
    every: list[float] = []
    for name, (old, new) in CASES.items():
        found = [await typing.seconds(SPEC.replace(old, new, 1)) for _ in range(rounds)]
        every += found
        _show(name, found)
    _show("all", every)
    await client.shutdown_async(None)
    client.exit(None)
    await client.stop()


def _show(name: str, seconds: list[float]) -> None:
    found = sorted(1000 * each for each in seconds)
    p95 = found[min(len(found) - 1, round(0.95 * len(found)))]
    print(f"{name:28}{statistics.median(found):>8.1f} ms median{p95:>8.1f} ms p95{found[-1]:>8.1f} ms most")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(main(Path(made).resolve(), int(sys.argv[1]) if len(sys.argv) > 1 else 100))

"""Checks that no two steps write one file, and that no step writes a file that it is made from.

In: an expanded spec. Out: problems.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING

from e2i.catalog import marks
from e2i.spec.problems import Code, Problem

if TYPE_CHECKING:
    from e2i.catalog.action import Action
    from e2i.check.context import CheckContext
    from e2i.spec.expansion.nodes import StepNode


def check(context: CheckContext) -> Iterator[Problem]:
    """Yields a problem for each step that writes a file which an earlier one in the spec writes."""
    writing = [(node, found) for node in context.expanded.nodes.values() if (found := _writer(context, node))]
    if not writing:
        return
    writers: dict[str, str] = {}
    readers, programs = _readers(context), _programs(context)
    for node, found in writing:
        for path, mark, text in marks.found(found.params, context.expanded.known(node).values):
            if not isinstance(mark, marks.WrittenFile) or not isinstance(text, str):
                continue
            file = posixpath.normpath(text)
            where = (*node.path, "with", *path)
            if file in programs:
                message = f'step "{node.id}" writes {file}, which this run is made of'
                yield node.document.problem("overwrites-input", where, message, "write the result to another file")
            if sources := sorted(readers.get(file, frozenset()) & _upstream(context, node)):
                message = f'step "{node.id}" writes {file}, which step "{sources[0]}" reads before it'
                yield node.document.problem("overwrites-input", where, message, "write the result to another file")
            other = writers.setdefault(file, node.id)
            if other != node.id:
                message = f'step "{node.id}" writes {file}, which step "{other}" writes as well'
                yield node.document.problem("written-twice", where, message, "write each result to a file of its own")


def _writer(context: CheckContext, node: StepNode) -> Action | None:
    """Returns the action of a step that writes files."""
    found = context.authority.registry.action(node.step.uses)
    is_writer = found is not None and any(isinstance(mark, marks.WrittenFile) for _, mark in marks.of(found.params))
    return found if is_writer else None


def _readers(context: CheckContext) -> dict[str, frozenset[str]]:
    """Returns the steps that read each file, as far as its name is known."""
    found: dict[str, frozenset[str]] = {}
    for node in context.expanded.nodes.values():
        action = context.authority.registry.action(node.step.uses)
        if action is None or not any(isinstance(mark, marks.WorkspaceFile) for _, mark in marks.of(action.params)):
            continue
        for _, mark, text in marks.found(action.params, context.expanded.known(node).values):
            if isinstance(mark, marks.WorkspaceFile) and isinstance(text, str):
                file = posixpath.normpath(mark.path(text))
                found[file] = found.get(file, frozenset()) | {node.id}
    return found


def _programs(context: CheckContext) -> frozenset[str]:
    """Returns the files of the specs, and those of the Python code that steps run."""
    found = {posixpath.normpath(node.document.file) for node in context.expanded.nodes.values()}
    for node in context.expanded.nodes.values():
        action = context.authority.registry.action(node.step.uses)
        for _, mark, text in marks.found(action.params, context.expanded.known(node).values) if action else ():
            if isinstance(mark, marks.WorkspaceFile) and mark.code and isinstance(text, str):
                found.add(posixpath.normpath(mark.path(text)))
    return frozenset(found)


def _upstream(context: CheckContext, node: StepNode) -> set[str]:
    """Returns the ids of all steps that a step depends on."""
    found: set[str] = set()
    waiting = [node.id]
    while waiting:
        for other in context.expanded.upstream(context.expanded.nodes[waiting.pop()]):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


CODES = (
    Code(
        "written-twice",
        "A file that two steps write",
        "The last of them would win, and which one that is depends on the run. A later run would write both again.",
        "Write each result to a file of its own.",
        "steps:\n  a: {uses: data.write, with: {path: out/x.json, value: 1}}\n"
        "  b: {uses: data.write, with: {path: ./out/x.json, value: 2}}\n",
        "steps:\n  a: {uses: data.write, with: {path: out/x.json, value: 1}}\n"
        "  b: {uses: data.write, with: {path: out/y.json, value: 2}}\n",
    ),
    Code(
        "overwrites-input",
        "A file that is made from itself",
        "The step writes a file that a step before it reads. The next run would read the result instead of the data.",
        "Write the result to another file.",
        example="data.load reads data/hcp.csv, and data.write puts rows of it into data/hcp.csv",
    ),
)

"""Write a project that runs: a spec, the settings, the policy, the suites and a ``.gitignore``.

In: a folder, the text of a spec. Out: files. A file that exists already is left as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from e2i import regular
from e2i.documents import JsonDocument
from e2i.errors import BadInput

TEMPLATES = ("default.yaml", "policy.yaml", "expectations/e2i_classification_suite.yaml",
             "expectations/e2i_regression_suite.yaml")  # fmt: skip
"""The files of ``config/``, which come with the program."""
IGNORED = ".e2i/\n"
STARTER = """\
# yaml-language-server: $schema=../pipeline.v1.json
version: 1
name: starter
description: A model of made-up sales calls, judged on people it has not seen. Replace it by a spec of your own.

params:
  rows: {type: integer, default: 2000, min: 100, description: Rows to generate}
  seed: {type: integer, default: 7, description: Seed of every random choice}

steps:
  data:
    uses: dataset.hcp
    with: {rows: "${{ params.rows }}"}

  quality:
    description: Stops the run when the table is not as expected.
    uses: great_expectations.validate
    with: {table: "${{ steps.data.journeys }}", suite: e2i_classification_suite}

  split:
    uses: data.split
    needs: [quality]
    with: {table: "${{ steps.data.journeys }}", strategy: entity, by: hcp_id}

  train:
    uses: model.train
    with:
      table: ${{ steps.split.train }}
      target: target
      features: [brand, specialty, region, call_frequency, sample_frequency]
      algorithm: LogisticRegression

  evaluate:
    uses: model.evaluate
    with: {model: "${{ steps.train.model }}", table: "${{ steps.split.test }}"}

outputs:
  test: ${{ steps.evaluate.metrics }}
"""
"""The spec of a project without data."""


class InitDocument(JsonDocument, frozen=True, kw_only=True):
    """What `e2i init --json` prints. Paths are relative to the current folder."""

    spec: Annotated[str, Meta(description="The spec that was written.")]
    written: list[str]
    kept: Annotated[list[str], Meta(description="Files that existed already and were left as they are.")]
    next: Annotated[str, Meta(description="The command that runs the spec.")]


def write(folder: Path, spec: str, name: str, schema: str) -> InitDocument:
    """Write the project around the spec ``specs/NAME.yaml``. ``schema`` is the JSON Schema of specs, for editors.

    Raises BadInput when the spec exists already, or a file cannot be written.
    """
    path = f"specs/{name}.yaml"
    if os.path.lexists(folder / path):
        hint = "give the new spec another name by --name, or remove the file"
        raise BadInput(f"{path} exists already", code="spec-exists", hint=hint)
    written, kept = [], []
    for relative, text in ((path, spec), *_others(schema)):
        if os.path.lexists(folder / relative):  # also a link that leads nowhere
            kept.append(relative)
            continue
        try:
            (folder / relative).parent.mkdir(parents=True, exist_ok=True)
            regular.write(folder / relative, text.encode())
        except OSError as error:
            raise BadInput(f"{relative} cannot be written: {error.strerror}", code="cannot-write") from error
        written.append(relative)
    return InitDocument(spec=path, written=written, kept=kept, next=f"e2i-run {path}")


def _others(schema: str) -> Iterator[tuple[str, str]]:
    """Yields every file but the spec, with its text."""
    templates = files("e2i.scaffold") / "templates"
    for name in TEMPLATES:
        yield f"config/{name}", templates.joinpath(name).read_text("utf-8")
    yield "pipeline.v1.json", schema
    yield ".gitignore", IGNORED

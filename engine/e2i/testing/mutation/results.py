"""What mutants of specs came to, as printed. In: judgements. Out: ``MutationDocument``."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from e2i.documents import Count, Element, JsonDocument, Pointer
from e2i.testing.mutation.changes import Kind


class JudgedMutant(Element, frozen=True, kw_only=True):
    """One mutant of a spec."""

    spec: Annotated[str, Meta(description="The spec.")]
    line: Annotated[int, Meta(ge=1, description="Line of the changed value, from 1.")]
    column: Annotated[int, Meta(ge=1, description="From 1, in characters.")]
    path: Annotated[Pointer, Meta(description="JSON pointer (RFC 6901) of the changed value.")]
    kind: Annotated[Kind, Meta(description="The kind of change.")]
    name: Annotated[str, Meta(description="The changed value for people, such as `train.params.max_depth`.")]
    before: Annotated[Any, Meta(description="The value in the spec.")]
    after: Annotated[Any, Meta(description="The value in the mutant; null for what is left out.")]
    dropped: Annotated[bool, Meta(description="True when the value is left out.")]
    killed_by: Annotated[str | None, Meta(description="The first case that fails; null: the mutant survived.")]
    advice: Annotated[str, Meta(description="Of a survivor: what would notice it.")]


class MutationScore(Element, frozen=True, kw_only=True):
    """The mutants of one spec."""

    spec: Annotated[str, Meta(description="The spec.")]
    killed: Count
    total: Count


class BrokenCase(Element, frozen=True, kw_only=True):
    """A case that fails without any change, so that nothing can be said about mutants."""

    file: Annotated[str, Meta(description="The test file.")]
    case: Annotated[str, Meta(description="The name of the case.")]
    message: Annotated[str, Meta(description="Its first failure.")]


class MutationDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i test --mutate N --json`."""

    seed: Annotated[int, Meta(description="The seed of the sample.")]
    killed: Count
    total: Count
    asked: Annotated[int, Meta(ge=1, description="The number of mutants that was asked for.")]
    few: Annotated[str, Meta(description="Why there are fewer mutants than were asked for; empty: there are not.")]
    score: Annotated[float | None, Meta(description="Share of killed mutants; null: there is no mutant.")]
    seconds: Annotated[float, Meta(ge=0)]
    specs: list[MutationScore]
    mutants: Annotated[list[JudgedMutant], Meta(description="All mutants, in the order of files and lines.")]
    broken: Annotated[list[BrokenCase], Meta(description="Cases that fail on the spec itself; then nothing is judged.")]

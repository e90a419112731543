"""The parts of a SARIF 2.1.0 log that e2i writes, under the names of the standard.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from e2i.spec.problems import Severity

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


class Part(Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all parts."""


class Message(Part, frozen=True, kw_only=True):
    text: str


class Region(Part, frozen=True, kw_only=True):
    """A span of a text; lines and columns count from 1."""

    start_line: int
    start_column: int
    end_line: int | UnsetType = UNSET
    end_column: int | UnsetType = UNSET


class ArtifactLocation(Part, frozen=True, kw_only=True):
    uri: str


class PhysicalLocation(Part, frozen=True, kw_only=True):
    artifact_location: ArtifactLocation
    region: Region


class Location(Part, frozen=True, kw_only=True):
    physical_location: PhysicalLocation


class Replacement(Part, frozen=True, kw_only=True):
    deleted_region: Region
    inserted_content: Message


class ArtifactChange(Part, frozen=True, kw_only=True):
    artifact_location: ArtifactLocation
    replacements: list[Replacement]


class Fix(Part, frozen=True, kw_only=True):
    description: Message
    artifact_changes: list[ArtifactChange]


class Result(Part, frozen=True, kw_only=True):
    rule_id: str
    rule_index: int
    level: Severity
    message: Message
    locations: list[Location]
    fixes: list[Fix] | UnsetType = UNSET


class Rule(Part, frozen=True, kw_only=True):
    id: str
    short_description: Message
    full_description: Message | UnsetType = UNSET
    help: Message | UnsetType = UNSET


class Driver(Part, frozen=True, kw_only=True):
    name: str
    semantic_version: str
    rules: list[Rule]


class Tool(Part, frozen=True, kw_only=True):
    driver: Driver


class Run(Part, frozen=True, kw_only=True):
    tool: Tool
    column_kind: str
    results: list[Result]


class Log(Part, frozen=True, kw_only=True, rename={"schema": "$schema"}):
    schema: str = SCHEMA
    version: str = "2.1.0"
    runs: list[Run]

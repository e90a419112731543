"""Types of the JSON documents about a store and its tools: `doctor`, `sync`, `gc`, `backup`, `restore`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from e2i.cli.document_schemas import Document, Version

Milliseconds = Annotated[int, Field(description="Milliseconds since the epoch.")]
Count = Annotated[int, Field(ge=0)]


class LastFailure(Document):
    """The latest failed attempt of a step with this tool."""

    run: str
    step: str
    uses: str
    ended_ms: Milliseconds
    code: Annotated[str, Field(description="What kind of error: `e2i explain CODE`.")]
    message: str
    succeeded_since: Annotated[Count, Field(description="Number of successful attempts with this tool since.")]


class ServiceState(Document):
    """The answer of one service of a tool to a question that needs valid credentials."""

    service: Annotated[str, Field(description="Name of the service, such as `registry`.")]
    reachable: bool
    answer: Annotated[str | None, Field(description="The question and the answer.")]
    code: Annotated[str | None, Field(description="`tool-auth`: credentials refused; else no answer.")]
    problem: str | None
    hint: str | None


class ToolState(Document):
    """One tool that needs a library."""

    tool: str
    installed: Annotated[str | None, Field(description="The version; None: not installed.")]
    mode: Literal["embedded", "server"]
    reachable: Annotated[bool, Field(description="Embedded: installed. A server: all its services answered.")]
    services: Annotated[list[ServiceState], Field(description="Answer of each service; empty if embedded.")]
    breaker: Annotated[
        Literal["closed", "open", "half-open"],
        Field(description="State of the circuit breaker of this tool's server, shared by all processes of the store."),
    ]
    next_attempt: Annotated[
        float | None,
        Field(description="Seconds until the next call is allowed; None: allowed now."),
    ]
    last_failure: Annotated[LastFailure | None, Field(description="None: no failure in the latest 10,000 attempts.")]
    outbox: Annotated[Count, Field(description="Entries that wait for delivery to the tool.")]
    refused: Annotated[Count, Field(description="Dead-lettered entries: refused by the tool, or altered.")]


class StoreState(Document):
    """State of the store's records, as sentences."""

    corruption: list[str]
    quarantined: Annotated[list[str], Field(description="Found corrupt earlier, and not used since.")]


class SharedState(Document):
    """The store through which results are shared."""

    url: str
    trust: Annotated[str, Field(description="The trust domain of runs of a human.")]
    reachable: bool
    writable: bool
    results: Annotated[Count | None, Field(description="Number of results; None: counting took too long.")]
    problem: str | None


class DoctorDocument(Document):
    """Output of `e2i doctor --json`."""

    schema_version: Version
    tools: list[ToolState]
    state: StoreState
    shared: Annotated[SharedState | None, Field(description="None: not configured.")]


class Delivery(Document):
    """Delivery of the entries for one tracker."""

    delivered: Count
    dead_lettered: Annotated[Count, Field(description="Refused permanently, or altered on disk.")]
    left: Annotated[Count, Field(description="Entries that still wait.")]
    problem: str | None
    elsewhere: Annotated[Count, Field(description="Entries that wait for another tracker of this tool.")]
    redelivered: Annotated[Count, Field(description="Entries delivered again because the tracker had lost them.")]
    altered: Annotated[Count, Field(description="Dead-lettered entries that were altered on disk.")]


class WaitingElsewhere(Document):
    """Entries for another tracker than the one in the settings."""

    tool: str
    waiting: Annotated[int, Field(ge=1)]
    tracker: Annotated[str, Field(description="Address of the tracker, without credentials.")]
    profile: Annotated[str | None, Field(description="The profile whose `e2i sync` delivers them, if it is known.")]


class SyncDocument(Document):
    """Output of `e2i sync --json`."""

    schema_version: Version
    sinks: dict[str, Delivery]
    elsewhere: Annotated[list[WaitingElsewhere], Field(description="Entries that wait for trackers of other profiles.")]


class FreedDocument(Document):
    """Output of `e2i gc --json`."""

    schema_version: Version
    dry_run: Annotated[bool, Field(description="Whether this was a dry run, which removes nothing.")]
    runs: Annotated[list[str], Field(description="The removed runs.")]
    results: Count
    objects: Annotated[Count, Field(description="Artifacts.")]
    folders: Annotated[Count, Field(description="Folders of runs, scratch files, unfinished and corrupt artifacts.")]
    freed_bytes: Count
    left_bytes: Annotated[Count, Field(description="Size of the kept artifacts.")]
    postponed: Annotated[Count, Field(description="Artifacts kept for running runs; a later `gc` removes them.")]


class PinnedDocument(Document):
    """Output of `e2i gc --pin RUN --json`, also with `--unpin`."""

    schema_version: Version
    pinned: str | None
    unpinned: str | None


CollectionDocument = FreedDocument | PinnedDocument


class Copied(Document):
    """Counts of what was copied."""

    schema_version: Version
    files: Count
    databases: Annotated[Count, Field(description="SQLite databases among these files, each copied as of one moment.")]
    objects: Annotated[Count, Field(description="Artifacts; each may have many files.")]
    bytes: Count
    linked: Annotated[Count, Field(description="Files that are hard links to those of the store.")]
    corrupt: Annotated[list[str], Field(description="Artifacts left out because their digest did not match.")]


class BackupDocument(Copied):
    """Output of `e2i backup DIR --json`."""

    backup: Annotated[str, Field(description="The new backup folder.")]


class InitDocument(Document):
    """What `e2i init --json` prints. Paths are relative to the current folder."""

    schema_version: Version
    spec: Annotated[str, Field(description="The spec that was written.")]
    written: list[str]
    kept: Annotated[list[str], Field(description="Files that existed already and were left as they are.")]
    next: Annotated[str, Field(description="The command that runs the spec.")]


class RestoreDocument(Copied):
    """Output of `e2i restore DIR --json`."""

    store: Annotated[str, Field(description="The new store.")]

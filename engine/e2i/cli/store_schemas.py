"""The JSON documents about a store and the tools around it, as types: what `doctor`, `sync`, `gc`, `backup`
and `restore` print.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from e2i.cli.document_schemas import Document, Version
from e2i.cli.record_schemas import Milliseconds

Count = Annotated[int, Field(ge=0)]


class LastFailure(Document):
    """The latest attempt of a step with this tool that failed."""

    run: str
    step: str
    uses: str
    ended_ms: Milliseconds
    code: Annotated[str, Field(description="What kind of error: `e2i explain CODE`.")]
    message: str
    succeeded_since: Annotated[Count, Field(description="How many attempts with this tool went well after it.")]


class ServiceState(Document):
    """What one service of a tool said to one question that it answers only to those whom it lets in."""

    service: Annotated[str, Field(description="Which one, such as `registry`.")]
    reachable: bool
    answer: Annotated[str | None, Field(description="What was asked, and found.")]
    code: Annotated[str | None, Field(description="`tool-auth`: it refuses the credentials; else it does not answer.")]
    problem: str | None
    hint: str | None


class ToolState(Document):
    """One tool that stands on a library."""

    tool: str
    installed: Annotated[str | None, Field(description="The version; None: not installed.")]
    mode: Literal["embedded", "server"]
    reachable: Annotated[bool, Field(description="Embedded: installed. A server: all its services answered.")]
    services: Annotated[list[ServiceState], Field(description="What each service answered; none for an embedded tool.")]
    breaker: Annotated[
        Literal["closed", "open", "half-open"],
        Field(description="The state that all processes of the store share for this tool's server."),
    ]
    next_attempt: Annotated[
        float | None,
        Field(description="Seconds until a call is let through again; None: one would be let through now."),
    ]
    last_failure: Annotated[LastFailure | None, Field(description="None: none in the latest 10,000 attempts.")]
    outbox: Annotated[Count, Field(description="Entries that wait for it.")]
    refused: Annotated[Count, Field(description="Entries that it refused, or that were altered, and are kept aside.")]


class StoreState(Document):
    """Whether the records of the store are as they were written: sentences."""

    corruption: list[str]
    quarantined: Annotated[list[str], Field(description="What was found corrupt before. It is not used.")]


class SharedState(Document):
    """The store that results are shared through."""

    url: str
    trust: Annotated[str, Field(description="The domain of trust that a run of a human would share with.")]
    reachable: bool
    writable: bool
    results: Annotated[Count | None, Field(description="How many it holds; None: it could not be counted in time.")]
    problem: str | None


class DoctorDocument(Document):
    """What `e2i doctor --json` prints."""

    schema_version: Version
    tools: list[ToolState]
    state: StoreState
    shared: Annotated[SharedState | None, Field(description="None: none is configured.")]


class Delivery(Document):
    """What became of the entries for one tracker."""

    delivered: Count
    dead_lettered: Annotated[Count, Field(description="Refused for good, or altered on disk.")]
    left: Annotated[Count, Field(description="Entries that wait still.")]
    problem: str | None
    elsewhere: Annotated[Count, Field(description="Entries that wait for another tracker of this tool.")]
    redelivered: Annotated[Count, Field(description="Entries that the tracker had lost.")]
    altered: Annotated[Count, Field(description="Of those set aside: not as they had been written.")]


class WaitingElsewhere(Document):
    """Entries that are meant for another tracker than the one that the settings name."""

    tool: str
    waiting: Annotated[int, Field(ge=1)]
    tracker: Annotated[str, Field(description="Its address, without credentials.")]
    profile: Annotated[str | None, Field(description="The profile whose `e2i sync` delivers them, if it is known.")]


class SyncDocument(Document):
    """What `e2i sync --json` prints."""

    schema_version: Version
    sinks: dict[str, Delivery]
    elsewhere: Annotated[list[WaitingElsewhere], Field(description="What waits for trackers of other profiles.")]


class FreedDocument(Document):
    """What `e2i gc --json` prints."""

    schema_version: Version
    dry_run: Annotated[bool, Field(description="Whether nothing was removed.")]
    runs: Annotated[list[str], Field(description="The runs whose records went.")]
    results: Count
    objects: Annotated[Count, Field(description="Artifacts.")]
    folders: Annotated[Count, Field(description="Of runs, of scratch files, unfinished and corrupt artifacts.")]
    freed_bytes: Count
    left_bytes: Annotated[Count, Field(description="The size of the artifacts that stay.")]
    postponed: Annotated[Count, Field(description="Artifacts that running runs may want; the next time takes them.")]


class PinnedDocument(Document):
    """What `e2i gc --pin RUN --json` prints, and with `--unpin`."""

    schema_version: Version
    pinned: str | None
    unpinned: str | None


CollectionDocument = FreedDocument | PinnedDocument


class Copied(Document):
    """What was copied."""

    schema_version: Version
    files: Count
    databases: Annotated[Count, Field(description="Of these files: SQLite databases, each as of one moment.")]
    objects: Annotated[Count, Field(description="Artifacts; one may be many files.")]
    bytes: Count
    linked: Annotated[Count, Field(description="Files that the backup shares with the store, as hard links.")]
    corrupt: Annotated[list[str], Field(description="Artifacts that did not have their digest, and were left out.")]


class BackupDocument(Copied):
    """What `e2i backup DIR --json` prints."""

    backup: Annotated[str, Field(description="The folder that was made.")]


class InitDocument(Document):
    """What `e2i init --json` prints. Paths are relative to the current folder."""

    schema_version: Version
    spec: Annotated[str, Field(description="The spec that was written.")]
    written: list[str]
    kept: Annotated[list[str], Field(description="Files that existed already and were left as they are.")]
    next: Annotated[str, Field(description="The command that runs the spec.")]


class RestoreDocument(Copied):
    """What `e2i restore DIR --json` prints."""

    store: Annotated[str, Field(description="The store that was made.")]

"""Settings for what the operator of a store learns: hooks at the end of a run, the log, retries of whole runs."""

# Annotations are evaluated here: as text, pydantic would compile each of them at every start.
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from e2i.catalog import credentials
from e2i.spec.models import Duration, Size

When = Literal["succeeded", "failed", "degraded", "always"]
HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""The name of an HTTP header (RFC 9110)."""
WEBHOOK_DEADLINE = 5.0
COMMAND_DEADLINE = 10.0
PRIVATE_PATH = 16
"""Length from which the path of a URL may be a key."""


class Hook(BaseModel):
    """Something that receives the notification about the end of a run: a webhook or a command."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    webhook: Annotated[str | None, Field(description="The notification is sent to this URL with POST.")] = None
    command: Annotated[
        tuple[str, ...] | None,
        Field(min_length=1, description="A program and its arguments; it reads the notification on standard input."),
    ] = None
    when: Annotated[
        tuple[When, ...],
        Field(
            min_length=1,
            description="One or several of: succeeded; failed (also interrupted, or not started); degraded; always.",
        ),
    ] = ("always",)
    headers: Annotated[Mapping[str, str], Field(description="HTTP headers of a webhook, such as Authorization.")] = {}
    env: Annotated[
        tuple[str, ...],
        Field(description="Environment variables that a command receives besides PATH and HOME."),
    ] = ()
    deadline: Annotated[
        float,
        Field(gt=0, le=300, description="Maximum seconds of the hook, with its second attempt. A command: 10."),
    ] = WEBHOOK_DEADLINE

    @model_validator(mode="before")
    @classmethod
    def _by_type(cls, data: Any) -> Any:
        """Accepts one word for ``when``; gives a command its own deadline."""
        if not isinstance(data, Mapping):
            return data
        found = dict(data)
        if isinstance(found.get("when"), str):
            found["when"] = [found["when"]]
        if found.get("command") is not None:
            found.setdefault("deadline", COMMAND_DEADLINE)
        return found

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.webhook is None) == (self.command is None):
            raise ValueError("a hook has either webhook or command")
        if self.command is not None and self.headers:
            raise ValueError("headers belong to a webhook")
        if self.webhook is not None and self.env:
            raise ValueError("env belongs to a command")
        return self

    @field_validator("webhook")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\x00-\x20\x7f]", value):
            raise ValueError("a webhook is a URL with http:// or https://")
        if parts.username is not None:
            raise ValueError("write the account as a header, not in the URL")
        parts.port  # noqa: B018 - raises ValueError for one that is no number
        return value

    @field_validator("headers")
    @classmethod
    def _sendable(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for name, text in value.items():
            if not HEADER.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of an HTTP header")
            if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text) or not text.isascii():
                raise ValueError(f"the header {name} may hold printable ASCII characters only")
        return value

    @field_validator("command")
    @classmethod
    def _executable(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value and any("\0" in argument for argument in value):
            raise ValueError("an argument holds a zero byte")
        return value

    @property
    def name(self) -> str:
        """How messages name the hook: the path of a webhook's URL may be a secret, and arguments too."""
        if self.webhook is not None:
            parts = urlsplit(self.webhook)
            return f"webhook {parts.scheme}://{parts.netloc}"
        assert self.command is not None
        return f"command {self.command[0].rpartition('/')[2]}"

    @property
    def private(self) -> list[str]:
        """Texts that are shown to nobody: a webhook's URL, and the headers that hold credentials."""
        found = []
        if self.webhook is not None:
            parts = urlsplit(self.webhook)
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            found = [self.webhook, *([path] if len(path) >= PRIVATE_PATH else [])]
        keys = [value for name, value in self.headers.items() if credentials.is_credential(name)]
        return [*found, *keys, *(key.split()[-1] for key in keys if key.split())]


class Log(BaseModel):
    """The log of all runs and commands of a store."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    file: Annotated[
        str | None, Field(min_length=1, description="Path, relative to the workspace. null: there is no log.")
    ] = None
    level: Annotated[Literal["debug", "info", "warning", "error"], Field(description="The least level.")] = "info"
    format: Annotated[Literal["text", "json"], Field(description="One line an entry, in either format.")] = "text"
    max_bytes: Annotated[Size, Field(description="Size above which the file is rotated.")] = "10MB"
    keep: Annotated[int, Field(ge=0, le=100, description="Number of rotated files that are kept.")] = 5


class RunRetry(BaseModel):
    """The waits between the attempts of `e2i run --retry-run N`."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    initial: Annotated[Duration, Field(description="The first wait; each one after it is twice as long.")] = "10s"
    max: Annotated[Duration, Field(description="The longest wait.")] = "5m"

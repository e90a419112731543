"""The remote tool: take files from HTTPS servers and object stores, and put files there. In: names, keys. Out: files.

A spec names a location of the settings and a key in it, never an address. Declarations only; ``actions`` does the work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from e2i.catalog import variables
from e2i.catalog.action import (
    Action,
    Effect,
    Outputs,
    Params,
    Place,
    SettingsModel,
    Tool,
    ToolSettings,
    without_credentials,
)
from e2i.catalog.artifacts import File, Model, Report
from e2i.catalog.marks import NamedPlace, Privilege

Name = Annotated[str, Field(min_length=1, max_length=200)]
DIGEST = r"^sha256:[0-9a-f]{64}$"
ODD = re.compile(r"[\x00-\x1f\x7f\\]")


class Location(SettingsModel):
    """One server or object store, and the part of it that specs may use."""

    kind: Annotated[Literal["https", "s3", "gcs"], Field(description="Kind of server.")]
    root: Annotated[
        str,
        Field(min_length=1, description="What comes before each key: `https://host/folder`, or `bucket/folder`."),
    ]
    endpoint: Annotated[
        str | None, Field(pattern=r"^https?://", description="Address of another object store that speaks S3 or GCS.")
    ] = None
    region: Annotated[str | None, Field(description="Region of an S3 bucket; null: found out by the client.")] = None
    access_key: Annotated[str | None, Field(description="Account for S3; null: from AWS's own variables.")] = None
    secret_key: Annotated[SecretStr | None, Field(description="Key of that account.")] = None
    token: Annotated[SecretStr | None, Field(description="Token that an HTTPS server asks for (`Bearer`).")] = None
    anonymous: Annotated[bool, Field(description="Whether an object store is asked without an account.")] = False
    private: Annotated[
        bool, Field(description="Whether the server may have an address that is not on the public internet.")
    ] = False
    read_only: Annotated[bool, Field(description="Whether steps may only take files.")] = True
    max_bytes: Annotated[int, Field(ge=1, description="Size of the largest file that is taken.")] = 10 * 2**30
    timeout: Annotated[float, Field(gt=0, le=86_400, description="Seconds that one file may take.")] = 600.0

    @model_validator(mode="after")
    def _root_fits_kind(self) -> Self:
        if self.kind == "https":
            parts = urlsplit(self.root)
            extra = parts.query or parts.fragment or "@" in parts.netloc
            if parts.scheme not in ("https", "http") or not parts.hostname or extra:
                raise ValueError("`root` must be https://HOST/FOLDER, without account, ? and #")
            if parts.scheme == "http" and not self.private:
                raise ValueError("http:// is only for servers that are `private: true`")
            if not self.read_only:
                raise ValueError("files cannot be put to an HTTPS server")
        elif "://" in self.root:
            raise ValueError("`root` must be BUCKET or BUCKET/FOLDER")
        return self

    @property
    def host(self) -> str:
        if self.kind == "https" or self.endpoint:
            return urlsplit(self.endpoint or self.root).hostname or ""
        return "s3.amazonaws.com" if self.kind == "s3" else "storage.googleapis.com"

    @property
    def shown(self) -> str:
        """The place, without credentials."""
        if self.kind == "https":
            return without_credentials(self.root)
        server = f"{without_credentials(self.endpoint)}/" if self.endpoint else ""
        return f"{self.kind}://{server}{self.root.strip('/')}"


class Settings(ToolSettings):
    """Settings of remote locations."""

    locations: Annotated[
        Mapping[Name, Location], Field(description="The locations that specs may use, by the name that they use.")
    ] = {}

    def places(self) -> Mapping[str, Place]:
        return {name: Place(one.host, one.read_only) for name, one in self.locations.items()}

    def identity(self) -> Mapping[str, str]:
        return {name: one.shown for name, one in sorted(self.locations.items())}

    def identity_of(self, given: Mapping[str, Any]) -> Mapping[str, str]:
        name = str(given.get("location"))
        found = self.locations.get(name)
        return self.identity() if found is None else {name: found.shown}

    def circuits(self) -> tuple[str, ...]:
        return tuple(sorted(self.locations))


class _Keyed(Params):
    """Parameters that name a file in a location."""

    key: Annotated[str, Field(min_length=1, max_length=900, description="Path of the file below the location's root.")]

    @field_validator("key")
    @classmethod
    def _is_plain(cls, key: str) -> str:
        if ODD.search(key) or any(part in ("", ".", "..") for part in key.split("/")):
            raise ValueError("must be a path such as sales/2026.csv, without empty parts, `.` and `..`")
        return key


class GetParams(_Keyed):
    """Parameters of ``remote.get``."""

    location: Annotated[Name, NamedPlace("locations"), Field(description="Name of the location in the settings.")]
    digest: Annotated[
        str | None,
        Privilege("unpinned_downloads", None),
        Field(pattern=DIGEST, description="SHA-256 that the file must have, as `sha256:…`; null: any content."),
    ] = None


class GetOutputs(Outputs):
    """Outputs of ``remote.get``."""

    file: Annotated[File, Field(description="The file, for `stored` of data.load.")]


class PutParams(_Keyed):
    """Parameters of ``remote.put``."""

    location: Annotated[
        Name, NamedPlace("locations", written=True), Field(description="Name of the location in the settings.")
    ]
    file: Annotated[File | None, Field(description="The file to put; or one of the following.")] = None
    report: Annotated[Report | None, Field(description="The report to put: its file, or a ZIP archive.")] = None
    model: Annotated[Model | None, Field(description="The model to put, as a ZIP archive of its files.")] = None
    mode: Annotated[
        Literal["fail", "replace"],
        Field(description="What to do when there is a file with other content. Equal content is never put again."),
    ] = "fail"

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        given = [name for name in ("file", "report", "model") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"takes one of file, report and model, not {len(given) or 'none'} of them")
        return self


class PutOutputs(Outputs):
    """Outputs of ``remote.put``."""

    key: Annotated[str, Field(description="Path of the file below the location's root.")]
    digest: Annotated[str, Field(description="SHA-256 of its bytes, as `sha256:…`.")]
    bytes: Annotated[int, Field(description="Its size.")]


TOOL = Tool(
    name="remote",
    summary="Takes files from HTTPS servers, S3 and Google Cloud Storage, and puts files to object stores, verified.",
    actions=(
        Action(
            "get",
            "Takes a file from a location of the settings. Looks in every run.",
            GetParams,
            GetOutputs,
            always=True,
        ),
        Action(
            "put",
            "Puts a file, a report or a model to a location of the settings, and reads it back.",
            PutParams,
            PutOutputs,
            effect=Effect.EXTERNAL,
            verified=True,
        ),
    ),
    settings=Settings,
    distribution="pyarrow",
    extra="remote",
    variables=(*variables.AWS, *variables.GOOGLE),
    credentials=variables.AWS_CREDENTIALS,
)

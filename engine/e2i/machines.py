"""Settings for work with other machines: storage for shared results, and a cluster that executes steps."""

# Annotations are evaluated here: as text, pydantic would compile each of them at every start.
import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from e2i.documents import Values
from e2i.errors import BadSettings
from e2i.spec.models import Duration, Labels

ENCRYPTED = "tls://"
"""How the address of a cluster begins. Everything else is neither encrypted nor restricted to known clients."""

_ADDRESS = re.compile(r"tls://(\[[0-9A-Fa-f:.%]+\]|[^\s\[\]:/@?#]+):[0-9]{1,5}/?")


class Shared(BaseModel):
    """Storage for results shared with other stores, or with the nodes of a cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    url: Annotated[
        str, Field(min_length=1, description="A folder: file:///net/e2i, s3://bucket/e2i, or any of fsspec.")
    ]
    trust: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$",
            description="Name of the group that shares results; null: specs of the same origin, human or agent.",
        ),
    ] = None
    deadline: Annotated[
        float, Field(gt=0, le=600, description="Time limit of a call in seconds. A transfer has 1 s per MB more.")
    ] = 5.0
    options: Annotated[
        Values, Field(description="Options for opening the file system, such as endpoint_override.")
    ] = {}


class Tls(BaseModel):
    """The certificates by which the engine and the cluster know each other. Paths are relative to the project."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    ca: Annotated[str, Field(min_length=1, description="File with the certificate of the authority, in PEM format.")]
    cert: Annotated[str, Field(min_length=1, description="File with the certificate of this client.")]
    key: Annotated[str, Field(min_length=1, description="File with the private key of this client.")]


class _Home(BaseModel):
    """What this machine has, for the steps that it executes."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    gpus: Annotated[
        int, Field(ge=0, le=64, description="GPUs of this machine. A step that requests more is refused.")
    ] = 0
    labels: Annotated[Labels, Field(description="Labels of this machine, such as {zone: eu}.")] = {}


class Local(_Home):
    """All steps are executed by processes of this machine."""

    type: Literal["local"] = "local"


class Dask(_Home):
    """Pure steps are executed by the workers of a dask.distributed cluster, all others by processes of this machine."""

    type: Literal["dask"]
    address: Annotated[str, Field(min_length=1, description="Address of the scheduler: tls://HOST:PORT.")]
    tls: Annotated[Tls, Field(description="Certificates. The cluster accepts no client without one.")]
    store: Annotated[
        Shared, Field(description="Storage that the engine and every node reach: inputs and results pass through it.")
    ]
    wait: Annotated[
        Duration,
        Field(description="Time that a run waits for the cluster to answer, and for a node when there is none."),
    ] = "60s"

    def check(self) -> None:
        """Raises BadSettings for an address that is not encrypted, or is none."""
        if not self.address.startswith(ENCRYPTED):
            raise BadSettings(
                f"executor: address: {self.address[:200]!r} is not encrypted, so anybody in the network could run code",
                code="cluster-not-encrypted",
                hint="start scheduler and workers with --tls-ca-file, --tls-cert and --tls-key, and write tls://HOST:PORT"
                " (docs/cluster.md)",
            )
        if not _ADDRESS.fullmatch(self.address):
            raise BadSettings(
                f"executor: address: {self.address[:200]!r} has no host and port",
                hint="write tls://HOST:PORT, such as tls://scheduler.example.org:8786; of an IPv6 host, tls://[::1]:8786",
            )


Executors = Annotated[Local | Dask, Field(discriminator="type")]

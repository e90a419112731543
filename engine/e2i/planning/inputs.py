"""What the result and the execution of a step depend on, as data: for fingerprints, digests and documents of plans."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from e2i.catalog.extensible import Scalar
from e2i.documents import JsonObject, ParamValues


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the parts of a plan's document, which is accepted only as it was written."""


class Inputs(Part, frozen=True, kw_only=True):
    """What the result of a step depends on, as far as no upstream step decides it."""

    action: str
    version: Annotated[int, Meta(description="The version of the action.")]
    files: Annotated[dict[str, str | None], Meta(description="Digests of files; None: there was no file.")]
    libraries: Annotated[dict[str, str | None], Meta(description="Versions of the libraries; None: not installed.")]
    python: Annotated[str, Meta(description="Major and minor version.")]
    seed: int | bool
    server: Annotated[dict[str, str] | UnsetType, Meta(description="The server of the tool; absent if embedded.")] = (
        UNSET
    )
    definitions: Annotated[
        dict[str, Scalar] | UnsetType, Meta(description="What the settings define under names in the parameters.")
    ] = UNSET
    params: Annotated[Any, Meta(description="Parameters of the action; expressions for values still unknown.")]


class BoundOptions(Part, frozen=True, kw_only=True):
    """Options that decide how a step is executed, beyond those that can change its result."""

    when: Annotated[list[Any], Meta(description="Conditions of the step and of the steps that include its spec.")]
    final: Literal[True] | UnsetType = field(default=UNSET, name="finally")
    agent: str | UnsetType = UNSET
    matrix: Annotated[
        list[JsonObject] | UnsetType, Meta(description="Matrix combinations that undecided expressions read.")
    ] = UNSET
    given: Annotated[
        list[ParamValues] | UnsetType, Meta(description="Parameters of included specs that they read.")
    ] = UNSET
    selected: bool
    fresh: bool
    retry: Annotated[dict[str, int | str | None], Meta(description="As in the spec.")]
    timeout: str | None
    on_error: str
    on_unavailable: str
    cache: bool
    resources: Annotated[dict[str, int | str | dict[str, str] | None], Meta(description="As in the spec.")]


class Components(Struct, frozen=True, kw_only=True):
    """Everything that a step's fingerprint covers, as far as it is known."""

    action: str
    version: int
    written: Any = field(name="with")
    """The parameters as far as the spec states them: not covered once they are resolved."""
    files: dict[str, str | None]
    """Digests of the files that the spec names. None where there was no file."""
    libraries: dict[str, str | None]
    python: str
    seed: int | bool
    server: dict[str, str] | UnsetType = UNSET
    """The identity of the server that the tool acts on. Absent when it is embedded."""
    definitions: dict[str, Scalar] | UnsetType = UNSET
    """What the settings define under names in the parameters. Absent when these are the names of e2i's own things."""
    params: Any = UNSET
    """The resolved parameters, with the digest of every artifact."""
    found_files: dict[str, str | None] | UnsetType = UNSET
    """Digests of the files that only upstream steps name."""

    @property
    def inputs(self) -> Inputs:
        """Without what only past runs know: digests of inputs are replaced by their references."""
        return Inputs(
            action=self.action,
            version=self.version,
            files=self.files,
            libraries=self.libraries,
            python=self.python,
            seed=self.seed,
            server=self.server,
            definitions=self.definitions,
            params=self.written,
        )

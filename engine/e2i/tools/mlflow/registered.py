"""What is known of a registered version: the answer of a server's registry, or of the embedded one."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Registered(Struct, frozen=True):
    """The registry's record of one version: its tags, whether its files exist, and the model's aliases."""

    tags: Mapping[str, str]
    has_files: bool
    aliases: Mapping[str, int]

"""Feast's own client, imported as a worker imports it, which takes a fraction of the time: see ``e2i.tools.feast.sdk``."""

from __future__ import annotations

import e2i.tools.feast.sdk  # noqa: F401

# isort: split
from feast import FeatureStore, RepoConfig

__all__ = ["FeatureStore", "RepoConfig"]

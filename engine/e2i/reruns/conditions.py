"""The conditions under which steps run again, all unlike those of the run.

In: the environment and the threads of the run. Out: the environment of workers, and the threads.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from e2i.workers.environment import for_worker
from e2i.workers.listings import REVERSED

ZONES = ("Pacific/Auckland", "America/Los_Angeles", "UTC")
LOCALES = ("C", "C.UTF-8")


class Conditions(Struct, frozen=True):
    """What differs from the run: hash seed, threads, variables, order of listings and of steps."""

    hash_seed: int
    threads: int
    zone: str
    locale: str
    folder: Path
    """Its inner folders stand for the home and for temporary files."""

    @classmethod
    def unlike(cls, environ: Mapping[str, str], threads: int, number: int, folder: Path) -> Conditions:
        """Returns the conditions of a repetition, counted from 0."""
        seeds = (101 + 2 * number, 102 + 2 * number)
        hash_seed = next(seed for seed in seeds if str(seed) != environ.get("PYTHONHASHSEED"))
        zone = next(zone for zone in ZONES[number % 2 :] if zone != environ.get("TZ"))
        now = environ.get("LC_ALL") or environ.get("LANG") or "C.UTF-8"
        locale = next(name for name in LOCALES if name != now)
        other = 1 if threads > 1 else max(2, len(os.sched_getaffinity(0)))
        return cls(hash_seed, other, zone, locale, folder)

    @property
    def described(self) -> list[str]:
        """Returns the conditions for people."""
        return [
            f"hash seed {self.hash_seed}",
            f"{self.threads} thread{'s' if self.threads > 1 else ''} a step",
            f"time zone {self.zone}",
            f"locale {self.locale}",
            "another home, user and folder of temporary files",
            "folders listed backwards",
            "steps in another order",
        ]

    def environ(self, environ: Mapping[str, str], store: Path) -> dict[str, str]:
        """Returns the environment of workers."""
        home, temporary = self.folder / "home", self.folder / "tmp"
        for path in (home, temporary):
            path.mkdir(mode=0o700, exist_ok=True)
        changed = {
            "PYTHONHASHSEED": str(self.hash_seed),
            "TZ": self.zone,
            "LANG": self.locale,
            "LC_ALL": self.locale,
            "HOME": str(home),
            "USER": "verify",
            "TMPDIR": str(temporary),
        }
        return {**for_worker({**environ, **changed}, threads=self.threads, store=store), REVERSED: "1"}

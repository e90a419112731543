"""What the rules look at. In: an expanded spec and what surrounds it. Out: ``CheckContext``, which every rule takes."""

from __future__ import annotations

from msgspec import Struct

from e2i.catalog.files import NO_FILES, Files
from e2i.check.policy import Authority
from e2i.check.type_environment import TypeEnvironment
from e2i.spec.expansion.expanded import Expanded


class CheckContext(Struct, frozen=True):
    """One check of one spec."""

    expanded: Expanded
    authority: Authority
    """Who wrote the spec, and what that allows."""
    environment: TypeEnvironment
    """What the steps were found to give: filled by the rule for actions, read by those after it."""
    files: Files = NO_FILES
    """The workspace, for what tables and suites say of their columns."""

    @classmethod
    def of(cls, expanded: Expanded, authority: Authority, files: Files = NO_FILES) -> CheckContext:
        """The context of a check that begins."""
        return cls(expanded, authority, TypeEnvironment(expanded), files)

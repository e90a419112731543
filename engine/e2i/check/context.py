"""The input of all rules. In: an expanded spec and its environment. Out: ``CheckContext``, which every rule takes."""

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
    """The author of the spec, and what the policy allows them."""
    environment: TypeEnvironment
    """Output types of the steps. The rule for actions fills them, and later rules read them."""
    files: Files = NO_FILES
    """The workspace, for the columns of tables and suites."""

    @classmethod
    def of(cls, expanded: Expanded, authority: Authority, files: Files = NO_FILES) -> CheckContext:
        """Returns the context for a new check."""
        return cls(expanded, authority, TypeEnvironment(expanded, authority.registry), files)

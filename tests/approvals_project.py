"""A project whose policy demands approvals, and an approver with a key in memory."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from e2i import api
from e2i.approvals import granting, keyfile
from e2i.approvals.record import Approval
from e2i.planning.model import Plan
from project import Project

SPEC = """
version: 1
name: asked
params: {n: {type: integer, default: 1}}
steps:
  a: {uses: debug.echo, with: {value: "${{ params.n }}"}}
"""


class Approved(Project):
    """The project of the tests. ``alice`` is listed; ``mallory`` is not."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.alice, self.mallory = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        self.policy("actions: [debug.echo]")
        self.write("spec.yaml", SPEC)

    def policy(self, demand: str, key: Ed25519PrivateKey | None = None, more: str = "") -> None:
        """Writes a policy with this demand, for both origins, that lists a key as alice's; default: her own."""
        public = keyfile.public_text(key or self.alice)
        rules = f"{{approval: {{{demand}}}{more}}}"
        self.write("config/policy.yaml", f"human: {rules}\nagent: {rules}\napprovers: {{alice: '{public}'}}\n")

    def planned(self, **params: Any) -> Plan:
        return self.plan(str(self.root / "spec.yaml"), params)

    def approve(self, plan: Plan | None = None, key: Ed25519PrivateKey | None = None, **options: Any) -> Approval:
        """An approval in the store, of the plan of the spec unless of another."""
        made = self.approval(plan, key, **options)
        granting.add(self.workspace, made)
        return made

    def approval(
        self, plan: Plan | None = None, key: Ed25519PrivateKey | None = None, hours: float = 1, **options: Any
    ) -> Approval:
        now_ms = options.pop("now_ms", time.time_ns() // 1_000_000)
        expires_ms = now_ms + round(hours * 3_600_000)
        document = (plan or self.planned()).document
        return granting.approve(document, "alice", key or self.alice, now_ms=now_ms, expires_ms=expires_ms, **options)

    def keep(self, record: str, approval: Approval) -> None:
        """Puts a record into the store as a program would that writes its file by itself."""
        from contextlib import closing

        from e2i.store.runs import RunStore

        with closing(RunStore(self.store, lambda digest: True)) as run_store, run_store.together():
            run_store.approvals.add(approval.id, approval.plan, record, once=approval.once)

    def outcome(self, params: dict[str, Any] | None = None, **options: Any) -> str:
        """The status of a run of the spec, or the error that kept it from starting."""
        try:
            return api.run(str(self.root / "spec.yaml"), params, workspace=self.workspace, **options).status
        except api.E2IError as error:
            return f"{error.code}: {error.message}"

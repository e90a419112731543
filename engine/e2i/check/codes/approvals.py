"""Codes of keys and of approvals of plans."""

from __future__ import annotations

from e2i.spec.problems import Code

CODES = (
    Code(
        "not-approved",
        "A plan that needs an approval",
        "`approval:` in config/policy.yaml lists which plans run only with an approval. The plan has none that counts: "
        "one of exactly this plan, signed by a listed key, not expired, not revoked, and not used up. Nothing has run. "
        "For a single step: it needs an approval by values that were only known during the run.",
        "Write the plan with `e2i plan SPEC -o plan.json`, with the options of the run, and have a listed person run "
        "`e2i approve plan.json`. `e2i approvals` shows why present ones do not count.",
        example="agent: {approval: {rules: [promote_to_production]}}, and a step promotes a model to production",
    ),
    Code(
        "bad-approval",
        "A file that is not an approval",
        "`e2i approvals --add` accepts the output of `e2i approve PLAN -o FILE`.",
        "Create one with `e2i approve PLAN -o FILE`.",
        example="e2i approvals --add plan.json",
    ),
    Code(
        "bad-key-file",
        "A key that cannot be used",
        "A key file is made by `e2i keys make`, is outside workspace and store, and only its owner may read it.",
        "Follow the hint. If others could read the file, make a new key and have the operator replace the public one.",
        example="e2i keys make alice --file ./alice.key, in the workspace",
    ),
    Code(
        "bad-passphrase",
        "A passphrase that does not open the key",
        "The private key is encrypted by the passphrase of `e2i keys make`.",
        "Try again. A forgotten passphrase cannot be recovered: make a new key.",
        example="e2i approve plan.json, with the passphrase of another key",
    ),
    Code(
        "unknown-approver",
        "A key that the policy does not list",
        "Approvals count only when they are signed by a key under `approvers` in config/policy.yaml.",
        "Have the operator add the public key that `e2i keys list` shows.",
        example="e2i approve plan.json, with a key that was made a minute ago",
    ),
    Code(
        "unknown-approval",
        "An approval that does not exist",
        "`e2i revoke` takes the id of an approval of this store, or at least its first four characters.",
        "`e2i approvals` lists the ids.",
        example="e2i revoke 0000",
    ),
)

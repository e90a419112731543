"""Codes of keys, of approvals of plans, and of the server for agents."""

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

AGENTS = (
    Code(
        "unknown-address",
        "An address that does not exist",
        "The tool `read` takes the addresses that the hint lists. Names with a slash are percent-encoded.",
        "Use an address of the list, such as e2i://runs/last.",
        example="e2i://runs/last/log, instead of e2i://runs/last/logs/STEP",
    ),
    Code(
        "bad-cursor",
        "A cursor of another run",
        "A cursor is the one that the last `watch` of the same run returned; 0 is the start.",
        "Use 0, or the last cursor of this run.",
        example="watch(run, cursor=5), where no event ends at byte 5",
    ),
    Code(
        "bad-resume",
        "A run that cannot be resumed",
        "The tool `run` resumes a run of the same plan that was interrupted: stopped, or its process died.",
        "Leave `resume` out to start another run; finished steps are reused.",
        example="run(plan, resume), where the run has succeeded",
    ),
    Code(
        "bad-token",
        "A token that cannot be used",
        "The server for agents accepts HTTP only from clients with the token of `--token-file`: at least 32 "
        "characters, in a file that only its owner may read.",
        "Follow the hint.",
        example="e2i mcp --http 127.0.0.1:8040 --token-file token, where token has the mode 644",
    ),
    Code(
        "unknown-plan",
        "A plan that is not kept",
        "The tool `run` takes the id that the tool `plan` returned. The store keeps the latest 200 plans.",
        "Call `plan` again.",
        example="run(plan) with an invented id",
    ),
)

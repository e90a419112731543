"""Codes of commands and runs: errors that are not about a place in a spec, such as an option or a lost worker."""

from __future__ import annotations

from e2i.check.codes.code import Code

CODES = (
    Code(
        "artifact-missing",
        "An artifact that is not in the store",
        "A step's result refers to data by its digest, and the store does not hold it: it was removed, or "
        "another store is "
        "in use.",
        "Run the spec again: what is lost is made anew.",
    ),
    Code(
        "bad-metric",
        "A metric that is no number",
        "Trackers take finite numbers only.",
        "See in the step's inputs why it comes out infinite or not a number.",
    ),
    Code(
        "bad-option",
        "An option that cannot be used so",
        "An option of the command line has a value that it does not take, or does not go with another one.",
        "`e2i COMMAND --help` says what it takes.",
    ),
    Code(
        "bad-plan",
        "A file that is no plan",
        "`--plan` takes what `e2i plan -o FILE` wrote.",
        "Write one by `e2i plan SPEC -o FILE`.",
    ),
    Code(
        "bad-policy",
        "A policy that cannot be used",
        "config/policy.yaml has a key or a value that is not known. Nothing is run under a policy that is not "
        "understood.",
        "Mend the file; docs/security.md describes it.",
    ),
    Code(
        "bad-settings",
        "Settings that cannot be used",
        "A file in config/ has a key or a value that is not known, or names a tool that does not exist.",
        "Mend the file that the message names.",
    ),
    Code(
        "bad-table",
        "A table that cannot be stored",
        "A column holds values of several types, or of one that Arrow does not have.",
        "Give every column values of one type.",
    ),
    Code(
        "cannot-write",
        "A spec that cannot be written",
        "`e2i fix --write` could not put the mended text in the file's place. The file is as it was.",
        "See to the permissions of the file and its folder.",
    ),
    Code(
        "no-such-revision",
        "A version of a file that git does not have",
        "REVISION:PATH names a file as it was in a revision of the git repository.",
        "`git log PATH` lists the revisions.",
    ),
    Code(
        "no-such-spec",
        "A spec that is not there",
        "The file cannot be read.",
        "Give the path of a YAML file; the hint lists those beside it.",
    ),
    Code(
        "not-writable",
        "A file that cannot be written",
        "The report or the plan was to be written to a place where that is not possible.",
        "Give another path, or see to its permissions.",
    ),
    Code(
        "plan-changed",
        "A plan that is no longer the approved one",
        "The run was bound to a plan by `--plan`, and something that can affect execution has changed since.",
        "Plan again, and have the new plan approved.",
    ),
    Code(
        "policy-origin",
        "An origin that is claimed and not given",
        "The environment says that an agent is at work: an option cannot make a human of it.",
        "Leave out `--origin human`.",
    ),
    Code(
        "secret-refused",
        "A secret that specs may not use",
        "A step asked for a secret that is not listed under `secrets:` in config/.",
        "Have the operator list it.",
    ),
    Code(
        "secret-unset",
        "A secret without a value",
        "The environment variable that holds the secret is not set.",
        "Set the variable that the hint names.",
    ),
    Code(
        "service-ended",
        "A service that ended by itself",
        "The process that a step started has ended before it answered, or while it was needed.",
        "Its last words are in the message; the step's log has them all.",
    ),
    Code(
        "store-damaged",
        "A store whose state cannot be read",
        "The SQLite file in the store is damaged, or is something else.",
        "Move it away and run again: artifacts are found by their content, history begins anew.",
    ),
    Code(
        "store-not-writable",
        "A store that cannot be written",
        "The disk is full, or the folder may not be written. Nothing counts as done that could not be recorded.",
        "Make room, see to the permissions, or give another store by `--store`.",
    ),
    Code(
        "store-too-new",
        "A store of a newer version",
        "A newer e2i has written the state, and this one does not know how to read it.",
        "Use the newer version, or another store.",
    ),
    Code(
        "unknown-code",
        "A code that no problem has",
        "`e2i explain` knows the codes of problems and of commands. Tools have codes of their own for what a "
        "step runs into.",
        "`e2i explain` without a code lists them.",
    ),
    Code(
        "unknown-profile",
        "A profile that does not exist",
        "`--profile P` reads config/P.yaml over config/default.yaml.",
        "Take a profile that the hint lists, or write the file.",
    ),
    Code(
        "unknown-run",
        "A run that is not in the store",
        "Runs are named by their id; each store has its own.",
        "`e2i runs` lists them.",
    ),
    Code(
        "unknown-tool",
        "A tool that does not exist",
        "The settings or an option name a tool that the catalog does not have.",
        "`e2i catalog` lists the tools.",
    ),
    Code(
        "unset-variable",
        "A variable that the settings read and nobody set",
        "A file in config/ holds ${NAME}, and the environment has no NAME.",
        "Set it, or write ${NAME:-default}.",
    ),
    Code(
        "circuit-open",
        "A tool that failed too often to be asked now",
        "After several outages in a row a tool is left alone for a while, so that nothing waits for what will "
        "not answer.",
        "See `e2i doctor`; the tool is tried again by itself, and `on_unavailable` says what a step does meanwhile.",
    ),
    Code(
        "deadline-missed",
        "A tool that did not answer in time",
        "One call took longer than the tool's `deadline` in the settings.",
        "See to the service, or raise the deadline.",
    ),
    Code(
        "sink-closed",
        "A tracker that takes no more",
        "What was measured stays in the outbox and is delivered later.",
        "`e2i sync` delivers it; `e2i doctor` says what waits.",
    ),
    Code(
        "step-failed",
        "A step that failed",
        "The work of the step ended with an error that belongs to its data or parameters.",
        "The message says what it was; `e2i show RUN` has the rest.",
    ),
    Code(
        "timeout",
        "A step that took too long",
        "One attempt took longer than the step's `timeout`, or than that of the settings. It was ended.",
        "Raise `timeout`, or give the step less to do.",
    ),
    Code(
        "tool-missing",
        "A tool that is not installed",
        "The action's library cannot be imported here.",
        "Install the extra that the hint names.",
    ),
    Code(
        "tool-unavailable",
        "A tool that cannot be reached",
        "The service is down, or does not answer. `retry` and `on_unavailable` say what a step does then.",
        "See `e2i doctor`, and run again: finished steps are not repeated.",
    ),
    Code(
        "worker-lost",
        "A worker process that died",
        "The process that carried the step out is gone: killed, or out of memory.",
        "Run again; give the step less data if memory was short.",
    ),
)

"""Codes of commands and runs: errors that are not about a place in a spec, such as an option or a lost worker."""

from __future__ import annotations

from e2i.check.codes.code import Code

CODES = (
    Code(
        "artifact-damaged",
        "An artifact that has changed",
        "The bytes in the store no longer have the digest that they were stored with. They are set aside, not used.",
        "Run the spec again: what is lost is made anew.",
        example="A step opened a file of the store and wrote to it.",
    ),
    Code(
        "artifact-missing",
        "An artifact that is not in the store",
        "A step's result refers to data by its digest, and the store does not hold it: it was removed, or "
        "another store is "
        "in use.",
        "Run the spec again: what is lost is made anew.",
        example="A file in .e2i/artifacts was removed by hand.",
    ),
    Code(
        "bad-artifact",
        "A result that cannot be kept",
        "An artifact is files and folders. Links, pipes and devices have no content of their own.",
        "Keep files and folders only; copy what a link leads to.",
        example="A step leaves a folder with a link to a file outside it.",
    ),
    Code(
        "bad-metric",
        "A metric that is no number",
        "Trackers take finite numbers only.",
        "See in the step's inputs why it comes out infinite or not a number.",
        example="The logarithm of a score that is 0.",
    ),
    Code(
        "bad-option",
        "An option that cannot be used so",
        "An option of the command line has a value that it does not take, or does not go with another one.",
        "`e2i COMMAND --help` says what it takes.",
        example="e2i run SPEC --resume RUN -p rows=5: a resumed run has parameters of its own.",
    ),
    Code(
        "bad-plan",
        "A file that is no plan",
        "`--plan` takes what `e2i plan -o FILE` wrote.",
        "Write one by `e2i plan SPEC -o FILE`.",
        example="e2i-run SPEC --plan SPEC",
    ),
    Code(
        "bad-policy",
        "A policy that cannot be used",
        "config/policy.yaml has a key or a value that is not known. Nothing is run under a policy that is not "
        "understood.",
        "Mend the file; docs/security.md describes it.",
        example="agent: {promote_to_prodution: true}",
    ),
    Code(
        "bad-settings",
        "Settings that cannot be used",
        "A file in config/ has a key or a value that is not known, or names a tool that does not exist.",
        "Mend the file that the message names.",
        example="workers: many, in config/default.yaml",
    ),
    Code(
        "bad-table",
        "A table that cannot be stored",
        "A column holds values of several types, or of one that Arrow does not have.",
        "Give every column values of one type.",
        example="A Python function returns a DataFrame with a column of sets.",
    ),
    Code(
        "cannot-write",
        "A spec that cannot be written",
        "`e2i fix --write` could not put the mended text in the file's place. The file is as it was.",
        "See to the permissions of the file and its folder.",
        example="The spec lies in a folder that may only be read.",
    ),
    Code(
        "invalid-spec",
        "A spec with problems",
        "Nothing is run or planned before every problem is mended. Each of them has a code of its own.",
        "`e2i validate SPEC` shows them all; `e2i fix SPEC` mends those whose mend is certain.",
        example="e2i run of a spec in which `e2i validate` finds a misspelt step",
    ),
    Code(
        "no-such-revision",
        "A version of a file that git does not have",
        "REVISION:PATH names a file as it was in a revision of the git repository.",
        "`git log PATH` lists the revisions.",
        example="e2i diff HAED:specs/x.yaml specs/x.yaml",
    ),
    Code(
        "no-such-spec",
        "A spec that is not there",
        "The file cannot be read.",
        "Give the path of a YAML file; the hint lists those beside it.",
        example="e2i validate specs/flihgts.yaml",
    ),
    Code(
        "not-writable",
        "A file that cannot be written",
        "The report or the plan was to be written to a place where that is not possible.",
        "Give another path, or see to its permissions.",
        example="e2i plan SPEC -o /plan.json, as a user who may not write there",
    ),
    Code(
        "out-of-memory",
        "A step that wanted more memory than there is for it",
        "Its processes held, or asked for, more than `resources: {memory: …}` of the step or of the settings allows, or"
        " more than four fifths of the machine's memory. Only the step was ended.",
        "Give the step less data, or more memory.",
        example="resources: {memory: 500MB} for a step that loads a table of 2 GB",
    ),
    Code(
        "output-too-large",
        "An output that is too large or too deep",
        "What a step gives back as plain data is kept with the run's state and handed to the steps below: at most 16 "
        "MiB of JSON, 100 levels deep.",
        "Give back a table, or write a file and keep that.",
        example="a function that returns a million rows as a list of mappings",
    ),
    Code(
        "plan-changed",
        "A plan that is no longer the approved one",
        "The run was bound to a plan by `--plan`, and something that can affect execution has changed since.",
        "Plan again, and have the new plan approved.",
        example="e2i-run SPEC --plan approved.json -p rows=3000, where the plan was approved for 2000",
    ),
    Code(
        "plan-altered",
        "An approved plan that was changed since it was written",
        "A plan's document carries everything that its digest covers, and a checksum over all that it shows. Both are "
        "worked out again from the document: one that shows another plan than the one beside its digest is refused.",
        "Plan again, and have the new plan approved.",
        example="approved.json in which a verdict was edited",
    ),
    Code(
        "plan-undecided",
        "Code that only the run can know",
        "A plan lists as undecided which files and which code only the run can know. A run that is bound to a plan "
        "does not run code that nobody could approve.",
        "Write the file and the function into the spec.",
        example='python.call with file: "${{ steps.late.value }}", by e2i-run SPEC --plan approved.json',
    ),
    Code(
        "input-changed-during-run",
        "A file that changed since its step was planned",
        "A step reads the content that its fingerprint covers, and nothing else: the file is hashed as it is read. Of "
        "a file that holds something else by then, nothing is used and no result is kept.",
        "Run the spec again when nothing writes to the file any more.",
        example="data.csv is written over while an earlier step runs",
    ),
    Code(
        "file-too-large",
        "A Python file that is too large to be run",
        "A Python file that a step runs or imports has at most 1 MiB.",
        "Split it, or keep data in a file of its own.",
        example="python.call with a file of generated code",
    ),
    Code(
        "bad-store",
        "A store that is no folder",
        "All state lives in a folder; what was named is a file, a pipe or a device.",
        "Choose a folder by --store DIR or E2I_STORE.",
        example="e2i run SPEC --store /dev/null",
    ),
    Code(
        "policy-origin",
        "An origin that is claimed and not given",
        "The environment says that an agent is at work: an option cannot make a human of it.",
        "Leave out `--origin human`.",
        example="E2I_ORIGIN=agent e2i run SPEC --origin human",
    ),
    Code(
        "secret-refused",
        "A secret that specs may not use",
        "A step asked for a secret that is not listed under `secrets:` in config/.",
        "Have the operator list it.",
        example="${{ secrets.DEPLOY_KEY }}, which config/default.yaml does not list",
    ),
    Code(
        "secret-unset",
        "A secret without a value",
        "The environment variable that holds the secret is not set.",
        "Set the variable that the hint names.",
        example="secrets: {TOKEN: MY_TOKEN} in config/, and no MY_TOKEN in the environment",
    ),
    Code(
        "weak-secret",
        "A secret that ordinary data could hold",
        "What leaves a step is scanned for the secrets that it was given. One that is short, a number, a date or a"
        " word, or repeats a few characters, would fail steps that have nothing to do with it.",
        "Set the variable that the hint names to a longer value, made by chance.",
        example="secrets: {PIN: MY_PIN} in config/, and MY_PIN=20261128",
    ),
    Code(
        "secret-in-output",
        "A result that holds a secret",
        "Outputs, tables, artifacts and measurements are kept, shown and sent to trackers. The step was given a secret"
        " and one of these holds it, as it is or in base64, hexadecimal or an escaped form; nothing of it was stored.",
        "Hand on what was done with the secret, not the secret itself.",
        example="a python.call function that returns the token it was given",
    ),
    Code(
        "service-ended",
        "A service that ended by itself",
        "The process that a step started has ended before it answered, or while it was needed.",
        "Its last words are in the message; the step's log has them all.",
        example="A served model needs more memory than there is.",
    ),
    Code(
        "run-held",
        "A run that another process carries out",
        "Only one process at a time may carry out a run. The message names the one that does, its machine and since "
        "when; one that has died, was killed or went with a reboot holds nothing.",
        "Wait for it (`e2i show RUN`), or end that process and resume then.",
        example="`--resume RUN` is typed in a second terminal while the first still carries the run out.",
    ),
    Code(
        "disk-full",
        "A full disk",
        "The disk that holds the named file has no room. What was finished before is recorded; what could not be "
        "recorded does not count as done.",
        "Make room and run again or resume, or give another store by `--store`.",
        example="No space is left on the disk that holds .e2i/state.db.",
    ),
    Code(
        "disk-failing",
        "A disk that does not take what is written",
        "Writing the state failed: the quota is used up, or the disk or its connection fails. What was finished before "
        "is recorded.",
        "See to the quota and the disk, then run again or resume.",
        example="The quota of the home folder is used up.",
    ),
    Code(
        "state-altered",
        "Records that are not as they were written",
        "Every run, step and result is kept with a seal over its content. A record with another content was edited or "
        "damaged: a result like that is not used, and a run like that is not resumed.",
        "Run the spec again: finished steps whose results are sound are not repeated. `e2i doctor` names the records.",
        example="Somebody set a failed step to succeeded in .e2i/state.db.",
    ),
    Code(
        "store-busy",
        "A store that another process does not let go",
        "A transaction of another process was open for half a minute: that process was stopped, or the disk hangs.",
        "End that process, or try again later.",
        example="A run was stopped with SIGSTOP in the middle of a transaction.",
    ),
    Code(
        "store-damaged",
        "A store whose state cannot be read",
        "The SQLite file in the store is damaged, or is something else.",
        "Run again: a run sets the file aside under another name and begins anew; artifacts are found by content.",
        example="A cut-off copy of state.db was put in place.",
    ),
    Code(
        "store-gone",
        "A folder that was moved or deleted under a run",
        "The folder of the store, the state in it, or the workspace is no longer where it was when the run began. The "
        "run writes nothing elsewhere.",
        "Put it back, or say where it is now by `--store`, and run again.",
        example="The folder .e2i was renamed while a run was going on.",
    ),
    Code(
        "store-not-writable",
        "A store that cannot be written",
        "The disk is full, or the folder may not be written. Nothing counts as done that could not be recorded.",
        "Make room, see to the permissions, or give another store by `--store`.",
        example="No space is left on the disk that holds .e2i.",
    ),
    Code(
        "store-too-new",
        "A store of a newer version",
        "A newer e2i has written the state, and this one does not know how to read it.",
        "Use the newer version, or another store.",
        example="A store that colleagues use with a newer e2i.",
    ),
    Code(
        "unknown-artifact",
        "An artifact that no step on record gave",
        "`e2i provenance` finds an artifact by its digest, or the beginning of it, among what the runs of the store "
        "gave.",
        "`e2i show RUN` shows the beginning of each digest; `RUN.STEP.OUTPUT` names an artifact without one.",
        example="e2i provenance sha256:1234, of which the store holds nothing",
    ),
    Code(
        "too-much-memory",
        "A step that asks for more memory than it may",
        "The operator has set `resources: max_memory:` in config/, and the step's `resources: {memory: …}` is more.",
        "Ask for less, or have the limit raised.",
        example="resources: {memory: 64GB} where max_memory is 16GB",
    ),
    Code(
        "unknown-code",
        "A code that no problem has",
        "`e2i explain` knows the codes of problems in specs, of commands, and of what a step runs into.",
        "`e2i explain` without a code lists them.",
        example="e2i explain cylce",
    ),
    Code(
        "unknown-profile",
        "A profile that does not exist",
        "`--profile P` reads config/P.yaml over config/default.yaml.",
        "Take a profile that the hint lists, or write the file.",
        example="e2i run SPEC --profile prodution",
    ),
    Code(
        "unknown-run",
        "A run that is not in the store",
        "Runs are named by their id; each store has its own.",
        "`e2i runs` lists them.",
        example="e2i show 20261123, in another folder than the one of the run",
    ),
    Code(
        "unknown-tool",
        "A tool that does not exist",
        "The settings or an option name a tool that the catalog does not have.",
        "`e2i catalog` lists the tools.",
        example="sinks: [mlfow], in config/default.yaml",
    ),
    Code(
        "unset-variable",
        "A variable that the settings read and nobody set",
        "A file in config/ holds ${NAME}, and the environment has no NAME.",
        "Set it, or write ${NAME:-default}.",
        example="tracking_uri: ${MLFLOW_URL}, in config/prod.yaml",
    ),
    Code(
        "circuit-open",
        "A tool that failed too often to be asked now",
        "After several outages in a row a tool is left alone for a while, by all processes of the store: nothing waits "
        "for what will not answer.",
        "See `e2i doctor`; the tool is tried again by itself, and `on_unavailable` says what a step does meanwhile.",
        example="An MLflow server is down, and several calls in a row have failed.",
    ),
    Code(
        "deadline-missed",
        "A tool that did not answer in time",
        "One call took longer than the tool's `deadline` in the settings.",
        "See to the service, or raise the deadline.",
        example="A tracking server that accepts connections and never answers.",
    ),
    Code(
        "sink-closed",
        "A tracker that takes no more",
        "What was measured stays in the outbox and is delivered later.",
        "`e2i sync` delivers it; `e2i doctor` says what waits.",
        example="What is left to send at the end of a run while MLflow is down.",
    ),
    Code(
        "step-failed",
        "A step that failed",
        "The work of the step ended with an error that belongs to its data or parameters.",
        "The message says what it was; `e2i show RUN` has the rest.",
        example="A step that finds its data to be of no use.",
    ),
    Code(
        "timeout",
        "A step that took too long",
        "One attempt took longer than the step's `timeout`, or than that of the settings. It was ended.",
        "Raise `timeout`, or give the step less to do.",
        example="timeout: 10s for a search that takes a minute",
    ),
    Code(
        "tool-auth",
        "A tool that refuses the credentials",
        "The service is up, and refuses the password or the key that the configuration has for it. That is no outage: "
        "the circuit breaker does not count it, and no step is deferred for it. Telemetry is kept.",
        "Correct the password or key in config/, or in the variable that it reads; `e2i doctor` asks every service.",
        example="A password of the database was changed, and config/prod.yaml still has the old one.",
    ),
    Code(
        "tool-missing",
        "A tool that is not installed",
        "The action's library cannot be imported here.",
        "Install the extra that the hint names.",
        example="A spec uses shap.explain where only the base package is installed.",
    ),
    Code(
        "tool-unavailable",
        "A tool that cannot be reached",
        "The service is down, or does not answer. `retry` and `on_unavailable` say what a step does then.",
        "See `e2i doctor`, and run again: finished steps are not repeated.",
        example="OPIK_URL names a server that is not running.",
    ),
    Code(
        "worker-lost",
        "A worker process that died",
        "The process that carried the step out is gone: killed, or out of memory.",
        "Run again; give the step less data if memory was short.",
        example="The system ends the largest process because memory is short.",
    ),
)

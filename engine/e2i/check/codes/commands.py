"""Codes of commands and runs: errors without a location in a spec, such as a bad option or a lost worker."""

from __future__ import annotations

from e2i.spec.problems import Code

CODES = (
    Code(
        "part-lost",
        "A file that a past run read is gone",
        "`e2i why` mixes two runs. Their code is taken from the workspace or from the commits of the runs, by its "
        "digest.",
        "Commit code and data before a run that is to be compared.",
        example="e2i why last~1 last, after clean.py was edited between the runs without a commit",
    ),
    Code(
        "mix-failed",
        "A mix of two runs without the metric",
        "`e2i why` evaluates the spec with some factors of one run and some of the other. A step of such a mix failed, "
        "or a step that is never executed again has no result.",
        "Compare runs that are closer to each other.",
        example="e2i why last~1 last, and the new code needs a column that the old data do not have",
    ),
    Code(
        "over-budget",
        "A run that would take more than its budget",
        "The spec has a `budget` of time, memory or cost, and the estimate from past runs of its steps is over it. It "
        "is a warning. A budget of the policy is an error, `policy-budget`.",
        "Reduce the data or the trials, or raise the budget. `e2i plan --estimate` shows each step.",
        example="budget: {time: 1m}, and the runs of this week took five minutes",
    ),
    Code(
        "artifact-corrupt",
        "A corrupt artifact",
        "The bytes in the store no longer match the digest that they were stored with. They are quarantined, not used.",
        "Run the spec again: the lost data is rebuilt.",
        example="A step opened a file of the store and wrote to it.",
    ),
    Code(
        "artifact-missing",
        "An artifact that is not in the store",
        "A step's result refers to data by its digest, and the store does not contain it: the data was removed, or "
        "another store is in use.",
        "Run the spec again: the lost data is rebuilt.",
        example="A file in .e2i/artifacts was removed by hand.",
    ),
    Code(
        "backup-corrupt",
        "A corrupt backup",
        "A file of the backup is missing, was changed, or differs from the one in the backup's list. Nothing was "
        "restored.",
        "Use another backup.",
        example="A disk lost a block of the backup's state.db.",
    ),
    Code(
        "bad-artifact",
        "A result that cannot be kept",
        "An artifact consists of files and folders. Links, pipes and devices have no content of their own.",
        "Keep only files and folders. Copy the target of a link.",
        example="A step leaves a folder with a link to a file outside it.",
    ),
    Code(
        "bad-metric",
        "A metric that is not a number",
        "Trackers accept finite numbers only.",
        "Check the inputs of the step to see why the value is infinite or not a number.",
        example="The logarithm of a score that is 0.",
    ),
    Code(
        "bad-option",
        "An invalid option",
        "A command-line option has a value that it does not accept, or conflicts with another option.",
        "`e2i COMMAND --help` lists the accepted values.",
        example="e2i run SPEC --resume RUN -p rows=5: a resumed run already has its parameters.",
    ),
    Code(
        "bad-plan",
        "A file that is not a plan",
        "`--plan` accepts the output of `e2i plan -o FILE`.",
        "Create one with `e2i plan SPEC -o FILE`.",
        example="e2i-run SPEC --plan SPEC",
    ),
    Code(
        "bad-plugin",
        "A plug-in that cannot be used",
        "A tool that `plugins:` lists cannot be imported, does not declare a tool of that name, or has the name of a "
        "tool of e2i or of another distribution. Specs that do not use it are not affected.",
        "Update or remove its distribution, or take it out of `plugins:` in config/.",
        example="plugins: [mlflow]",
    ),
    Code(
        "bad-policy",
        "An invalid policy",
        "config/policy.yaml has an unknown key or value. Nothing runs under an invalid policy.",
        "Fix the file. docs/security.md describes its format.",
        example="agent: {promote_to_prodution: true}",
    ),
    Code(
        "bad-settings",
        "Invalid settings",
        "A file in config/ has an unknown key or value, or names a tool that does not exist.",
        "Fix the file named in the message.",
        example="workers: many, in config/default.yaml",
    ),
    Code(
        "bad-table",
        "A table that cannot be stored",
        "A column has values of several types, or of a type that Arrow does not support.",
        "Convert each column to one type.",
        example="A Python function returns a DataFrame with a column of sets.",
    ),
    Code(
        "plugin-missing",
        "A plug-in that is not installed",
        "`plugins:` lists a tool that no installed distribution provides under the entry points `e2i.tools`.",
        "Install its distribution into the environment of e2i, or take it out of `plugins:` in config/.",
        example="plugins: [words], and the distribution was installed into another environment.",
    ),
    Code(
        "run-limit",
        "As many runs as the store may execute",
        "`max_runs` in config/ limits the runs that a store executes at a time, and the run was started with "
        "`--no-wait`.",
        "Run it later, or without `--no-wait`: then it waits for its turn.",
        example="e2i-run SPEC --no-wait, while another run executes under max_runs: 1",
    ),
    Code(
        "spec-exists",
        "A spec of that name exists",
        "`e2i init` never replaces a file, and the spec that it would write is there already.",
        "Give the new spec another name by `--name`, or remove the file.",
        example="e2i init, twice in one folder",
    ),
    Code(
        "cannot-edit",
        "A text that a step cannot be added to",
        "`e2i add` puts the new step after the last one, in the same layout. This text has a layout in which that "
        "would change something else. The file is unchanged.",
        "Write the steps as a mapping, each step on lines of its own.",
        example="steps: *shared",
    ),
    Code(
        "cannot-write",
        "A spec that cannot be written",
        "`e2i fix --write` could not replace the file with the fixed text. The file is unchanged.",
        "Check the permissions of the file and its folder.",
        example="The spec is in a read-only folder.",
    ),
    Code(
        "invalid-spec",
        "A spec with problems",
        "Nothing is planned or run until every problem is fixed. Each problem has a code of its own.",
        "`e2i validate SPEC` lists all problems. `e2i fix SPEC` applies the safe fixes.",
        example="e2i run of a spec in which `e2i validate` finds a misspelt step",
    ),
    Code(
        "no-backup",
        "A folder without a backup",
        "The list of files that `e2i backup` writes last is missing or cannot be read. The backup was not finished, or "
        "the folder is the wrong one.",
        "Use the folder that `e2i backup DIR` wrote.",
        example="e2i restore . in a folder without a backup",
    ),
    Code(
        "no-such-revision",
        "A version of a file that git does not have",
        "REVISION:PATH refers to a file in a revision of the git repository.",
        "`git log PATH` lists the revisions.",
        example="e2i diff HAED:specs/x.yaml specs/x.yaml",
    ),
    Code(
        "no-such-spec",
        "A spec that does not exist",
        "The file cannot be read.",
        "Pass the path of a YAML file. The hint lists the YAML files in the same folder.",
        example="e2i validate specs/flihgts.yaml",
    ),
    Code(
        "not-empty",
        "A store that is not empty",
        "`e2i restore` creates a new store. It does not merge a backup into an existing one.",
        "Choose another folder with `--store DIR`, or move the store away first.",
        example="e2i restore backup where .e2i exists",
    ),
    Code(
        "not-writable",
        "A file that cannot be written",
        "The report or the plan cannot be written to this path.",
        "Use another path, or correct the permissions.",
        example="e2i plan SPEC -o /plan.json, as a user who may not write there",
    ),
    Code(
        "out-of-memory",
        "A step that exceeded its memory limit",
        "Its processes used or requested more than `resources: {memory: …}` of the step or of the settings allows, or "
        "more than four fifths of the machine's memory. Only this step was ended.",
        "Give the step less data, or more memory.",
        example="resources: {memory: 500MB} for a step that loads a table of 2 GB",
    ),
    Code(
        "output-too-large",
        "An output that is too large or too deep",
        "Plain data returned by a step is kept with the state of the run and passed to downstream steps. The limit is "
        "16 MiB of JSON, 100 levels deep.",
        "Return a table, or write a file and keep that.",
        example="a function that returns a million rows as a list of mappings",
    ),
    Code(
        "plan-changed",
        "A plan that differs from the approved one",
        "The run was bound to a plan by `--plan`, and something that can affect execution has changed since.",
        "Plan again, and have the new plan approved.",
        example="e2i-run SPEC --plan approved.json -p rows=3000, where the plan was approved for 2000",
    ),
    Code(
        "plan-altered",
        "An approved plan that was changed since it was written",
        "A plan's document contains everything that its digest covers, and a checksum over all that it shows. Both are "
        "recomputed from the document. A document whose content does not match its digest is refused.",
        "Plan again, and have the new plan approved.",
        example="approved.json in which a verdict was edited",
    ),
    Code(
        "plan-undecided",
        "Code that is only known during the run",
        "A plan lists as undecided which files and which code are only known during the run. A run that is bound to a "
        "plan does not execute code that nobody could approve.",
        "Write the file and the function in the spec.",
        example='python.call with file: "${{ steps.late.value }}", by e2i-run SPEC --plan approved.json',
    ),
    Code(
        "input-changed-during-run",
        "A file that changed since its step was planned",
        "A step reads only the content that its fingerprint covers: the file is hashed as it is read. If the content "
        "differs by then, none of it is used and no result is kept.",
        "Run the spec again when nothing writes to the file any more.",
        example="data.csv is written over while an earlier step runs",
    ),
    Code(
        "file-too-large",
        "A Python file that is too large",
        "A Python file that a step runs or imports may have at most 1 MiB.",
        "Split the file, or move data to a file of its own.",
        example="python.call with a file of generated code",
    ),
    Code(
        "bad-store",
        "A store that is not a folder",
        "All state is kept in a folder. The given path is a file, a pipe or a device.",
        "Choose a folder with --store DIR or E2I_STORE.",
        example="e2i run SPEC --store /dev/null",
    ),
    Code(
        "policy-origin",
        "An origin that the environment contradicts",
        "The environment declares that an agent is at work. An option cannot turn an agent into a human.",
        "Leave out `--origin human`.",
        example="E2I_ORIGIN=agent e2i run SPEC --origin human",
    ),
    Code(
        "secret-refused",
        "A secret that specs may not use",
        "A step requested a secret that is not listed under `secrets:` in config/.",
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
        "store-holds-link",
        "A link inside the store",
        "Commands that remove or write files in the store would do so at the target of the link.",
        "Remove the link. To have the store elsewhere, use --store or E2I_STORE, or make the whole folder a link.",
        example=".e2i/tmp was replaced by a link to another folder.",
    ),
    Code(
        "store-not-private",
        "A store that other users can write to",
        "Anyone who can write to the store controls what a step reads: results, and the programs in them.",
        "Remove the write permission of other users, as the hint shows, or choose another folder.",
        example="chmod o+w .e2i",
    ),
    Code(
        "store-not-yours",
        "A store of another user",
        "Another user can change their files at any time, also while a step reads them.",
        "Run as that user, choose a folder of your own, or change the owner of the store with chown.",
        example="A run with sudo made .e2i, the next one is without.",
    ),
    Code(
        "too-many-processes",
        "A step with too many processes",
        "All processes that a step runs at the same time are counted. Without a limit, one step could stop the "
        "machine.",
        "Start fewer processes, or raise the step's `processes` in its `resources`.",
        example="A step with resources: {processes: 20} that starts 40 children.",
    ),
    Code(
        "weak-secret",
        "A secret that ordinary data could hold",
        "The output of a step is scanned for the secrets that the step received. A secret that is short, a number, a "
        "date or a word, or that repeats a few characters, would fail unrelated steps.",
        "Set the variable named in the hint to a longer, random value.",
        example="secrets: {PIN: MY_PIN} in config/, and MY_PIN=20261128",
    ),
    Code(
        "secret-in-output",
        "A result that contains a secret",
        "Outputs, tables, artifacts and measurements are kept, shown and sent to trackers. One of them contains a "
        "secret that the step received, as plain text or in base64, hexadecimal or an escaped form. Nothing of it was "
        "stored.",
        "Return what was done with the secret, not the secret itself.",
        example="a python.call function that returns the token passed to it",
    ),
    Code(
        "service-ended",
        "A service that ended unexpectedly",
        "The process that a step started has ended before it answered, or while it was in use.",
        "The message has the last lines of its output. The step's log has all of it.",
        example="A served model needs more memory than is available.",
    ),
    Code(
        "run-held",
        "A run that another process is executing",
        "Only one process at a time may execute a run. The message names the process, its machine and its start time. "
        "A process that died, was killed or ended with a reboot holds no run.",
        "Wait for it (`e2i show RUN`), or end that process and then resume the run.",
        example="`--resume RUN` is entered in a second terminal while the first still executes the run.",
    ),
    Code(
        "disk-full",
        "A full disk",
        "The disk that holds the named file is full. Results finished before are recorded. A result that could not be "
        "recorded does not count as done.",
        "Free some space and run again or resume, or choose another store with `--store`.",
        example="No space is left on the disk that holds .e2i/state.db.",
    ),
    Code(
        "disk-failing",
        "A disk that fails on writing",
        "Writing the state failed: the quota is exceeded, or the disk or its connection fails. Results finished before "
        "are recorded.",
        "Check the quota and the disk, then run again or resume.",
        example="The quota of the home folder is exceeded.",
    ),
    Code(
        "state-altered",
        "Altered or corrupt records",
        "Every run, step and result has a checksum over its content. Where the checksum differs, the record was edited "
        "or is corrupt. Such a result is not reused, and such a run is not resumed.",
        "Run the spec again: finished steps whose results are intact do not run again. `e2i doctor` names the records.",
        example="Somebody set a failed step to succeeded in .e2i/state.db.",
    ),
    Code(
        "store-busy",
        "A store locked by another process",
        "A transaction of another process was open for half a minute. That process was stopped, or the disk hangs.",
        "End that process, or try again later.",
        example="A run was stopped with SIGSTOP in the middle of a transaction.",
    ),
    Code(
        "store-corrupt",
        "A store whose state cannot be read",
        "The SQLite file in the store is corrupt, or is not a database.",
        "Run again: the corrupt file is quarantined under another name and a new one is created. Artifacts are found "
        "by content.",
        example="state.db was replaced by a truncated copy.",
    ),
    Code(
        "store-gone",
        "A folder that was moved or deleted during a run",
        "The store folder, the state in it, or the workspace is no longer where it was when the run began. The run "
        "writes nothing elsewhere.",
        "Move it back, or pass its new path with `--store`, and run again.",
        example="The folder .e2i was renamed during a run.",
    ),
    Code(
        "store-not-writable",
        "A store that cannot be written",
        "The disk is full, or the folder is read-only. A result that could not be recorded does not count as done.",
        "Free some space, check the permissions, or choose another store with `--store`.",
        example="No space is left on the disk that holds .e2i.",
    ),
    Code(
        "store-too-new",
        "A store of a newer version",
        "The state was written by a newer version of e2i, and this version cannot read it.",
        "Use the newer version, or another store.",
        example="A store that colleagues use with a newer e2i.",
    ),
    Code(
        "unknown-artifact",
        "An artifact that no recorded step produced",
        "`e2i provenance` looks up an artifact by its digest, or a prefix of it, among the outputs of the runs in the "
        "store.",
        "`e2i show RUN` shows a prefix of each digest. `RUN.STEP.OUTPUT` refers to an artifact without a digest.",
        example="e2i provenance sha256:1234, which is not in the store",
    ),
    Code(
        "too-much-memory",
        "A step that requests more memory than allowed",
        "The operator has set `resources: max_memory:` in config/, and the step's `resources: {memory: …}` is more.",
        "Request less, or have the limit raised.",
        example="resources: {memory: 64GB} where max_memory is 16GB",
    ),
    Code(
        "unknown-code",
        "An unknown code",
        "`e2i explain` knows the codes of problems in specs, of commands, and of running steps.",
        "`e2i explain` without a code lists all codes.",
        example="e2i explain cylce",
    ),
    Code(
        "unknown-profile",
        "A profile that does not exist",
        "`--profile P` reads config/P.yaml over config/default.yaml.",
        "Use a profile listed in the hint, or create the file.",
        example="e2i run SPEC --profile prodution",
    ),
    Code(
        "unknown-run",
        "A run that is not in the store",
        "Runs are identified by their id. Each store has its own runs.",
        "`e2i runs` lists them.",
        example="e2i show 20261123, in a folder other than that of the run",
    ),
    Code(
        "inputs-changed",
        "A run whose deferred steps can no longer be added to it",
        "`e2i sync` executes the deferred steps of earlier runs when their tool is back, but only as parts of the same "
        "run: no finished step runs again. A file, a library, the settings or a result of this run has changed since.",
        "Run the spec again. The steps whose inputs are the same are reused.",
        example="A registration was deferred on Monday, and the training data was replaced on Tuesday.",
    ),
    Code(
        "tool-required",
        "A required tool that cannot be used",
        "The settings of the tool have `required: true`, and the tool is down, is not installed or refuses the "
        "credentials. The run was not started: no step has run.",
        "See `e2i doctor`. Start the tool, or set `required: false`: then telemetry waits in the outbox, and "
        "`on_unavailable` decides about steps.",
        example="tools: {mlflow: {tracking_uri: http://mlflow:5000, required: true}}, and nothing answers there",
    ),
    Code(
        "unknown-entry",
        "An entry that is not in the outbox",
        "`e2i outbox` was given a name that is neither the key of an entry nor the beginning of exactly one run's id.",
        "`e2i outbox list` shows what is in the outbox, `e2i outbox show RUN` the keys of a run's entries.",
        example="e2i outbox show 2026, where several runs of that year have entries",
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
        "A variable that the settings use and that is not set",
        "A file in config/ contains ${NAME}, and the environment variable NAME is not set.",
        "Set it, or write ${NAME:-default}.",
        example="tracking_uri: ${MLFLOW_URL}, in config/prod.yaml",
    ),
    Code(
        "circuit-open",
        "A tool that failed repeatedly",
        "After several outages in a row, no process of the store calls the tool for a while. No step has to wait for a "
        "tool that is down.",
        "The tool is tried again automatically after the time in the message. `e2i doctor --ready` closes the circuit "
        "at once if the service answers. `on_unavailable` decides what happens to a step meanwhile.",
        example="An MLflow server is down, and several calls in a row have failed.",
    ),
    Code(
        "deadline-missed",
        "A tool that did not answer in time",
        "One call took longer than the tool's `deadline` in the settings.",
        "Check the service, or raise the deadline.",
        example="A tracking server that accepts connections and never answers.",
    ),
    Code(
        "sink-closed",
        "A tracker that accepts no more telemetry",
        "The measurements stay in the outbox and are delivered later.",
        "`e2i sync` delivers them. `e2i doctor` shows how many are pending.",
        example="Telemetry still in the outbox at the end of a run while MLflow is down.",
    ),
    Code(
        "step-failed",
        "A step that failed",
        "The step ended with an error in its data or parameters.",
        "The message describes the error. `e2i show RUN` has the details.",
        example="A step that finds its data unusable.",
    ),
    Code(
        "timeout",
        "A step that took too long",
        "One attempt took longer than the `timeout` of the step or of the settings. It was ended.",
        "Raise `timeout`, or reduce the work of the step.",
        example="timeout: 10s for a search that takes a minute",
    ),
    Code(
        "tool-auth",
        "A tool that refuses the credentials",
        "The service is up and refuses the password or key in the configuration. This does not count as an outage: the "
        "circuit breaker ignores it, and no step is deferred. Telemetry is kept.",
        "Correct the password or key in config/, or in the variable that it refers to. `e2i doctor` checks every "
        "service.",
        example="A password of the database was changed, and config/prod.yaml still has the old one.",
    ),
    Code(
        "tool-database",
        "A database that does not exist",
        "The database server is up and accepts the credentials, and does not have the database that the address names. "
        "This does not count as an outage: the circuit breaker ignores it, and no step is deferred. Telemetry is kept.",
        "Create the database, or correct its name in config/, or in the variable that it refers to. `e2i doctor` "
        "checks every service.",
        example="study_storage: postgresql://e2i@postgres.example.org/optnua, in config/prod.yaml",
    ),
    Code(
        "tool-missing",
        "A tool that is not installed",
        "The action's library cannot be imported here.",
        "Install the extra named in the hint.",
        example="A spec uses shap.explain where only the base package is installed.",
    ),
    Code(
        "tool-unavailable",
        "A tool that cannot be reached",
        "The service is down, or does not answer. `retry` and `on_unavailable` decide what the step does then.",
        "See `e2i doctor`, and run again: finished steps do not run again.",
        example="OPIK_URL names a server that is not running.",
    ),
    Code(
        "worker-lost",
        "A worker process that died",
        "The process that executed the step is gone: it was killed, or ran out of memory.",
        "Run again. Reduce the data of the step if memory was short.",
        example="The operating system kills the largest process because memory is short.",
    ),
    Code(
        "process-ends",
        "A call that was not made because the process ends",
        "Python starts no thread while a program ends, so a tool cannot be called any more. What waits is delivered "
        "later.",
        "Nothing has to be done; `e2i sync` delivers it now.",
        example="A program that logs in its last line",
    ),
)

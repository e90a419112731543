"""Codes of forbidden actions: by the operator's policy (exit code 3 when nothing else is wrong), or in general."""

from __future__ import annotations

from e2i.check.codes.code import Code

CODES = (
    Code(
        "policy-tool",
        "An action that is not allowed",
        "config/policy.yaml lists which actions may be used, by the author of the spec and by agent role. A step that "
        "names its agent is limited to the role of that agent in the platform.",
        "Use an allowed action, assign the step to an agent that may use it, or ask the operator.",
        "steps:\n  a: {uses: opik.score, agent: model_trainer, with: {name: fit, value: 1}}\n",
        "steps:\n  a: {uses: opik.score, agent: observability_connector, with: {name: fit, value: 1}}\n",
    ),
    Code(
        "policy-privilege",
        "An operation that needs a permission",
        "Some operations are allowed to people and refused to specs written by a machine, unless config/policy.yaml "
        "allows them: running Python files of the workspace, moving a model to production, keeping a service after its "
        "run, taking a remote file without a digest, writing texts that a spreadsheet would run.",
        "Leave the operation out and have a person do it, or ask the operator.",
        example="stage: production in an agent's mlflow.promote",
    ),
    Code(
        "policy-budget",
        "A budget that is exceeded",
        "Bytes, steps, matrix combinations, trials, rows, attempts and time limits are limited by the author of the "
        "spec, so that no spec takes the machine for itself. The trials of all steps are counted together.",
        "Reduce the amount, or have the operator raise the budget.",
        "steps:\n  a: {uses: debug.echo, timeout: 60d}\n",
        "steps:\n  a: {uses: debug.echo, timeout: 1h}\n",
    ),
    Code(
        "policy-path",
        "A path that specs may not read",
        "Files are read from the workspace or from folders that the operator lists. For a link, its target counts.",
        "Move the file into the workspace.",
        "steps:\n  a: {uses: data.load, with: {path: ../secret.csv}}\n",
        'steps:\n  a: {uses: debug.echo, with: {value: "data in the workspace"}}\n',
    ),
    Code(
        "policy-host",
        "A host that specs may not reach",
        "A run connects to the services of its profile. Specs written by a machine may only use services on this "
        "machine, unless the operator lists more hosts.",
        "Use a profile whose services are allowed, or ask the operator.",
        example="MLFLOW_TRACKING_URI names a server elsewhere, and an agent wrote the spec.",
    ),
    Code(
        "policy-connection",
        "A database that specs may not use",
        "A spec names a connection of the settings, never an address. config/policy.yaml lists the connections that "
        "specs of each origin may use; specs written by a machine may use none unless it does. A connection is for "
        "reading only, unless its settings say `read_only: false`.",
        "Use an allowed connection, or ask the operator.",
        example="connection: payroll, where agent.connections is [warehouse]",
    ),
    Code(
        "unknown-connection",
        "A database that the settings do not name",
        "Connections are under `tools: database: connections:` in config/, also in the profile of the run.",
        "Use a name from the hint, choose the profile that has it, or ask the operator.",
        example="connection: warehose, where the settings name warehouse",
    ),
    Code(
        "policy-location",
        "A remote location that specs may not use",
        "A spec names a location of the settings, never an address. config/policy.yaml lists the locations that specs "
        "of each origin may use; specs written by a machine may use none unless it does. A location is for reading "
        "only, unless its settings say `read_only: false`.",
        "Use an allowed location, or ask the operator.",
        example="location: backups, where agent.locations is [data]",
    ),
    Code(
        "unknown-location",
        "A remote location that the settings do not name",
        "Locations are under `tools: remote: locations:` in config/, also in the profile of the run.",
        "Use a name from the hint, choose the profile that has it, or ask the operator.",
        example="location: dta, where the settings name data",
    ),
    Code(
        "bad-path",
        "A path that is not a file",
        "A URL, a folder, a device or a pipe cannot be read as a file, whatever the policy.",
        "Use the path of a regular file, relative to the workspace.",
        'steps:\n  a: {uses: data.load, with: {path: "https://example.com/data.csv"}}\n',
        'steps:\n  a: {uses: debug.echo, with: {value: "https://example.com/data.csv"}}\n',
    ),
    Code(
        "unknown-agent",
        "An agent role that does not exist",
        "`agent` declares which of the platform's agents a step acts for. config/policy.yaml lists them.",
        "Use one of the roles, or leave `agent` out.",
        "steps:\n  a: {uses: debug.echo, agent: model_trainr}\n",
        "steps:\n  a: {uses: debug.echo, agent: model_trainer}\n",
    ),
    Code(
        "secret-literal",
        "A secret that is written out",
        "A spec is committed, planned, logged and reported. A value that is called a password, a token or a key, or "
        "looks like one, may only be a reference.",
        "Have the operator list it under `secrets:` in config/, and write ${{ secrets.NAME }}.",
        "steps:\n  a: {uses: debug.echo, with: {value: {password: hunter2}}}\n",
        "steps:\n  a: {uses: debug.echo, with: {value: {user: hunter}}}\n",
    ),
    Code(
        "secret-not-allowed",
        "A secret that is not allowed here",
        "The inputs of a step can end up in tables, reports, traces and registries, and a value that is compared with "
        "data can be guessed from the result. A secret may therefore only be passed to parameters marked for secrets: "
        "the arguments of python.call. No output is marked.",
        "Refer to the secret where it is needed: in an argument of a python.call step. Credentials of tools belong in "
        "config/.",
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ secrets.TOKEN }}"}}\n',
        'steps:\n  a: {uses: debug.echo, with: {value: "the operator knows the token"}}\n',
    ),
    Code(
        "policy-secret",
        "A secret that these specs may not use",
        "config/policy.yaml lists which secrets steps may use, by the author of the spec: all for people, none for "
        "specs written by a machine.",
        "Leave it out, have a person run the step, or ask the operator.",
        example="${{ secrets.WAREHOUSE }} in an agent's python.call, where agent.secrets does not list it",
    ),
    Code(
        "forged-artifact",
        "An artifact that no step produced",
        "Tables, models, services and other artifacts are references to the outputs of steps in this run. A literal "
        "one could refer to a service elsewhere, or to the data of another project.",
        "Refer to the step that produces it: ${{ steps.ID.NAME }}.",
        f'steps:\n  a: {{uses: debug.echo, with: {{value: {{type: table, digest: "sha256:{"0" * 64}"}}}}}}\n',
        'steps:\n  d: {uses: dataset.hcp}\n  a: {uses: debug.echo, with: {value: "${{ steps.d.journeys }}"}}\n',
    ),
)

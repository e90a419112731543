"""Codes of what is not allowed: by the operator's policy (exit code 3 when nothing else is wrong), or at all."""

from __future__ import annotations

from e2i.check.codes.code import Code

CODES = (
    Code(
        "policy-tool",
        "An action that may not be used",
        "config/policy.yaml lists, by who wrote the spec and by agent role, which actions may be used. A step "
        "that says which agent it acts for is held to what that role does in the platform.",
        "Use an action that is allowed, give the step to an agent that may, or ask the operator.",
        "steps:\n  a: {uses: opik.score, agent: model_trainer, with: {name: fit, value: 1}}\n",
        "steps:\n  a: {uses: opik.score, agent: observability_connector, with: {name: fit, value: 1}}\n",
    ),
    Code(
        "policy-privilege",
        "Something that takes a permission",
        "Running Python files of the workspace, moving a model to production and keeping a service after its run "
        "are allowed to people and refused to specs that a machine wrote, unless config/policy.yaml says "
        "otherwise.",
        "Leave it out and have a person do it, or ask the operator.",
        example="stage: production in an agent's mlflow.promote",
    ),
    Code(
        "policy-budget",
        "More than one spec may ask for",
        "Bytes, steps, matrix combinations, trials, rows, attempts and time limits are bounded by who wrote the spec,"
        " so"
        " that no spec takes the machine for itself. The trials of all steps are counted together.",
        "Ask for less, or have the operator raise the budget.",
        "steps:\n  a: {uses: debug.echo, timeout: 60d}\n",
        "steps:\n  a: {uses: debug.echo, timeout: 1h}\n",
    ),
    Code(
        "policy-path",
        "A path that leads where specs may not read",
        "Files are read from the workspace or from folders that the operator lists. Links count as where they lead.",
        "Put the file into the workspace.",
        "steps:\n  a: {uses: data.load, with: {path: ../secret.csv}}\n",
        'steps:\n  a: {uses: debug.echo, with: {value: "data in the workspace"}}\n',
    ),
    Code(
        "policy-host",
        "A host that specs may not reach",
        "A run talks to the services of its profile; specs that a machine wrote may only use those on this "
        "machine, unless the operator lists more hosts.",
        "Use a profile whose services are allowed, or ask the operator.",
        example="MLFLOW_TRACKING_URI names a server elsewhere, and the spec is of an agent.",
    ),
    Code(
        "bad-path",
        "Not the path of a file",
        "An address, a folder, a device or a pipe cannot be read as a file, and no policy could allow it.",
        "Give the path of a regular file, relative to the workspace.",
        'steps:\n  a: {uses: data.load, with: {path: "https://example.com/data.csv"}}\n',
        'steps:\n  a: {uses: debug.echo, with: {value: "https://example.com/data.csv"}}\n',
    ),
    Code(
        "unknown-agent",
        "An agent role that does not exist",
        "`agent` says for which of the platform's agents a step acts; config/policy.yaml lists them.",
        "Take one of the roles, or leave `agent` out.",
        "steps:\n  a: {uses: debug.echo, agent: model_trainr}\n",
        "steps:\n  a: {uses: debug.echo, agent: model_trainer}\n",
    ),
    Code(
        "secret-literal",
        "A secret that is written out",
        "A spec is committed, planned, logged and reported. What is called a password, a token or a key, or looks"
        " like one, may only be named.",
        "Have the operator list it under `secrets:` in config/, and write ${{ secrets.NAME }}.",
        "steps:\n  a: {uses: debug.echo, with: {value: {password: hunter2}}}\n",
        "steps:\n  a: {uses: debug.echo, with: {value: {user: hunter}}}\n",
    ),
    Code(
        "secret-not-allowed",
        "A secret where none may be",
        "What a step is given can end up in tables, reports, traces and registries, and what is compared with data can"
        " be guessed from the answer. So a secret goes only to parameters that are marked for one: the arguments of"
        " python.call. No output is one.",
        "Name it where it is needed: an argument of a python.call step. Credentials of tools belong to config/.",
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ secrets.TOKEN }}"}}\n',
        'steps:\n  a: {uses: debug.echo, with: {value: "the operator knows the token"}}\n',
    ),
    Code(
        "policy-secret",
        "A secret that these specs may not use",
        "config/policy.yaml lists, by who wrote the spec, which secrets steps may be given: all for people, none for"
        " specs that a machine wrote.",
        "Leave it out, have a person run the step, or ask the operator.",
        example="${{ secrets.WAREHOUSE }} in an agent's python.call, where agent.secrets does not list it",
    ),
    Code(
        "forged-artifact",
        "An artifact that no step made",
        "Tables, models, services and the like are references to what steps of the run made. Written out, they "
        "could name a service elsewhere, or the data of another project.",
        "Refer to the step that makes it: ${{ steps.ID.NAME }}.",
        f'steps:\n  a: {{uses: debug.echo, with: {{value: {{type: table, digest: "sha256:{"0" * 64}"}}}}}}\n',
        'steps:\n  d: {uses: dataset.hcp}\n  a: {uses: debug.echo, with: {value: "${{ steps.d.journeys }}"}}\n',
    ),
)

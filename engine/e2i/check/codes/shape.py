"""Codes of shape: the document can be read, but is not a valid pipeline."""

from __future__ import annotations

from e2i.check.codes.code import Code

CODES = (
    Code(
        "bad-name",
        "An invalid name",
        "Names of steps, parameters and outputs are used in expressions: letters, digits and `_`, at most 64, no digit "
        "first.",
        "Use `_` instead of other characters.",
        "steps:\n  load-data: {uses: debug.echo}\n",
        "steps:\n  load_data: {uses: debug.echo}\n",
    ),
    Code(
        "bad-value",
        "A value that this key does not accept",
        "The value has the wrong type, is out of range, or is not one of the allowed values.",
        "The message lists the accepted values. `e2i schema` shows all of them.",
        "steps:\n  a: {uses: debug.echo, on_error: ignore}\n",
        "steps:\n  a: {uses: debug.echo, on_error: continue}\n",
    ),
    Code(
        "missing-key",
        "A missing key",
        "A pipeline needs `version`, `name` and `steps`. A step needs `uses`. A parameter needs `type`.",
        "Add the key.",
        "steps:\n  a: {with: {value: 1}}\n",
        "steps:\n  a: {uses: debug.echo, with: {value: 1}}\n",
    ),
    Code(
        "unknown-key",
        "An unknown key",
        "An unknown key would otherwise be ignored, and have no effect.",
        "Correct the key. Parameters of an action belong under `with:`.",
        "steps:\n  a: {uses: debug.echo, need: []}\n",
        "steps:\n  a: {uses: debug.echo, needs: []}\n",
    ),
    Code(
        "bad-parameter",
        "A parameter value that its declaration does not allow",
        "The value or the default does not have the declared type, is not one of the choices, or is out of range. "
        "Defaults are checked even when another value is passed.",
        "Use an allowed value, or change the declaration.",
        'params:\n  trials: {type: integer, default: "20"}\nsteps:\n  a: {uses: debug.echo}\n',
        "params:\n  trials: {type: integer, default: 20}\nsteps:\n  a: {uses: debug.echo}\n",
    ),
    Code(
        "missing-parameter",
        "A parameter without a value",
        "A parameter without a default is required to run a spec. It is not required to validate one.",
        "Pass it with `-p NAME=VALUE`, or declare a default.",
        "params:\n  trials: {type: integer}\nsteps:\n  a: {uses: debug.echo}\n",
        "params:\n  trials: {type: integer, default: 20}\nsteps:\n  a: {uses: debug.echo}\n",
    ),
    Code(
        "bad-matrix",
        "A matrix that cannot be expanded",
        "Each name of a matrix has a list of values that is known before the run: from the spec, or from `params` or "
        "`env`. The limit is 1,000 combinations.",
        "Write a list, or refer to a parameter of type list.",
        'steps:\n  a: {uses: debug.echo}\n  b: {uses: debug.echo, matrix: {n: "${{ steps.a.value }}"}}\n',
        "params:\n  all: {type: list, default: [1, 2]}\n"
        'steps:\n  b: {uses: debug.echo, matrix: {n: "${{ params.all }}"}}\n',
    ),
    Code(
        "unused-exclude",
        "An exclude that matches nothing",
        "No combination of the matrix has these values, so the entry has no effect. A value may be mistyped. This is a "
        "warning.",
        "Correct the values, or remove the entry.",
        "steps:\n  a: {uses: debug.echo, matrix: {n: [1, 2], exclude: [{n: 3}]}}\n",
        "steps:\n  a: {uses: debug.echo, matrix: {n: [1, 2], exclude: [{n: 2}]}}\n",
    ),
    Code(
        "bad-include",
        "A spec that cannot be included",
        "`uses: ./part.yaml` includes a pipeline from the workspace, by its path relative to this file.",
        "Use the path of a .yaml file inside the workspace.",
        "steps:\n  a: {uses: ./part.txt}\n",
        "steps:\n  a: {uses: debug.echo}\n",
    ),
    Code(
        "no-such-include",
        "An included spec that does not exist",
        "There is no file at this path relative to the including file.",
        "Correct the path.",
        "steps:\n  a: {uses: ./nowhere.yaml}\n",
        "steps:\n  a: {uses: debug.echo}\n",
    ),
    Code(
        "duplicate-step",
        "An id under steps and under finally",
        "Steps refer to each other by id, so each id must be unique in the file.",
        "Rename one of the two.",
        "steps:\n  a: {uses: debug.echo}\nfinally:\n  a: {uses: debug.echo}\n",
        "steps:\n  a: {uses: debug.echo}\nfinally:\n  b: {uses: debug.echo}\n",
    ),
    Code(
        "too-many-steps",
        "More steps or included specs than a run can have",
        "The limits are 200,000 steps, whatever policy allows, and 1,000 included specs. Each matrix combination is "
        "counted, because a few lines could otherwise ask for any number.",
        "Include fewer specs, or make the matrix smaller.",
        example="matrix: {seed: […]} over an included spec of 1,000 steps, with 1,000 seeds",
    ),
    Code(
        "too-many-problems",
        "More problems than are listed",
        "At most 1,000 problems are listed, errors first. Many have one cause, and each takes time and memory.",
        "Fix the listed problems (`e2i fix` applies the safe fixes), then validate again.",
        example="a spec of 2,000 steps whose action is misspelt",
    ),
    Code(
        "include-cycle",
        "A pipeline that includes itself",
        "Included specs are inserted into the pipeline that includes them. In a cycle this would never end.",
        "Remove one of the includes.",
        example="a.yaml has a step with uses: ./b.yaml, and b.yaml one with uses: ./a.yaml",
    ),
)

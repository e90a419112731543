"""Codes of shape: the document reads, and is no pipeline."""

from __future__ import annotations

from e2i.check.codes.code import Code

CODES = (
    Code(
        "bad-name",
        "A name that is not one",
        "Steps, parameters and outputs are named in expressions: letters, digits and `_`, at most 64, no digit first.",
        "Use `_` in place of other characters.",
        "steps:\n  load-data: {uses: debug.echo}\n",
        "steps:\n  load_data: {uses: debug.echo}\n",
    ),
    Code(
        "bad-value",
        "A value that this key does not take",
        "It has the wrong type, is out of range, or is none of the values that the key knows.",
        "The message says what is taken; `e2i schema` has it all.",
        "steps:\n  a: {uses: debug.echo, on_error: ignore}\n",
        "steps:\n  a: {uses: debug.echo, on_error: continue}\n",
    ),
    Code(
        "missing-key",
        "A key that must be there",
        "A pipeline has `version`, `name` and `steps`; a step has `uses`; a parameter has `type`.",
        "Add the key.",
        "steps:\n  a: {with: {value: 1}}\n",
        "steps:\n  a: {uses: debug.echo, with: {value: 1}}\n",
    ),
    Code(
        "unknown-key",
        "A key that means nothing here",
        "It would otherwise be ignored, and what it was to do would not be done.",
        "Take the key that was meant; an action's parameters stand under `with:`.",
        "steps:\n  a: {uses: debug.echo, need: []}\n",
        "steps:\n  a: {uses: debug.echo, needs: []}\n",
    ),
    Code(
        "bad-parameter",
        "A parameter's value that its declaration does not allow",
        "The value given, or the default, is not of the declared type, not among the choices, or out of range. "
        "Defaults "
        "are checked even when another value is given.",
        "Give a value that fits, or change the declaration.",
        'params:\n  trials: {type: integer, default: "20"}\nsteps:\n  a: {uses: debug.echo}\n',
        "params:\n  trials: {type: integer, default: 20}\nsteps:\n  a: {uses: debug.echo}\n",
    ),
    Code(
        "missing-parameter",
        "A parameter without a value",
        "A parameter without a default is required: a run needs its value. To be valid, a spec does not.",
        "Give it by `-p NAME=VALUE`, or declare a default.",
        "params:\n  trials: {type: integer}\nsteps:\n  a: {uses: debug.echo}\n",
        "params:\n  trials: {type: integer, default: 20}\nsteps:\n  a: {uses: debug.echo}\n",
    ),
    Code(
        "bad-matrix",
        "A matrix that cannot be taken apart",
        "Every name of a matrix has a list of values, known before anything runs: in the spec, or in `params` "
        "or `env`. "
        "There may be 1,000 combinations.",
        "Write a list, or refer to a parameter of type list.",
        'steps:\n  a: {uses: debug.echo}\n  b: {uses: debug.echo, matrix: {n: "${{ steps.a.value }}"}}\n',
        "params:\n  all: {type: list, default: [1, 2]}\n"
        'steps:\n  b: {uses: debug.echo, matrix: {n: "${{ params.all }}"}}\n',
    ),
    Code(
        "unused-exclude",
        "An exclude that leaves out nothing",
        "No combination of the matrix has these values, so the entry does nothing: perhaps a value is mistyped. A "
        "warning.",
        "Mend the values, or remove the entry.",
        "steps:\n  a: {uses: debug.echo, matrix: {n: [1, 2], exclude: [{n: 3}]}}\n",
        "steps:\n  a: {uses: debug.echo, matrix: {n: [1, 2], exclude: [{n: 2}]}}\n",
    ),
    Code(
        "bad-part",
        "A part that cannot be included",
        "`uses: ./part.yaml` includes a pipeline of the workspace, by its path from this file.",
        "Name a .yaml file inside the workspace.",
        "steps:\n  a: {uses: ./part.txt}\n",
        "steps:\n  a: {uses: debug.echo}\n",
    ),
    Code(
        "no-such-part",
        "A part that is not there",
        "There is no file at this path from the file that names it.",
        "Take the file that was meant.",
        "steps:\n  a: {uses: ./nowhere.yaml}\n",
        "steps:\n  a: {uses: debug.echo}\n",
    ),
    Code(
        "duplicate-step",
        "An id under steps and under finally",
        "Steps refer to each other by id, so an id means one step of the whole file.",
        "Rename one of the two.",
        "steps:\n  a: {uses: debug.echo}\nfinally:\n  a: {uses: debug.echo}\n",
        "steps:\n  a: {uses: debug.echo}\nfinally:\n  b: {uses: debug.echo}\n",
    ),
    Code(
        "too-many-steps",
        "More steps or parts than a run can hold",
        "There may be 200,000 steps at most, whatever policy allows, and 1,000 parts in use, combinations counted "
        "each: a few "
        "lines could ask for any number.",
        "Include fewer parts, or make the matrix smaller.",
        example="matrix: {seed: […]} over a part of 1,000 steps, with 1,000 seeds",
    ),
    Code(
        "too-many-problems",
        "More problems than are listed",
        "At most 1,000 problems are listed, errors first: many have one cause, and each takes time and memory.",
        "Fix those that are listed, `e2i fix` does what is certain, and validate again.",
        example="a spec of 2,000 steps whose action is misspelt",
    ),
    Code(
        "part-cycle",
        "A pipeline that includes itself",
        "Parts are written into the pipeline that includes them; in a circle, there would be no end.",
        "Remove one of the includes.",
        example="a.yaml has a step with uses: ./b.yaml, and b.yaml one with uses: ./a.yaml",
    ),
)

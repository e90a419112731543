"""Codes of wiring: the pipeline is well-formed, but its steps do not match each other or the catalog."""

from __future__ import annotations

from e2i.check.codes.code import Code

CODES = (
    Code(
        "bad-expression",
        "An expression that cannot be read or evaluated",
        "The text between `${{` and `}}` is not an expression, uses a forbidden feature, or fails for the values known "
        "so far. Expressions are limited: no calls, loops or huge results.",
        "Fix the expression. Move a large computation to a step.",
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ 1 + }}"}}\n',
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ 1 + 1 }}"}}\n',
    ),
    Code(
        "unread-table",
        "A table that nothing reads",
        "The step only produces a table, and neither a step nor an output reads the table. The run would waste this "
        "time. This is a warning.",
        "Read the table in another step, name it under `outputs`, or remove the step.",
        "steps:\n  a: {uses: dataset.hcp, with: {rows: 100}}\n",
        'steps:\n  a: {uses: dataset.hcp, with: {rows: 100}}\noutputs:\n  rows: "${{ steps.a.history }}"\n',
    ),
    Code(
        "bad-condition",
        "A condition that is neither true nor false",
        "`when` decides whether a step runs. Text such as `no` would count as true.",
        "Write true or false, or compare: ${{ params.rows > 0 }}.",
        "steps:\n  a: {uses: debug.echo, when: no}\n",
        "steps:\n  a: {uses: debug.echo, when: false}\n",
    ),
    Code(
        "unknown-action",
        "An action that does not exist",
        "`uses` refers to an action in the catalog, as tool.action.",
        "Use an action listed by `e2i catalog`.",
        "steps:\n  a: {uses: debug.ecko}\n",
        "steps:\n  a: {uses: debug.echo}\n",
    ),
    Code(
        "unknown-action-parameter",
        "A parameter that the action does not have",
        "An unknown parameter would otherwise be ignored, and the action would not do what was meant.",
        "`e2i catalog ACTION` lists the action's parameters.",
        "steps:\n  a: {uses: debug.echo, with: {valeu: 1}}\n",
        "steps:\n  a: {uses: debug.echo, with: {value: 1}}\n",
    ),
    Code(
        "missing-action-parameter",
        "A missing parameter",
        "The action needs the parameter, and it has no default.",
        "Add it under `with:`; `e2i catalog ACTION` describes it.",
        "steps:\n  a: {uses: debug.sleep}\n",
        "steps:\n  a: {uses: debug.sleep, with: {seconds: 1}}\n",
    ),
    Code(
        "bad-action-parameter",
        "A value that the action's parameter does not accept",
        "The value has the wrong type, is out of range, or is not one of the allowed values.",
        "The message lists the accepted values. `e2i catalog ACTION` shows all of them.",
        "steps:\n  a: {uses: debug.sleep, with: {seconds: -1}}\n",
        "steps:\n  a: {uses: debug.sleep, with: {seconds: 1}}\n",
    ),
    Code(
        "wrong-type",
        "A reference to a value of another type",
        "Every output and every parameter has a type. The type of the output differs from the type of the parameter.",
        "Refer to the right output. `e2i catalog ACTION` shows the types.",
        "steps:\n  data: {uses: dataset.hcp}\n"
        '  a: {uses: debug.sleep, with: {seconds: "${{ steps.data.journeys }}"}}\n',
        'steps:\n  data: {uses: dataset.hcp}\n  a: {uses: debug.sleep, with: {seconds: "${{ steps.data.true_ate '
        '}}"}}\n',
    ),
    Code(
        "matrix-as-one",
        "A step with a matrix, used like a single step",
        "A step with a matrix runs once for each combination. For a step without that matrix it is a list. Each entry "
        "has the values of the combination under `matrix` and its results under `outputs`.",
        "Pass the list to an action that accepts one (model.select), read one combination, or use the same matrix in "
        "both steps.",
        'steps:\n  a: {uses: debug.echo, matrix: {n: [1, 2]}, with: {value: "${{ matrix.n }}"}}\n'
        '  b: {uses: debug.echo, with: {value: "${{ steps.a.value }}"}}\n',
        'steps:\n  a: {uses: debug.echo, matrix: {n: [1, 2]}, with: {value: "${{ matrix.n }}"}}\n'
        '  b: {uses: debug.echo, with: {value: "${{ steps.a[0].outputs.value }}"}}\n',
    ),
    Code(
        "one-as-list",
        "A step without a matrix, used like a list",
        "Only a step with a matrix is a list of its combinations.",
        "Refer to the output: steps.ID.NAME.",
        "steps:\n  a: {uses: debug.echo, with: {value: 1}}\n"
        '  b: {uses: debug.echo, with: {value: "${{ steps.a[0].outputs.value }}"}}\n',
        "steps:\n  a: {uses: debug.echo, with: {value: 1}}\n"
        '  b: {uses: debug.echo, with: {value: "${{ steps.a.value }}"}}\n',
    ),
    Code(
        "maybe-skipped",
        "A step that reads a step that may be skipped",
        "A step with a `when` may have no result. A step that reads it must define the value for that case. This is "
        "checked before the run.",
        "Write `| default(…)` or `is defined`, or use the same `when` for this step.",
        "params:\n  all: {type: boolean, default: false}\n"
        'steps:\n  a: {uses: debug.echo, when: "${{ params.all }}", with: {value: 1}}\n'
        '  b: {uses: debug.echo, with: {value: "${{ steps.a.value }}"}}\n',
        "params:\n  all: {type: boolean, default: false}\n"
        'steps:\n  a: {uses: debug.echo, when: "${{ params.all }}", with: {value: 1}}\n'
        '  b: {uses: debug.echo, with: {value: "${{ steps.a.value | default(0) }}"}}\n',
    ),
    Code(
        "maybe-null",
        "A step that needs a value that may be null",
        "With `missing: null`, `mlflow.load` returns null for a model that does not exist. A step that needs the model "
        "must not run then. This is checked before the run.",
        "Test the value in the step's `when`: ${{ steps.ID.model is not none }}.",
        "steps:\n  data: {uses: dataset.hcp}\n"
        "  old: {uses: mlflow.load, with: {name: m, stage: production, missing: null}}\n"
        "  judge:\n    uses: model.evaluate\n"
        '    with: {model: "${{ steps.old.model }}", table: "${{ steps.data.journeys }}"}\n',
        "steps:\n  data: {uses: dataset.hcp}\n"
        "  old: {uses: mlflow.load, with: {name: m, stage: production, missing: null}}\n"
        "  judge:\n    uses: model.evaluate\n"
        '    when: "${{ steps.old.model is not none }}"\n'
        '    with: {model: "${{ steps.old.model }}", table: "${{ steps.data.journeys }}"}\n',
    ),
    Code(
        "other-champion",
        "A champion of another model",
        "A promotion is decided by a champion that is loaded under another name than the version is registered under. "
        "With `missing: null` a mistyped name counts as no champion, and any model would be promoted.",
        "Use the name of the registered model, or compare with `if_better` of mlflow.promote, which knows the name.",
        "version: 1\nname: example\nsteps:\n  data: {uses: dataset.hcp}\n"
        "  train:\n    uses: model.train\n"
        '    with: {table: "${{ steps.data.journeys }}", target: target, features: [brand]}\n'
        '  new: {uses: mlflow.register, with: {model: "${{ steps.train.model }}", name: model}}\n'
        "  old: {uses: mlflow.load, with: {name: modle, stage: production, missing: null}}\n"
        "  promote:\n    uses: mlflow.promote\n"
        '    when: "${{ steps.old.model is none }}"\n'
        '    with: {version: "${{ steps.new.version }}", stage: production}\n',
        "version: 1\nname: example\nsteps:\n  data: {uses: dataset.hcp}\n"
        "  train:\n    uses: model.train\n"
        '    with: {table: "${{ steps.data.journeys }}", target: target, features: [brand]}\n'
        '  new: {uses: mlflow.register, with: {model: "${{ steps.train.model }}", name: model}}\n'
        "  old: {uses: mlflow.load, with: {name: model, stage: production, missing: null}}\n"
        "  promote:\n    uses: mlflow.promote\n"
        '    when: "${{ steps.old.model is none }}"\n'
        '    with: {version: "${{ steps.new.version }}", stage: production}\n',
    ),
    Code(
        "promotion-by-default",
        "A promotion that depends on a default value",
        "A `default(…)` replaces the result of a step that may fail, and the condition of a promotion uses it. A "
        "mistyped name or an outage then makes any model better than the champion.",
        "Compare with `if_better: {metric, table, by}` of mlflow.promote, which reads the champion itself.",
        "version: 1\nname: example\nsteps:\n  data: {uses: dataset.hcp}\n"
        "  train:\n    uses: model.train\n"
        '    with: {table: "${{ steps.data.journeys }}", target: target, features: [brand]}\n'
        '  new: {uses: mlflow.register, with: {model: "${{ steps.train.model }}", name: m}}\n'
        "  old: {uses: mlflow.load, on_error: continue, with: {name: m, stage: production}}\n"
        "  promote:\n    uses: mlflow.promote\n"
        '    when: "${{ steps.new.version.version > steps.old.version.version | default(0) }}"\n'
        '    with: {version: "${{ steps.new.version }}", stage: production}\n',
        "version: 1\nname: example\nsteps:\n  data: {uses: dataset.hcp}\n"
        "  train:\n    uses: model.train\n"
        '    with: {table: "${{ steps.data.journeys }}", target: target, features: [brand]}\n'
        '  new: {uses: mlflow.register, with: {model: "${{ steps.train.model }}", name: m}}\n'
        "  promote:\n    uses: mlflow.promote\n"
        "    with:\n"
        '      version: "${{ steps.new.version }}"\n      stage: production\n'
        '      if_better: {metric: roc_auc, table: "${{ steps.data.journeys }}"}\n',
    ),
    Code(
        "waits-for-finally",
        "A step that waits for a step under finally",
        "Steps under `finally` run when all others have ended, so no other step can wait for one.",
        "Move one of the two steps.",
        "steps:\n  a: {uses: debug.echo, needs: [end]}\nfinally:\n  end: {uses: debug.echo}\n",
        "steps:\n  a: {uses: debug.echo}\nfinally:\n  end: {uses: debug.echo}\n",
    ),
    Code(
        "cycle",
        "Steps that wait for each other",
        "A step waits for every step that it refers to or `needs`. In a cycle, none could ever start.",
        "Remove one of the references.",
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ steps.b.value }}"}}\n  b: {uses: debug.echo, needs: [a]}\n',
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ steps.b.value }}"}}\n  b: {uses: debug.echo}\n',
    ),
    Code(
        "unknown-step",
        "A step that does not exist",
        "`needs` and `steps.ID` refer to steps of the same spec.",
        "Correct the id.",
        "steps:\n  load: {uses: debug.echo}\n  b: {uses: debug.echo, needs: [laod]}\n",
        "steps:\n  load: {uses: debug.echo}\n  b: {uses: debug.echo, needs: [load]}\n",
    ),
    Code(
        "unknown-output",
        "An output that the step does not have",
        "The outputs are defined by the action, and the fields by the type of artifact.",
        "`e2i catalog ACTION` lists the outputs.",
        'steps:\n  a: {uses: debug.echo}\n  b: {uses: debug.echo, with: {value: "${{ steps.a.valeu }}"}}\n',
        'steps:\n  a: {uses: debug.echo}\n  b: {uses: debug.echo, with: {value: "${{ steps.a.value }}"}}\n',
    ),
    Code(
        "unknown-parameter",
        "A parameter that the spec does not declare",
        "`params.NAME` and `-p NAME=VALUE` refer to parameters declared under `params:`.",
        "Correct the name, or declare the parameter.",
        "params:\n  trials: {type: integer, default: 20}\n"
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ params.trails }}"}}\n',
        "params:\n  trials: {type: integer, default: 20}\n"
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ params.trials }}"}}\n',
    ),
    Code(
        "unknown-matrix-name",
        "A name that the step's matrix does not have",
        "`matrix.NAME` is a value of the current combination of the step's own matrix.",
        "Use a name in the matrix. A step without a matrix has no such names.",
        'steps:\n  a: {uses: debug.echo, matrix: {fold: [1, 2]}, with: {value: "${{ matrix.flod }}"}}\n',
        'steps:\n  a: {uses: debug.echo, matrix: {fold: [1, 2]}, with: {value: "${{ matrix.fold }}"}}\n',
    ),
    Code(
        "unknown-env",
        "A variable that specs may not read",
        "`env.NAME` reads only the environment variables that the operator lists under `env:` in config/.",
        "Ask the operator to list the name, or use a parameter.",
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ env.HOME }}"}}\n',
        "params:\n  home: {type: string, default: here}\n"
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ params.home }}"}}\n',
    ),
    Code(
        "unknown-secret",
        "A secret that does not exist",
        "`secrets.NAME` refers to a secret that the operator lists under `secrets:` in config/.",
        "Ask the operator to list the secret.",
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ secrets.token }}"}}\n',
        "steps:\n  a: {uses: debug.echo, with: {value: none needed}}\n",
    ),
    Code(
        "unknown-run-name",
        "An unknown field of the run",
        "Expressions may read only the fields of `run` listed in the hint.",
        "Use one of them.",
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ run.user }}"}}\n',
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ run.id }}"}}\n',
    ),
    Code(
        "written-twice",
        "A file that two steps write",
        "The last of them would win, and which one that is depends on the run. A later run would write both again.",
        "Write each result to a file of its own.",
        "steps:\n  a: {uses: data.write, with: {path: out/x.json, value: 1}}\n"
        "  b: {uses: data.write, with: {path: ./out/x.json, value: 2}}\n",
        "steps:\n  a: {uses: data.write, with: {path: out/x.json, value: 1}}\n"
        "  b: {uses: data.write, with: {path: out/y.json, value: 2}}\n",
    ),
)

"""Codes of wiring: the pipeline is one, and its parts do not fit each other or the catalog."""

from __future__ import annotations

from e2i.check.codes.code import Code

CODES = (
    Code(
        "bad-expression",
        "An expression that cannot be read or evaluated",
        "What stands between `${{` and `}}` is no expression, uses what expressions may not, or fails for the "
        "values that "
        "are known already. Expressions are evaluated in bounds: no calls, loops or huge results.",
        "Mend the expression; compute what is too much for one in a step.",
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ 1 + }}"}}\n',
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ 1 + 1 }}"}}\n',
    ),
    Code(
        "unread-table",
        "A table that nothing reads",
        "The step only makes a table, and neither a step nor an output reads the table. The run would spend the "
        "time for nothing. A warning.",
        "Read the table in another step, name it under `outputs`, or remove the step.",
        "steps:\n  a: {uses: dataset.hcp, with: {rows: 100}}\n",
        'steps:\n  a: {uses: dataset.hcp, with: {rows: 100}}\noutputs:\n  rows: "${{ steps.a.history }}"\n',
    ),
    Code(
        "bad-condition",
        "A condition that is neither true nor false",
        "`when` decides whether a step runs. A text such as `no` would count as true.",
        "Write true or false, or compare: ${{ params.rows > 0 }}.",
        "steps:\n  a: {uses: debug.echo, when: no}\n",
        "steps:\n  a: {uses: debug.echo, when: false}\n",
    ),
    Code(
        "unknown-action",
        "An action that does not exist",
        "`uses` names an action of the catalog, as tool.action.",
        "Take a name that `e2i catalog` lists.",
        "steps:\n  a: {uses: debug.ecko}\n",
        "steps:\n  a: {uses: debug.echo}\n",
    ),
    Code(
        "unknown-action-parameter",
        "A parameter that the action does not take",
        "It would otherwise be ignored, and the action would do something else than was meant.",
        "`e2i catalog ACTION` lists the action's parameters.",
        "steps:\n  a: {uses: debug.echo, with: {valeu: 1}}\n",
        "steps:\n  a: {uses: debug.echo, with: {value: 1}}\n",
    ),
    Code(
        "missing-action-parameter",
        "A parameter that the action needs",
        "The parameter has no default.",
        "Add it under `with:`; `e2i catalog ACTION` describes it.",
        "steps:\n  a: {uses: debug.sleep}\n",
        "steps:\n  a: {uses: debug.sleep, with: {seconds: 1}}\n",
    ),
    Code(
        "bad-action-parameter",
        "A value that the action's parameter does not take",
        "It has the wrong type, is out of range, or is none of the values that the parameter knows.",
        "The message says what is taken; `e2i catalog ACTION` has it all.",
        "steps:\n  a: {uses: debug.sleep, with: {seconds: -1}}\n",
        "steps:\n  a: {uses: debug.sleep, with: {seconds: 1}}\n",
    ),
    Code(
        "wrong-type",
        "A reference to something of another type",
        "Every output and every parameter has a type. What stands here gives one type, and the parameter takes "
        "another.",
        "Refer to the output that was meant; `e2i catalog ACTION` shows the types.",
        "steps:\n  data: {uses: dataset.hcp}\n"
        '  a: {uses: debug.sleep, with: {seconds: "${{ steps.data.journeys }}"}}\n',
        'steps:\n  data: {uses: dataset.hcp}\n  a: {uses: debug.sleep, with: {seconds: "${{ steps.data.true_ate '
        '}}"}}\n',
    ),
    Code(
        "matrix-as-one",
        "A step with a matrix, used as if it were one step",
        "A step with a matrix runs once for each combination. To a step without that matrix it is a list: each entry "
        "has the "
        "combination's values under `matrix` and its results under `outputs`.",
        "Hand the list to an action that takes one (model.select), read one combination, or give both steps the same "
        "matrix.",
        'steps:\n  a: {uses: debug.echo, matrix: {n: [1, 2]}, with: {value: "${{ matrix.n }}"}}\n'
        '  b: {uses: debug.echo, with: {value: "${{ steps.a.value }}"}}\n',
        'steps:\n  a: {uses: debug.echo, matrix: {n: [1, 2]}, with: {value: "${{ matrix.n }}"}}\n'
        '  b: {uses: debug.echo, with: {value: "${{ steps.a[0].outputs.value }}"}}\n',
    ),
    Code(
        "one-as-list",
        "A step without a matrix, used as if it were a list",
        "Only a step with a matrix is a list of its combinations.",
        "Name the output: steps.ID.NAME.",
        "steps:\n  a: {uses: debug.echo, with: {value: 1}}\n"
        '  b: {uses: debug.echo, with: {value: "${{ steps.a[0].outputs.value }}"}}\n',
        "steps:\n  a: {uses: debug.echo, with: {value: 1}}\n"
        '  b: {uses: debug.echo, with: {value: "${{ steps.a.value }}"}}\n',
    ),
    Code(
        "maybe-skipped",
        "A step that reads what a `when` may leave out",
        "A step with a `when` may give no result. Whoever reads it must say what then: that is seen before "
        "anything runs.",
        "Write `| default(…)` or `is defined`, or give this step the same `when`.",
        "params:\n  all: {type: boolean, default: false}\n"
        'steps:\n  a: {uses: debug.echo, when: "${{ params.all }}", with: {value: 1}}\n'
        '  b: {uses: debug.echo, with: {value: "${{ steps.a.value }}"}}\n',
        "params:\n  all: {type: boolean, default: false}\n"
        'steps:\n  a: {uses: debug.echo, when: "${{ params.all }}", with: {value: 1}}\n'
        '  b: {uses: debug.echo, with: {value: "${{ steps.a.value | default(0) }}"}}\n',
    ),
    Code(
        "maybe-null",
        "A step that cannot do without what may be null",
        "With `missing: null`, `mlflow.load` gives null for a model that does not exist. A step that needs it must not "
        "run then: that is seen before anything runs.",
        "Ask about it in the step's `when`: ${{ steps.ID.model is not none }}.",
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
        "Write the name of the registered model, or compare by `if_better` of mlflow.promote, which knows it.",
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
        "A promotion that a fallback decides",
        "A `default(…)` stands in for what a step that may fail did not give, and the condition of a promotion rests "
        "on it. A mistyped name or an outage then makes any model better than the champion.",
        "Compare by `if_better: {metric, table, by}` of mlflow.promote, which reads the champion itself.",
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
        "A step that waits for what comes after it",
        "Steps under `finally` run when all others have ended, so none of those can wait for one.",
        "Move one of the two.",
        "steps:\n  a: {uses: debug.echo, needs: [end]}\nfinally:\n  end: {uses: debug.echo}\n",
        "steps:\n  a: {uses: debug.echo}\nfinally:\n  end: {uses: debug.echo}\n",
    ),
    Code(
        "cycle",
        "Steps that wait for each other",
        "A step waits for every step that it refers to or `needs`. In a circle, none could ever start.",
        "Remove one of the references.",
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ steps.b.value }}"}}\n  b: {uses: debug.echo, needs: [a]}\n',
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ steps.b.value }}"}}\n  b: {uses: debug.echo}\n',
    ),
    Code(
        "unknown-step",
        "A step that does not exist",
        "`needs` and `steps.ID` name steps of the same spec.",
        "Take the id that was meant.",
        "steps:\n  load: {uses: debug.echo}\n  b: {uses: debug.echo, needs: [laod]}\n",
        "steps:\n  load: {uses: debug.echo}\n  b: {uses: debug.echo, needs: [load]}\n",
    ),
    Code(
        "unknown-output",
        "An output that the step does not have",
        "Each action has its outputs, and each artifact its fields.",
        "`e2i catalog ACTION` lists the outputs.",
        'steps:\n  a: {uses: debug.echo}\n  b: {uses: debug.echo, with: {value: "${{ steps.a.valeu }}"}}\n',
        'steps:\n  a: {uses: debug.echo}\n  b: {uses: debug.echo, with: {value: "${{ steps.a.value }}"}}\n',
    ),
    Code(
        "unknown-parameter",
        "A parameter that the spec does not declare",
        "`params.NAME` and `-p NAME=VALUE` name what stands under `params:`.",
        "Take the name that was meant, or declare it.",
        "params:\n  trials: {type: integer, default: 20}\n"
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ params.trails }}"}}\n',
        "params:\n  trials: {type: integer, default: 20}\n"
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ params.trials }}"}}\n',
    ),
    Code(
        "unknown-matrix-name",
        "A name that the step's matrix does not have",
        "`matrix.NAME` is the value of this combination of the step's own matrix.",
        "Take a name of the matrix; a step without one has none.",
        'steps:\n  a: {uses: debug.echo, matrix: {fold: [1, 2]}, with: {value: "${{ matrix.flod }}"}}\n',
        'steps:\n  a: {uses: debug.echo, matrix: {fold: [1, 2]}, with: {value: "${{ matrix.fold }}"}}\n',
    ),
    Code(
        "unknown-env",
        "A variable that specs may not read",
        "`env.NAME` reads what the operator lists under `env:` in config/, and nothing else of the environment.",
        "Ask for the name to be listed, or take a parameter.",
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ env.HOME }}"}}\n',
        "params:\n  home: {type: string, default: here}\n"
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ params.home }}"}}\n',
    ),
    Code(
        "unknown-secret",
        "A secret that does not exist",
        "`secrets.NAME` names what the operator lists under `secrets:` in config/.",
        "Ask for the secret to be listed.",
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ secrets.token }}"}}\n',
        "steps:\n  a: {uses: debug.echo, with: {value: none needed}}\n",
    ),
    Code(
        "unknown-run-name",
        "Something that a run does not say of itself",
        "Of the run, an expression may read the few names that the hint lists.",
        "Take one of them.",
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ run.user }}"}}\n',
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ run.id }}"}}\n',
    ),
)

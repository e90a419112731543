"""Inputs of every size: a number goes in; a workspace with a spec of that size comes out.

A builder writes what it needs into the folder and returns the command's arguments behind ``e2i``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

Builder = Callable[[Path, int], list[str]]
HEAD = "version: 1\nname: bomb\n"
VALIDATE = ["validate", "spec.yaml"]


def write(folder: Path, steps: str, head: str = HEAD, tail: str = "") -> list[str]:
    (folder / "spec.yaml").write_text(f"{head}steps:\n{steps}{tail}", "utf-8")
    return VALIDATE


def echo(value: str, name: str = "a") -> str:
    return f"  {name}: {{uses: debug.echo, with: {{value: {value}}}}}\n"


def wide(count: int) -> str:
    return ", ".join(f"c{index}" for index in range(count))


def matrix_values(folder: Path, n: int) -> list[str]:
    return write(
        folder,
        f"  a:\n    uses: debug.echo\n    with: {{value: 1}}\n    matrix: {{x: [{', '.join(map(str, range(n)))}]}}\n",
    )


def matrix_exclude(folder: Path, n: int) -> list[str]:
    entries = "".join(f"        - {{x: {index}, y: {index}}}\n" for index in range(n))
    axes = f"      x: [{', '.join(map(str, range(500)))}]\n      y: [a, b]\n"
    return write(
        folder, f"  a:\n    uses: debug.echo\n    with: {{value: 1}}\n    matrix:\n{axes}      exclude:\n{entries}"
    )


def matrix_include(folder: Path, n: int) -> list[str]:
    entries = "".join(f"        - {{x: {index % 500}, z{index % 7}: {index}}}\n" for index in range(n))
    axes = f"      x: [{', '.join(map(str, range(500)))}]\n      y: [a, b]\n"
    return write(
        folder, f"  a:\n    uses: debug.echo\n    with: {{value: 1}}\n    matrix:\n{axes}      include:\n{entries}"
    )


def matrix_big_values(folder: Path, n: int) -> list[str]:
    big = "[" + ", ".join(map(str, range(n))) + "]"
    entries = "".join(f"        - {{x: {index}}}\n" for index in range(50))
    axes = f"      x: [{', '.join(map(str, range(100)))}]\n      y: [{big}, 1, 2, 3]\n"
    return write(
        folder, f"  a:\n    uses: debug.echo\n    with: {{value: 1}}\n    matrix:\n{axes}      exclude:\n{entries}"
    )


def matrix_parameter(folder: Path, n: int) -> list[str]:
    rows = ", ".join(f"{{x: {index}}}" for index in range(n))
    head = HEAD + f"params:\n  p: {{type: list, default: [{rows}]}}\n"
    return write(
        folder,
        '  a:\n    uses: debug.echo\n    with: {value: 1}\n    matrix: {x: [1, 2], exclude: "${{ params.p }}"}\n',
        head,
    )


def matrix_names(folder: Path, n: int) -> list[str]:
    axes = "".join(f"      x{index}: [1]\n" for index in range(n))
    return write(folder, f"  a:\n    uses: debug.echo\n    with: {{value: 1}}\n    matrix:\n{axes}")


def matrix_steps(folder: Path, n: int) -> list[str]:
    one = "    uses: debug.echo\n    with: {value: 1}\n    matrix: {x: [" + ", ".join(map(str, range(1000))) + "]}\n"
    return write(folder, "".join(f"  a{index}:\n{one}" for index in range(n)))


def table(folder: Path, steps: str) -> list[str]:
    return write(folder, "  load: {uses: data.load, with: {path: t.csv}}\n" + steps)


def csv_header(folder: Path, n: int) -> list[str]:
    (folder / "t.csv").write_text(",".join(f"c{index}" for index in range(n)) + "\n" + ",".join("1" * n) + "\n")
    return table(folder, "")


def csv_duplicates(folder: Path, n: int) -> list[str]:
    (folder / "t.csv").write_text(",".join(f"c{index // 2}" for index in range(n)) + "\n")
    return table(folder, "")


def csv_columns(folder: Path, n: int) -> list[str]:
    csv_header(folder, n)
    return table(
        folder, f'  pick: {{uses: data.select, with: {{table: "${{{{ steps.load.table }}}}", columns: [{wide(n)}]}}}}\n'
    )


def csv_wrong_columns(folder: Path, n: int) -> list[str]:
    csv_header(folder, n)
    wrong = ", ".join(f"k{index}" for index in range(n))
    return table(
        folder, f'  pick: {{uses: data.select, with: {{table: "${{{{ steps.load.table }}}}", columns: [{wrong}]}}}}\n'
    )


def csv_wrong_types(folder: Path, n: int) -> list[str]:
    csv_header(folder, n)
    wrong = ", ".join(f"k{index}: string" for index in range(n))
    return write(folder, f"  load: {{uses: data.load, with: {{path: t.csv, types: {{{wrong}}}}}}}\n")


def csv_training(folder: Path, n: int) -> list[str]:
    csv_header(folder, n)
    return table(
        folder,
        f'  fit: {{uses: model.train, with: {{table: "${{{{ steps.load.table }}}}", target: c0, features: [{wide(n).removeprefix("c0, ")}]}}}}\n',
    )


def csv_expectations(folder: Path, n: int) -> list[str]:
    csv_header(folder, n)
    suite = ", ".join(f"{{type: expect_column_to_exist, column: k{index}}}" for index in range(n))
    return table(
        folder,
        f'  v: {{uses: great_expectations.validate, with: {{table: "${{{{ steps.load.table }}}}", suite: [{suite}]}}}}\n',
    )


def csv_filters(folder: Path, n: int) -> list[str]:
    csv_header(folder, n)
    where = ", ".join(f"{{column: k{index}, op: eq, value: 1}}" for index in range(n))
    return table(
        folder, f'  pick: {{uses: data.select, with: {{table: "${{{{ steps.load.table }}}}", where: [{where}]}}}}\n'
    )


def csv_steps(folder: Path, n: int) -> list[str]:
    csv_header(folder, 2_000)
    names = [f"s{index}" for index in range(n)]
    above = ["load", *names]
    return table(
        folder,
        "".join(
            f'  {name}: {{uses: data.select, with: {{table: "${{{{ steps.{parent}.table }}}}", exclude: [c{index + 1}]}}}}\n'
            for index, (name, parent) in enumerate(zip(names, above, strict=False))
        ),
    )


def csv_fan(folder: Path, n: int) -> list[str]:
    """``n`` steps that each make a typing error in a name of 2,000."""
    csv_header(folder, 2_000)
    return table(
        folder,
        "".join(
            f'  s{index}: {{uses: data.select, with: {{table: "${{{{ steps.load.table }}}}", columns: [cx{index}]}}}}\n'
            for index in range(n)
        ),
    )


def csv_loads(folder: Path, n: int) -> list[str]:
    """``n`` steps that each read the header of one file of a thousand columns."""
    csv_header(folder, 1_000)
    return write(
        folder,
        "".join(f"  l{index}: {{uses: data.load, with: {{path: t.csv, rows: {index + 1}}}}}\n" for index in range(n)),
    )


def csv_line(folder: Path, n: int) -> list[str]:
    (folder / "t.csv").write_text("x" * n + "\n1\n")
    return table(folder, "")


def gz_bomb(folder: Path, n: int) -> list[str]:
    import gzip

    with gzip.open(folder / "t.csv.gz", "wb") as file:
        for _ in range(n):
            file.write(b"a" * 2**20)
    return write(folder, "  load: {uses: data.load, with: {path: t.csv.gz}}\n")


def parquet_columns(folder: Path, n: int) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({f"c{index}": [1] for index in range(n)}), folder / "t.parquet")
    return write(folder, "  load: {uses: data.load, with: {path: t.parquet}}\n")


def parquet_schema(folder: Path, n: int) -> list[str]:
    """Many columns, in few bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(f"c{index}", pa.int8()) for index in range(n)])
    pq.ParquetWriter(folder / "t.parquet", schema, store_schema=False).close()
    return write(folder, "  load: {uses: data.load, with: {path: t.parquet}}\n")


def parquet_metadata(folder: Path, n: int) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"x": [1]}).replace_schema_metadata({"k": "v" * n}), folder / "t.parquet")
    return write(folder, "  load: {uses: data.load, with: {path: t.parquet}}\n")


def suite_bytes(folder: Path, n: int) -> list[str]:
    (folder / "config/expectations").mkdir(parents=True)
    text = "".join(
        f"- {{type: expect_column_values_to_be_in_set, column: c1, value_set: [{index}, {'x' * 60}]}}\n"
        for index in range(max(1, n // 140))
    )
    (folder / "config/expectations/s.yaml").write_text(f"name: s\nexpectations:\n{text}")
    csv_header(folder, 3)
    return table(
        folder, '  v: {uses: great_expectations.validate, with: {table: "${{ steps.load.table }}", suite: s}}\n'
    )


def suite_set(folder: Path, n: int) -> list[str]:
    csv_header(folder, 3)
    values = ", ".join(map(str, range(n)))
    return table(
        folder,
        '  v: {uses: great_expectations.validate, with: {table: "${{ steps.load.table }}", suite: '
        f"[{{type: expect_column_values_to_be_in_set, column: c1, value_set: [{values}]}}]}}}}\n",
    )


def params(folder: Path, n: int) -> list[str]:
    return write(
        folder,
        echo("1"),
        HEAD + "params:\n" + "".join(f"  p{index}: {{type: integer, default: 1}}\n" for index in range(n)),
    )


def params_used(folder: Path, n: int) -> list[str]:
    used = "".join(echo(f'"${{{{ params.p{index} }}}}"', f"a{index}") for index in range(n))
    return write(
        folder, used, HEAD + "params:\n" + "".join(f"  p{index}: {{type: integer, default: 1}}\n" for index in range(n))
    )


def params_wrong(folder: Path, n: int) -> list[str]:
    return write(
        folder,
        "".join(echo(f'"${{{{ params.q{index} }}}}"', f"a{index}") for index in range(n)),
        HEAD + "params:\n" + "".join(f"  p{index}: {{type: integer, default: 1}}\n" for index in range(1_000)),
    )


def choices(folder: Path, n: int) -> list[str]:
    values = ", ".join(f"v{index}" for index in range(n))
    return write(folder, echo("1"), HEAD + f"params:\n  p: {{type: string, choices: [{values}], default: w1}}\n")


def literal_list(folder: Path, n: int) -> list[str]:
    return write(folder, echo("[" + ", ".join(map(str, range(n))) + "]"))


def literal_mapping(folder: Path, n: int) -> list[str]:
    return write(folder, echo("{" + ", ".join(f"k{index}: {index}" for index in range(n)) + "}"))


def literal_text(folder: Path, n: int) -> list[str]:
    return write(folder, echo("x" * n))


def depth(folder: Path, n: int) -> list[str]:
    return write(folder, echo("[" * n + "1" + "]" * n))


def steps(folder: Path, n: int) -> list[str]:
    return write(folder, "".join(echo("1", f"a{index}") for index in range(n)))


def chain(folder: Path, n: int) -> list[str]:
    return write(
        folder,
        echo("1", "a0") + "".join(echo(f'"${{{{ steps.a{index - 1}.value }}}}"', f"a{index}") for index in range(1, n)),
    )


def fan_in(folder: Path, n: int) -> list[str]:
    return write(
        folder,
        "".join(echo("1", f"a{index}") for index in range(n))
        + "  z: {uses: debug.echo, with: {value: 1}, needs: ["
        + ", ".join(f"a{index}" for index in range(n))
        + "]}\n",
    )


def dense(folder: Path, n: int) -> list[str]:
    """``n`` steps, each of which needs all above it."""
    return write(
        folder,
        "".join(
            f"  a{index}: {{uses: debug.echo, with: {{value: 1}}, needs: [{', '.join(f'a{other}' for other in range(index))}]}}\n"
            for index in range(n)
        ),
    )


def needs_unknown(folder: Path, n: int) -> list[str]:
    return write(
        folder,
        echo("1")
        + "".join(f"  b{index}: {{uses: debug.echo, with: {{value: 1}}, needs: [c{index}]}}\n" for index in range(n)),
    )


def unknown_actions(folder: Path, n: int) -> list[str]:
    return write(folder, "".join(f"  b{index}: {{uses: model.trian{index}}}\n" for index in range(n)))


def unknown_keys(folder: Path, n: int) -> list[str]:
    return write(
        folder, "".join(f"  b{index}: {{uses: debug.echo, with: {{value: 1}}, nedes: [a]}}\n" for index in range(n))
    )


def unknown_parameters(folder: Path, n: int) -> list[str]:
    return write(
        folder,
        "  b:\n    uses: debug.echo\n    with:\n      value: 1\n"
        + "".join(f"      v{index}: 1\n" for index in range(n)),
    )


def bad_values(folder: Path, n: int) -> list[str]:
    return write(folder, "".join(f"  b{index}: {{uses: debug.sleep, with: {{seconds: x}}}}\n" for index in range(n)))


def outputs(folder: Path, n: int) -> list[str]:
    return write(
        folder,
        echo("1"),
        tail="outputs:\n" + "".join(f'  o{index}: "${{{{ steps.a.value }}}}"\n' for index in range(n)),
    )


def outputs_unknown(folder: Path, n: int) -> list[str]:
    return write(
        folder,
        echo("1"),
        tail="outputs:\n" + "".join(f'  o{index}: "${{{{ steps.a.valeu{index} }}}}"\n' for index in range(n)),
    )


def tags(folder: Path, n: int) -> list[str]:
    return write(
        folder,
        "  a: {uses: debug.echo, with: {value: 1}, tags: [" + ", ".join(f"t{index}" for index in range(n)) + "]}\n",
    )


def expressions(folder: Path, n: int) -> list[str]:
    return write(
        folder,
        "".join(
            f'  a{index}: {{uses: debug.echo, with: {{value: "${{{{ {" + ".join("1" * 240)} }}}}"}}}}\n'
            for index in range(n)
        ),
    )


def expression_length(folder: Path, n: int) -> list[str]:
    return write(folder, echo('"${{ ' + "x" * n + ' }}"'))


def expression_text(folder: Path, n: int) -> list[str]:
    return write(folder, echo('"' + "${{ 1 }}" * n + '"'))


def expression_unclosed(folder: Path, n: int) -> list[str]:
    return write(folder, echo('"' + "${{ " * n + '"'))


def parts(folder: Path, n: int) -> list[str]:
    for index in range(n):
        (folder / f"p{index}.yaml").write_text(HEAD + "steps:\n" + echo("1"))
    return write(folder, "".join(f"  a{index}: {{uses: ./p{index}.yaml}}\n" for index in range(n)))


def parts_same(folder: Path, n: int) -> list[str]:
    (folder / "p.yaml").write_text(HEAD + "steps:\n" + echo("1"))
    return write(folder, "".join(f"  a{index}: {{uses: ./p.yaml}}\n" for index in range(n)))


def parts_tree(folder: Path, n: int) -> list[str]:
    """Parts that each include the next one ten times, ``n`` levels deep."""
    for index in range(n):
        below = (
            echo("1")
            if index == n - 1
            else "".join(f"  b{other}: {{uses: ./p{index + 1}.yaml}}\n" for other in range(10))
        )
        (folder / f"p{index}.yaml").write_text(HEAD + "steps:\n" + below)
    return write(folder, "  a: {uses: ./p0.yaml}\n")


def parts_chain(folder: Path, n: int) -> list[str]:
    for index in range(n):
        below = echo("1") if index == n - 1 else f"  b: {{uses: ./p{index + 1}.yaml}}\n"
        (folder / f"p{index}.yaml").write_text(HEAD + "steps:\n" + below)
    return write(folder, "  a: {uses: ./p0.yaml}\n")


def parts_big(folder: Path, n: int) -> list[str]:
    for index in range(n):
        (folder / f"p{index}.yaml").write_text(
            HEAD + "steps:\n" + "".join(echo("1", f"a{other}") for other in range(1_000))
        )
    return write(folder, "".join(f"  a{index}: {{uses: ./p{index}.yaml}}\n" for index in range(n)))


def parts_bytes(folder: Path, n: int) -> list[str]:
    (folder / "p.yaml").write_text(HEAD + "description: " + "x" * n + "\nsteps:\n" + echo("1"))
    return write(folder, "  a: {uses: ./p.yaml}\n")


def space(folder: Path, n: int) -> list[str]:
    csv_header(folder, 3)
    entries = ", ".join(f"h{index}: {{type: int, low: 1, high: 5}}" for index in range(n))
    rows = '"${{ steps.load.table }}"'
    return table(
        folder,
        f"  t: {{uses: optuna.tune, with: {{train: {rows}, validation: {rows}, target: c0, trials: 3, space: {{{entries}}}}}}}\n",
    )


def hyperparameters(folder: Path, n: int) -> list[str]:
    csv_header(folder, 3)
    entries = ", ".join(f"h{index}: 1" for index in range(n))
    return table(
        folder,
        f'  t: {{uses: model.train, with: {{table: "${{{{ steps.load.table }}}}", target: c0, params: {{{entries}}}}}}}\n',
    )


def feast_views(folder: Path, n: int) -> list[str]:
    (folder / "t.csv").write_text("k,at,x\na,2024-01-01T00:00:00Z,1.5\n")
    views = ", ".join(
        f'v{index}: {{table: "${{{{ steps.load.table }}}}", entity: e, timestamp: at, ttl: 365d}}' for index in range(n)
    )
    entities = "e: {join_key: k, type: string}"
    return write(
        folder,
        "  load: {uses: data.load, with: {path: t.csv, parse_dates: [at]}}\n"
        f"  f: {{uses: feast.apply, with: {{project: p, entities: {{{entities}}}, views: {{{views}}}}}}}\n",
    )


def feast_entities(folder: Path, n: int) -> list[str]:
    feast_views(folder, 1)
    text = (folder / "spec.yaml").read_text()
    more = ", ".join(f"e{index}: {{join_key: k{index}, type: string}}" for index in range(n))
    (folder / "spec.yaml").write_text(text.replace("entities: {", f"entities: {{{more}, "))
    return VALIDATE


def matrix_labels(folder: Path, n: int) -> list[str]:
    values = ", ".join(f"{index:04}" + "x" * n for index in range(1_000))
    return write(folder, f"  a:\n    uses: debug.echo\n    with: {{value: 1}}\n    matrix: {{x: [{values}]}}\n")


def matrix_label(folder: Path, n: int) -> list[str]:
    """Labels of ``n`` parts."""
    axes = "".join(f"      x{index}: [1]\n" for index in range(n))
    return write(folder, f"  a:\n    uses: debug.echo\n    with: {{value: 1}}\n    matrix:\n      x: [1, 2]\n{axes}")


def aliases(folder: Path, n: int) -> list[str]:
    return write(folder, echo("[&x 1, " + ", ".join("*x" for _ in range(n)) + "]"))


def comments(folder: Path, n: int) -> list[str]:
    return write(folder, echo("1") + "# c\n" * n)


def spec_bytes(folder: Path, n: int) -> list[str]:
    count = n // 60
    return write(
        folder, "".join(f"  a{index}: {{uses: debug.echo, with: {{value: {'x' * 20}}}}}\n" for index in range(count))
    )


def long_line_problem(folder: Path, n: int) -> list[str]:
    return write(folder, "  a: {uses: debug.echo, with: {value: [" + "1, " * n + "1]}, nedes: [b]}\n")


def long_key(folder: Path, n: int) -> list[str]:
    return write(folder, "  " + "a" * n + ": {uses: debug.echo, with: {value: 1}}\n")


def selects(folder: Path, n: int) -> list[str]:
    steps(folder, n)
    return ["plan", "spec.yaml", *(part for index in range(min(n, 1_000)) for part in ("--select", f"a{index}"))]


def select_long(folder: Path, n: int) -> list[str]:
    steps(folder, 1_000)
    return ["plan", "spec.yaml", "--select", ",".join(f"a{index % 1_000}" for index in range(n))]


def select_chain(folder: Path, n: int) -> list[str]:
    chain(folder, n)
    return ["plan", "spec.yaml", *(part for index in range(1_000) for part in ("--select", f"a{index}+"))]


def select_unknown(folder: Path, n: int) -> list[str]:
    steps(folder, n)
    return ["plan", "spec.yaml", *(part for index in range(min(n, 1_000)) for part in ("--select", f"b{index}"))]


def option_value(folder: Path, n: int) -> list[str]:
    write(folder, echo('"${{ params.p }}"'), HEAD + "params:\n  p: {type: any}\n")
    return ["plan", "spec.yaml", "-p", "p=[" + "1," * (n // 2) + "1]"]


def option_nested(folder: Path, n: int) -> list[str]:
    write(folder, echo('"${{ params.p }}"'), HEAD + "params:\n  p: {type: any}\n")
    return ["plan", "spec.yaml", "-p", "p=" + "[" * n + "]" * n]


def options(folder: Path, n: int) -> list[str]:
    params(folder, n)
    return ["plan", "spec.yaml", *(part for index in range(n) for part in ("-p", f"p{index}=2"))]


def options_unknown(folder: Path, n: int) -> list[str]:
    params(folder, 1_000)
    return ["plan", "spec.yaml", *(part for index in range(n) for part in ("-p", f"q{index}=2"))]


def _planned(form: str, *, linked: bool = False) -> Builder:
    def build(folder: Path, n: int) -> list[str]:
        (chain if linked else steps)(folder, n)
        return ["plan", "spec.yaml", "--format", form]

    return build


def plan_page(folder: Path, n: int) -> list[str]:
    steps(folder, n)
    return ["plan", "spec.yaml", "-o", "p.html"]


def plan_page_chain(folder: Path, n: int) -> list[str]:
    chain(folder, n)
    return ["plan", "spec.yaml", "-o", "p.html"]


def plan_dense(folder: Path, n: int) -> list[str]:
    dense(folder, n)
    return ["plan", "spec.yaml", "-o", "p.html"]


def diff(folder: Path, n: int) -> list[str]:
    steps(folder, n)
    (folder / "spec.yaml").rename(folder / "old.yaml")
    write(folder, "".join(echo("2", f"a{index}") for index in range(n)))
    return ["diff", "old.yaml", "spec.yaml"]


def diff_renamed(folder: Path, n: int) -> list[str]:
    steps(folder, n)
    (folder / "spec.yaml").rename(folder / "old.yaml")
    write(folder, "".join(echo("1", f"b{index}") for index in range(n)))
    return ["diff", "old.yaml", "spec.yaml"]


def fix(folder: Path, n: int) -> list[str]:
    write(folder, "".join(f"  b{index}: {{uses: debug.ecoh, with: {{value: 1}}}}\n" for index in range(n)))
    return ["fix", "spec.yaml"]


def sarif(folder: Path, n: int) -> list[str]:
    fix(folder, n)
    return [*VALIDATE, "--format", "sarif"]


def sarif_clashing(folder: Path, n: int) -> list[str]:
    """Fixes that cannot be made at once: each takes a key out of the same mapping."""
    entries = "".join(f"    valeu{index}: 1\n" for index in range(n))
    write(folder, f"  b:\n    uses: debug.echo\n    wiht: {{value: 1}}\n{entries}")
    return [*VALIDATE, "--format", "sarif"]


def fix_texts(folder: Path, n: int) -> list[str]:
    """Mistakes of which each hides the next one."""
    write(folder, "".join(f"  b{index}:\n    uses:debug.echo\n    with: {{value: 1}}\n" for index in range(n)))
    return ["fix", "spec.yaml"]


def fix_keys(folder: Path, n: int) -> list[str]:
    unknown_keys(folder, n)
    return ["fix", "spec.yaml"]


def plan_file(folder: Path, n: int) -> list[str]:
    write(folder, echo("1"))
    (folder / "p.json").write_text(
        '{"schema_version": 1, "digest": "x", "steps": ['
        + ",".join(json.dumps({"id": f"a{i}", "uses": "debug.echo"}) for i in range(n))
        + "]}"
    )
    return ["run", "spec.yaml", "--plan", "p.json", "--dry-run"]

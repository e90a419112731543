"""`e2i lsp` with a real client: problems, completions, descriptions, definitions and fixes while a spec is written."""

from __future__ import annotations

from lsprotocol import types as lsp

from editor import Editor, applied

HEAD = "version: 1\nname: typed\nparams:\n  rows: {type: integer, default: 2000, min: 1000, description: Journeys}\n"
STEPS = """steps:
  data:
    uses: dataset.hcp
    with: {rows: "${{ params.rows }}"}
  split:
    uses: data.split
    with: {table: "${{ steps.data.journeys }}", strategy: entity, by: hcp_id}
  train:
    uses: model.train
    with:
      table: ${{ steps.split.train }}
      target: target
      features: [brand, specialty]
"""
SPEC = HEAD + STEPS
INCLUDED = """version: 1
name: prepare
description: Prepares the journeys.
params:
  rows: {type: integer, description: Rows to make}
steps:
  data: {uses: dataset.hcp, with: {rows: "${{ params.rows }}"}}
outputs:
  table: ${{ steps.data.journeys }}
"""


def changed(old: str, new: str, text: str = SPEC) -> str:
    assert old in text, old
    return text.replace(old, new, 1)


def test_problems_appear_while_typing_with_code_explanation_and_safe_fix(editor: Editor) -> None:
    text = changed("uses: model.train", "uses: model.trian")
    (found,) = editor.problems("specs/a.yaml", text)
    assert (found.code, found.source, found.range.start.line) == ("unknown-action", "e2i", 12)
    assert (found.range.start.character, found.range.end.character) == (10, 21)
    assert 'did you mean "model.train"?' in found.message
    fix, explain = editor.actions("specs/a.yaml", found.range)
    assert isinstance(fix, lsp.CodeAction) and isinstance(explain, lsp.Command)
    assert fix.is_preferred and fix.edit and fix.edit.changes
    assert applied(text, list(fix.edit.changes[editor.uri("specs/a.yaml")])) == SPEC
    assert "An action that does not exist" in editor.run(explain.command, *(explain.arguments or ()))
    assert "`e2i explain unknown-action`" in editor.hover("specs/a.yaml", changed("model.train", "model.tr¦ian"))
    assert editor.problems("specs/a.yaml", SPEC) == []
    braces = editor.problems("specs/a.yaml", text := changed("table: ${{ steps.split", "table: {{ steps.split"))
    fixed = editor.actions("specs/a.yaml", braces[0].range)[0]
    assert isinstance(fixed, lsp.CodeAction) and fixed.edit and fixed.edit.changes, "the text cannot be read"
    after = applied(text, list(fixed.edit.changes[editor.uri("specs/a.yaml")]))
    assert 'table: "${{ steps.split.train }}"' in after and editor.problems("specs/a.yaml", after) == []
    column = editor.problems("specs/a.yaml", changed("target: target", "target: taget"))
    assert [one.code for one in column] == ["unknown-column"]
    assert not (editor.root / "specs").exists() and not editor.store.exists(), "nothing was run or written"


def test_an_included_spec_counts_as_it_is_in_the_editor(editor: Editor) -> None:
    editor.write("specs/prepare.yaml", INCLUDED)
    outer = "version: 1\nname: outer\nsteps:\n  p:\n    uses: ./prepare.yaml\n    with: {rows: 2000}\n"
    outer += '  s:\n    uses: data.select\n    with: {table: "${{ steps.p.table }}", columns: [brand]}\n'
    outer += 'outputs: {brands: "${{ steps.s.table }}"}\n'
    assert editor.problems("specs/outer.yaml", outer) == []
    assert editor.labels("specs/outer.yaml", changed("{rows: 2000}", "{¦}", outer)) == ["rows"]
    assert "Prepares the journeys." in editor.hover("specs/outer.yaml", changed("./prepare", "./pre¦pare", outer))
    assert editor.definition("specs/outer.yaml", changed("./prepare", "./pre¦pare", outer)) == ("specs/prepare.yaml", 1)
    assert editor.definition("specs/outer.yaml", changed("{rows", "{ro¦ws", outer)) == ("specs/prepare.yaml", 5)
    assert editor.definition("specs/outer.yaml", changed("p.table", "p.ta¦ble", outer)) == ("specs/prepare.yaml", 9)
    assert "./prepare.yaml" in editor.labels("specs/outer.yaml", changed("./prepare.yaml", "./¦", outer))
    editor.known(
        "specs/prepare.yaml",
        changed("  table: ${{ steps.data.journeys }}", "  tabel: ${{ steps.data.journeys }}", INCLUDED),
    )
    codes = [one.code for one in editor.problems("specs/outer.yaml", outer + "# typed\n")]
    assert codes == ["unknown-output"], "the unsaved text of the included spec"
    wrong = changed("dataset.hcp", "dataset.hpc", INCLUDED)
    editor.known("specs/prepare.yaml", wrong)
    shown = editor.problems("specs/outer.yaml", outer + "# again\n", of="specs/prepare.yaml")
    assert [one.code for one in shown] == ["unknown-action"], "shown once, where it is"


def test_completions_are_what_the_checker_accepts(editor: Editor) -> None:
    name = "specs/b.yaml"
    editor.known(name, SPEC)

    def labels(old: str, new: str) -> list[str]:
        return editor.labels(name, changed(old, new))

    assert labels("uses: model.train", "uses: model.tr¦")[:1] == ["model.train"]
    assert labels("${{ steps.split.train }}", "${{ ¦")[:2] == ["steps", "params"]
    assert labels("${{ steps.split.train }}", "${{ steps.¦")[:2] == ["data", "split"], "not itself"
    assert set(labels("steps.split.train }}", "steps.split.¦")) == {"train", "validation", "test", "parts"}
    assert labels("${{ params.rows }}", "${{ params.¦") == ["rows"]
    assert "mean" not in (filters := labels("${{ params.rows }}", "${{ params.rows | ¦")) and "round" in filters
    assert labels("table: ${{ steps.split.train }}", "table: ¦")[0] == "${{ steps.split.train }}"
    assert "specialty" in (columns := labels("target: target", "target: ¦")) and "hcp_id" in columns
    assert labels("[brand, specialty]", "[brand, spec¦") == ["specialty"]
    assert "region" in labels("features: [brand, specialty]", "features:\n        - brand\n        - ¦")
    assert "early_stopping" in labels("      target: target\n", "      target: target\n      ¦\n")
    assert "target" not in labels("      target: target\n", "      target: target\n      ¦\n"), "it is there already"
    assert "max_depth" in labels("      target: target\n", "      target: target\n      params: {¦}\n")
    assert "LightGBM" in labels("      target: target\n", "      target: target\n      algorithm: ¦\n")
    assert labels("strategy: entity", "strategy: ¦") == ["entity", "time", "random"]
    assert (
        "when" in (keys := labels("    uses: model.train\n", "    uses: model.train\n    ¦\n")) and "uses" not in keys
    )
    assert labels("type: integer", "type: ¦")[:2] == ["string", "integer"]
    assert {"outputs", "finally"} <= set(labels("steps:\n", "¦\nsteps:\n"))
    assert labels("    uses: model.train\n", "    uses: model.train\n    needs: [¦]\n") == ["data", "split"]
    steps = {item.label: item for item in editor.completions(name, changed("  train:\n", "  ¦\n  train:\n"))}
    edit = steps["model.evaluate"].text_edit
    assert edit and edit.new_text.splitlines()[:2] == ["evaluate:", "    uses: model.evaluate"]
    assert "      model: ${{ steps.train.model }}" in edit.new_text


def test_completions_continue_while_the_text_cannot_be_read(editor: Editor) -> None:
    name = "specs/c.yaml"
    broken = changed("  split:\n", "  broken: [a, {b\n  split:\n")
    editor.known(name, SPEC)
    for text in (broken, changed("name: typed", "name: [typed", broken)):
        assert "validation" in editor.labels(name, changed("steps.split.train }}", "steps.split.¦", text))
        assert "region" in editor.labels(name, changed("[brand, specialty]", "[brand, ¦", text))
        assert "predict_after" in editor.labels(name, changed("      target: target\n", "      ¦\n", text))
    assert "journeys" in editor.labels(
        name, changed('{table: "${{ steps.data.journeys }}"', "{table: ${{ steps.data.¦")
    )
    new = SPEC + "  test:\n    uses: model.evaluate\n    with: {model: ${{ steps.train.¦\n"
    assert editor.labels(name, new)[0] == "model", "in a step that was never checked"
    after = (
        SPEC + "  fresh:\n    uses: data.select\n    with:\n      table: ${{ steps.split.test }}\n      columns: [¦\n"
    )
    assert "region" in editor.labels(name, after)
    editor.type("specs/d.yaml", changed("features: [brand, specialty]\n", "features: [brand, specialty\n  evaluate:\n"))
    assert labels_of_a_step(editor, "specs/d.yaml"), "opened in this state"


def labels_of_a_step(editor: Editor, name: str) -> list[str]:
    return editor.labels(name, changed("steps.split.train }}", "steps.split.¦", SPEC + "  evaluate: [\n"))


def test_descriptions_and_definitions(editor: Editor) -> None:
    name = "specs/e.yaml"
    editor.known(name, SPEC)

    def hover(old: str, new: str) -> str:
        return editor.hover(name, changed(old, new))

    def definition(old: str, new: str) -> tuple[str, int] | None:
        return editor.definition(name, changed(old, new))

    assert "Trains one model" in hover("model.train", "model.tr¦ain") and "features" in hover(
        "model.train", "mod¦el.train"
    )
    assert "The column to predict." in hover("target: target", "tar¦get: target")
    assert "column of `table`" in hover("[brand", "[bra¦nd")
    assert "14 columns" in (shown := hover("split.train }}", "split.tr¦ain }}")) and "`brand`: string" in shown
    assert "`params.rows`: integer = 2000" in hover("params.rows", "params.ro¦ws")
    assert "step `split`: `data.split`" in hover("  split:", "  spl¦it:")
    assert "predicts `target`" in hover("  train:\n", "  tra¦in:\n")
    assert "Parameters of the action" in hover("    with: {table", "    wi¦th: {table")
    assert definition("steps.split.train", "steps.spl¦it.train") == (name, 9)
    assert definition("params.rows", "params.ro¦ws") == (name, 4)
    assert definition("model.train", "model.tr¦ain") is None


def test_other_files_are_left_alone_and_wrong_settings_are_reported(editor: Editor) -> None:
    compose = "services:\n  web: {image: nginx}\n"
    editor.type("docker-compose.yaml", compose)
    assert editor.labels("docker-compose.yaml", compose.replace("image", "¦image")) == []
    assert editor.hover("docker-compose.yaml", compose.replace("image", "im¦age")) == ""
    editor.write("config/default.yaml", "sinks: [nosuch]\n")
    try:
        opened, typed = (editor.problems("specs/f.yaml", SPEC + rest) for rest in ("", "#\n"))
    finally:
        editor.write("config/default.yaml", "sinks: []\n")
    assert all(len(each) == 1 and "nosuch" in each[0].message for each in (opened, typed)), (opened, typed)
    assert editor.problems("specs/f.yaml", SPEC) == []

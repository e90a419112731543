"""Codes of reading: the text is not a readable document."""

from __future__ import annotations

from e2i.check.codes.code import Code

CODES = (
    Code(
        "alias",
        "An invalid alias",
        "`*name` repeats the value marked with `&name` earlier in the file. The anchor must exist and must not contain "
        "the alias. All aliases expanded must stay within limits, because a few lines can otherwise expand to "
        "gigabytes.",
        "Add `&name` to the value before the alias. Quote text that starts with `*`.",
        "steps:\n  a: {uses: debug.echo, with: {value: *text}}\n",
        "steps:\n  a: {uses: debug.echo, with: {value: &text hello}}\n  b: {uses: debug.echo, with: {value: *text}}\n",
    ),
    Code(
        "bad-character",
        "A character that is not allowed in text",
        "Control characters, byte order marks inside the text and characters that reorder text on a screen can make a "
        "spec look different from what it is.",
        "Remove the character named in the message.",
        'description: "one\\u202etwo"\nsteps:\n  a: {uses: debug.echo}\n',
        'description: "one two"\nsteps:\n  a: {uses: debug.echo}\n',
    ),
    Code(
        "duplicate-key",
        "A key that occurs twice in one mapping",
        "YAML parsers disagree about which of the two counts, so neither is used.",
        "Remove or rename one of them. `e2i fix` removes an exact repetition.",
        "steps:\n  a: {uses: debug.echo}\n  a: {uses: debug.sleep, with: {seconds: 1}}\n",
        "steps:\n  a: {uses: debug.echo}\n  b: {uses: debug.sleep, with: {seconds: 1}}\n",
    ),
    Code(
        "empty",
        "An empty file",
        "The text contains no document: it is empty, or has only comments.",
        "Start with `version: 1`. `e2i schema` shows the format.",
        "# to be written\n",
        "version: 1\nname: example\nsteps:\n  a: {uses: debug.echo}\n",
    ),
    Code(
        "key-type",
        "A key that is not text",
        "Keys are names. `1:`, `true:` and `null:` are a number, a boolean and null. `{{ … }}` is a mapping used as a "
        "key.",
        'Quote the key, or write an expression as "${{ … }}".',
        "steps:\n  a: {uses: debug.echo, with: {value: {1: one}}}\n",
        'steps:\n  a: {uses: debug.echo, with: {value: {"1": one}}}\n',
    ),
    Code(
        "merge-key",
        "A merge key",
        "`<<` is not part of YAML 1.2, and merges can hide the actual parameters of a step.",
        "Write the keys out, or put keys shared by all steps under `defaults:`.",
        "steps:\n  a: &base {uses: debug.echo}\n  b: {<<: *base}\n",
        "steps:\n  a: {uses: debug.echo}\n  b: {uses: debug.echo}\n",
    ),
    Code(
        "multiple-documents",
        "More than one document in a file",
        "`---` starts another document. A file contains one pipeline.",
        "Remove the `---`, or move the second pipeline to a file of its own.",
        "steps:\n  a: {uses: debug.echo}\n---\nversion: 1\n",
        "steps:\n  a: {uses: debug.echo}\n",
    ),
    Code(
        "not-a-mapping",
        "A spec that is a list or a single value",
        "The top level of a spec maps `version`, `name`, `steps` and so on to their values.",
        "Start with `version: 1`.",
        "- version: 1\n- name: example\n",
        "version: 1\nname: example\nsteps:\n  a: {uses: debug.echo}\n",
    ),
    Code(
        "not-plain",
        "A value from Python that is not plain data",
        "A spec passed as a mapping may contain text, numbers, true, false, null, lists and mappings, like YAML.",
        "Use text, a number, a list or a mapping instead of the object.",
        example='e2i.validate({"version": 1, "name": datetime.now()})',
    ),
    Code(
        "not-utf8",
        "A file that is not UTF-8",
        "Specs are read as UTF-8 and nothing else, so that they read the same everywhere.",
        "Save the file as UTF-8.",
        example="A file that an old editor saved in Latin-1: the é of café is one byte.",
    ),
    Code(
        "number",
        "A number that cannot be held",
        "Integers have 64 bits, other numbers double precision. A larger number would be changed silently.",
        "Quote it if it is a text, such as an identifier.",
        "steps:\n  a: {uses: debug.echo, with: {value: 99999999999999999999}}\n",
        'steps:\n  a: {uses: debug.echo, with: {value: "99999999999999999999"}}\n',
    ),
    Code(
        "tab",
        "A tab that indents",
        "YAML indents with spaces only: how wide a tab is depends on who looks.",
        "Use spaces. `e2i fix` does this where only tabs indent.",
        "steps:\n\ta: {uses: debug.echo}\n",
        "steps:\n  a: {uses: debug.echo}\n",
    ),
    Code(
        "tag",
        "A tag",
        "`!name` asks a YAML reader to build an object. A spec is plain data.",
        "Remove the tag. Quote text that starts with `!`.",
        "steps:\n  a: {uses: debug.echo, with: {value: !env HOME}}\n",
        'steps:\n  a: {uses: debug.echo, with: {value: "!env HOME"}}\n',
    ),
    Code(
        "too-deep",
        "Nesting that is too deep",
        "Mappings and lists may be nested 64 levels deep, aliases followed.",
        "Flatten the data, or read it from a file.",
        f"steps:\n  a: {{uses: debug.echo, with: {{value: {'[' * 64}1{']' * 64}}}}}\n",
        "steps:\n  a: {uses: debug.echo, with: {value: [[1]]}}\n",
    ),
    Code(
        "too-large",
        "A spec that is too large",
        "A text of more than 8 MiB or 250,000 values, or what policy allows, is not read.",
        "Move the data to a file, and refer to it in the spec.",
        example="A table was pasted into a spec.",
    ),
    Code(
        "unclosed-expression",
        'An expression without its "}}"',
        "The text holds `${{` and no `}}`. Often a ` #` in the expression has begun a comment.",
        'Close the expression, and put it in quotes: "${{ … }}".',
        "params:\n  n: {type: integer, default: 1}\n"
        "steps:\n  a: {uses: debug.echo, with: {value: '${{ params.n'}, when: \"${{ params.n > 0 }}\"}\n"
        "  b:\n    uses: debug.echo\n    with:\n      value: ${{ params.n\n",
        "params:\n  n: {type: integer, default: 1}\n"
        "steps:\n  b:\n    uses: debug.echo\n    with:\n      value: ${{ params.n }}\n",
    ),
    Code(
        "yaml-syntax",
        "Text that is not YAML",
        "The text cannot be parsed at this location. Most often a value contains `: `, ` #` or braces and needs "
        "quotes, or "
        "a line is not indented like those it belongs with.",
        'Quote the value, or align the line. Inside { } and [ ] an expression needs quotes: "${{ … }}"; `e2i fix` adds '
        "them.",
        "params:\n  n: {type: integer, default: 1}\nsteps:\n  a: {uses: debug.echo, with: {value: ${{ params.n }}}}\n",
        'params:\n  n: {type: integer, default: 1}\nsteps:\n  a: {uses: debug.echo, with: {value: "${{ params.n '
        '}}"}}\n',
    ),
    Code(
        "yaml-version",
        "A %YAML line for another version",
        "Specs are YAML 1.2, in which `no` is a text and `0o17` a number.",
        "Remove the %YAML line.",
        "%YAML 1.1\n---\nversion: 1\nname: example\nsteps:\n  a: {uses: debug.echo}\n",
        "version: 1\nname: example\nsteps:\n  a: {uses: debug.echo}\n",
    ),
)

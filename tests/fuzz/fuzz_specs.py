"""Coverage-guided fuzzing of specs and expressions: mutated texts go in; a crash, a hang or an unexpected exception
ends it.

``python tests/fuzz/fuzz_specs.py [SECONDS] [FOLDER]``: for that long, from the corpus in FOLDER and the specs of the
repository. What it finds is in FOLDER too and becomes a row of ``tests/hostile/rows.yaml``. Needs the extra ``fuzz``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import atheris
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "engine"))

with atheris.instrument_imports(include=["e2i.spec", "e2i.check", "e2i.route", "e2i.policy"]):
    from e2i import api, policy, route, settings
    from e2i.spec import expressions, filters
    from e2i.spec.references import ROOTS, Scope
    from e2i.spec.values import ExpressionError

HANG_SECONDS = 5
LONGEST = 4_096
WORKSPACE = api.Workspace(
    ROOT / ".fuzz",
    ROOT / ".fuzz" / ".e2i",
    settings.Settings(env={"STAGE": "dev"}, secrets={"TOKEN": "TOKEN"}),
    policy.default(),
    policy.Origin.AGENT,
)
SCOPE = Scope(
    params={"n": 3, "text": "abc", "list": [1, 2.5, None, True, "x"], "map": {"a": {"b": [1]}}},
    steps={"load": {"rows": 10, "names": ["a", "b"]}},
    matrix={"fold": 1}, env={"STAGE": "dev"}, run={"id": "r", "name": "x", "profile": "default"},
)  # fmt: skip


def one(data: bytes) -> None:
    """The first byte says what the rest is: a spec's text, or an expression."""
    if data[:1] == b"e":
        expression(data[1:].decode("utf-8", "ignore"))
    else:
        spec(data[1:])


def expression(text: str) -> None:
    """Is evaluated, or refused with an ExpressionError; twice the same."""
    results = []
    for _ in range(2):
        try:
            results.append(repr(expressions.evaluate(expressions.parse("${{ " + text + " }}"), SCOPE)))
        except ExpressionError as error:
            results.append(str(error))
    assert results[0] == results[1]


def spec(text: bytes) -> None:
    """Has problems that can be printed, each at a place, or is there."""
    draft = route.examine(api.Source(text, "fuzz.yaml"), WORKSPACE, {})
    assert draft.is_valid == all(problem.severity != "error" for problem in draft.problems)
    for problem in draft.problems:
        assert problem.location.line >= 1 and problem.location.column >= 1 and problem.code and problem.message
        json.dumps(problem.to_json(), ensure_ascii=False).encode("utf-8")


def seeds(folder: Path) -> None:
    """Writes what there is to start from."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = [
        path.read_bytes() for folder in ("specs", "tests/golden") for path in sorted((ROOT / folder).rglob("*.yaml"))
    ]
    rows = yaml.safe_load((ROOT / "tests/hostile/rows.yaml").read_text("utf-8"))["rows"]
    texts += [row["spec"].encode() for row in rows if "spec" in row]
    found = [b"s" + text for text in texts] + [b"e" + row["value"].encode() for row in rows if "value" in row]
    for number, seed in enumerate(found):
        if len(seed) <= LONGEST:
            (folder / f"seed-{number}").write_bytes(seed)


def words(path: Path) -> None:
    """Writes the words of the language, for the mutations to use."""
    from e2i.spec.models import ParamSpec, PipelineSpec, StepSpec

    known = {*ROOTS, *filters.FILTERS, "${{ ", " }}", "steps.", "params.", " if ", " else ", " is defined",
             "debug.echo", "data.load", "&a", "*a", "<<: ", "!!str", "- ", ": ", "\\x0A  "}  # fmt: skip
    for model in (PipelineSpec, StepSpec, ParamSpec):
        known |= {f"{field.alias or name}: " for name, field in model.model_fields.items()}
    path.write_text("".join(f'"{word}"\n' for word in sorted(known)), "utf-8")


def main() -> None:
    seconds = sys.argv[1] if len(sys.argv) > 1 else "60"
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / ".fuzz"
    seeds(folder / "seeds")
    (folder / "corpus").mkdir(exist_ok=True)
    words(folder / "words.dict")
    atheris.Setup(
        [
            sys.argv[0],
            str(folder / "corpus"),
            str(folder / "seeds"),
            f"-dict={folder / 'words.dict'}",
            f"-max_len={LONGEST}",
            f"-max_total_time={int(seconds)}",
            f"-timeout={HANG_SECONDS}",
            "-rss_limit_mb=1024",
            f"-artifact_prefix={folder}/found-",
            "-print_final_stats=1",
            "-verbosity=0",
        ],
        one,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()

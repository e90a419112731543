"""Makes the corpus, judges it, prints the table of kinds: ``make mutation``. ``--show KIND`` also prints what went wrong."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from e2i import api
from mutation.good import specs
from mutation.judge import Judgement, judge, table
from mutation.mutate import EACH, SEED, corpus


def main(arguments: list[str]) -> int:
    each = int(arguments[arguments.index("--each") + 1]) if "--each" in arguments else EACH
    seed = int(arguments[arguments.index("--seed") + 1]) if "--seed" in arguments else SEED
    shown = " ".join(arguments[arguments.index("--show") + 1 :]) if "--show" in arguments else None
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        good = specs(Path(folder))
        workspace = api.Workspace.open(root=Path(folder), environ={})
        failing = {
            one.file: found
            for one in good
            if (found := api.validate(Path(folder, one.file), workspace=workspace).problems)
        }
        judgements = [judge(mutant, workspace) for mutant in corpus(good, each=each, seed=seed)]
        for one in judgements:
            if shown is not None and shown in one.mutant.kind and not _is_fine(one):
                print(f"{'MEND ' if one.is_right else ''}{one}".replace(f"{folder}/", ""), end="\n\n")
        print(table(judgements))
        print(
            f"good specs: {len(good)}, with problems: {len(failing)}; {time.process_time() - began:.0f} s of processor time"
        )
        for file, problems in failing.items():
            print(file, *problems, sep="\n  ")
    return 0


def _is_fine(judgement: Judgement) -> bool:
    return judgement.is_refused and judgement.is_right and (judgement.is_restored or not judgement.mutant.certain)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A mutant goes in; what the engine made of it comes out: refused or not, at the right place or not, mended or not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from e2i import api
from e2i.check.fixing import Fixed, fix_text
from e2i.spec.problems import Problem
from mutation.good import plain
from mutation.mutant import Mutant


@dataclass(frozen=True)
class Judgement:
    """What became of one mutant."""

    mutant: Mutant
    problems: tuple[Problem, ...]
    is_right: bool
    """An error of the right kind stands at the right line and column."""
    is_mended: bool
    """The fixes that the problems carry, applied, give a valid spec."""
    is_restored: bool
    """And it says what was meant."""

    @property
    def is_refused(self) -> bool:
        return any(problem.severity == "error" for problem in self.problems)

    def __str__(self) -> str:
        said = "; ".join(str(problem) for problem in self.problems) or "valid"
        return f"{self.mutant.kind} in {self.mutant.good.file}, wanted at {self.mutant.locations}: {said}"


def judge(mutant: Mutant, workspace: api.Workspace) -> Judgement:
    """Validates and mends a mutant in its workspace, under the name of the good spec. Runs nothing."""
    file = workspace.root / mutant.good.file
    file.write_text(mutant.text, "utf-8")
    try:
        problems = _check(mutant, workspace)
        fixed = _fix(mutant, workspace) if mutant.certain else None
    finally:
        file.write_text(mutant.good.text, "utf-8")
    is_right = any(
        problem.severity == "error"
        and workspace.root / problem.location.file == file
        and problem.code in mutant.codes
        and mutant.is_right(problem.location.line, problem.location.column)
        for problem in problems
    )
    valid = fixed is not None and fixed.valid
    restored = valid and fixed is not None and plain(fixed.text) == plain(mutant.wanted)
    return Judgement(mutant, problems, is_right, valid, restored)


def _check(mutant: Mutant, workspace: api.Workspace) -> tuple[Problem, ...]:
    """The problems of the spec; of a part, those of a spec that includes it."""
    return api.validate(workspace.root / mutant.good.entry, workspace=workspace).problems


def _fix(mutant: Mutant, workspace: api.Workspace) -> Fixed:
    """What ``e2i fix`` makes of it. A part is mended as seen from the spec that includes it."""
    file = workspace.root / mutant.good.file
    if mutant.good.entry == mutant.good.file:
        return api.fix(file, workspace=workspace)

    def check(text: str) -> tuple[Problem, ...]:
        file.write_text(text, "utf-8")
        return _check(mutant, workspace)

    return fix_text(mutant.text, mutant.good.file, check)


@dataclass(frozen=True)
class Rates:
    """How many mutants there were, and what became of them."""

    count: int
    refused: int
    right: int
    certain: int
    fixed: int
    restored: int

    @classmethod
    def of(cls, judgements: Iterable[Judgement]) -> Rates:
        found = list(judgements)
        certain = [one for one in found if one.mutant.certain]
        return cls(
            len(found),
            sum(one.is_refused for one in found),
            sum(one.is_refused and one.is_right for one in found),
            len(certain),
            sum(one.is_mended for one in certain),
            sum(one.is_restored for one in certain),
        )


def table(judgements: list[Judgement]) -> str:
    """The kinds with their counts and rates, and all together."""
    kinds = dict.fromkeys(one.mutant.kind for one in judgements)
    rows = [(kind, Rates.of(one for one in judgements if one.mutant.kind == kind)) for kind in kinds]
    rows.append((f"all {len(kinds)} kinds", Rates.of(judgements)))
    heads = (
        f"{'kind of mistake':<30}{'mutants':>8}{'refused':>9}{'right':>9}{'certain':>9}{'mended':>9}{'restored':>10}"
    )
    lines = [heads, "-" * len(heads)]
    for kind, rates in rows:
        lines.append(
            f"{kind:<30}{rates.count:>8}{_share(rates.refused, rates.count):>9}{_share(rates.right, rates.count):>9}"
            f"{rates.certain:>9}{_share(rates.fixed, rates.certain):>9}{_share(rates.restored, rates.certain):>10}"
        )
    lines.insert(-1, lines[1])
    return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "–"

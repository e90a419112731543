"""Derive what an endpoint should be from what it was, and a change. In: records. Out: records.

Pure. Every change is in ``Wanted.changes`` with the key of the step that wanted it, which tells a repeated step
from a new one, and ``Wanted.past`` has the states that rollbacks return to.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from e2i.errors import StepError
from e2i.tools.bentoml.records import Change, Guard, Kind, Share, State, Wanted
from e2i.tools.bentoml.resources import Resources

KEPT_STATES = 10
KEPT_CHANGES = 100


def deployed(
    before: Wanted | None,
    tag: str,
    name: str,
    replicas: int,
    resources: Resources,
    environment: str,
    home: str,
    *,
    percent: float = 100.0,
    shadow: bool = False,
    sticky: str | None = None,
    reference: str | None = None,
) -> Wanted:
    """Return the endpoint with the Bento: all requests of a new endpoint go to it, that share of one that exists.

    With 0 % its replicas stand by. With ``shadow`` it receives copies of that share. Raises StepError.
    """
    history = tuple(known for known in (before.history if before else ()) if known != tag)
    after = Wanted(
        name=name,
        replicas=replicas,
        resources=resources,
        environment=environment,
        home=home,
        shares=(Share(tag, 100.0),),
        sticky=sticky or (before.sticky if before else None),
        reference=reference or (before.reference if before else None),
        history=(*history, tag),
        past=before.past if before else (),
        changes=before.changes if before else (),
    )
    if before is None:
        if shadow:
            raise _bad(f"there is no endpoint {name} whose requests could be copied", "deploy a Bento to it first")
        return after
    if shadow:
        return replace(after, **_shadowed(before, tag, percent))
    if percent == 100.0:
        return after
    kept = replace(before, history=after.history)
    return replace(after, shares=_moved(kept, tag, percent, stands_by=True), shadow=_other_shadow(before, tag))


def moved(
    before: Wanted,
    tag: str,
    percent: float,
    *,
    shadow: bool = False,
    sticky: str | None = None,
    guard: Guard | None = None,
) -> Wanted:
    """Return the endpoint with that share of its requests, or of copies of them, going to the Bento; the others keep
    their proportions. ``sticky`` None: as before. Raises StepError.
    """
    history = before.history if tag in before.history else (*before.history, tag)
    after = replace(before, history=history, sticky=sticky or before.sticky, guard=guard)
    if shadow:
        return replace(after, **_shadowed(before, tag, percent))
    return replace(after, shares=_moved(before, tag, percent), shadow=_other_shadow(before, tag))


def returned(before: Wanted) -> Wanted:
    """Return the endpoint as it was before the last change of who answers. Raises StepError when there was none."""
    if not before.past:
        raise StepError(
            f"the endpoint {before.name} has no earlier state",
            code="nothing-to-roll-back",
            hint="it has had one Bento only; deploy another one, or undeploy it",
        )
    *past, last = before.past
    return replace(
        before,
        replicas=last.replicas,
        resources=last.resources,
        environment=last.environment,
        shares=last.shares,
        shadow=last.shadow,
        sticky=last.sticky,
        guard=None,
        past=tuple(past),
    )


def noted(before: Wanted | None, after: Wanted, change: Change) -> Wanted:
    """Return ``after`` with the change, and with what a rollback of it returns to. Equal records for a repetition."""
    last = before.changes[-1] if before and before.changes else None
    repeated = last is not None and replace(last, at_ms=0) == replace(change, at_ms=0)
    changes = after.changes if repeated else (*after.changes, change)[-KEPT_CHANGES:]
    past = after.past
    if before is not None and change.kind in ("deploy", "move", "shadow") and state_of(before) != state_of(after):
        past = (*past, state_of(before))[-KEPT_STATES:]
    return replace(after, changes=changes, past=past)


def state_of(wanted: Wanted) -> State:
    """Return who answers requests, and how."""
    return State(
        replicas=wanted.replicas,
        resources=wanted.resources,
        environment=wanted.environment,
        shares=wanted.shares,
        shadow=wanted.shadow,
        sticky=wanted.sticky,
    )


def since(wanted: Wanted, key: str) -> tuple[Change, Sequence[Change]] | None:
    """Return the last change that a step with that key made, and those after it; None when it made none."""
    for index in range(len(wanted.changes) - 1, -1, -1):
        if wanted.changes[index].key == key:
            return wanted.changes[index], wanted.changes[index + 1 :]
    return None


def known_before(wanted: Wanted, change: Change) -> set[str]:
    """Return the Bentos that the endpoint had before a change."""
    return {each.tag for each in wanted.changes[: wanted.changes.index(change)]}


def _shadowed(before: Wanted, tag: str, percent: float) -> dict[str, object]:
    if any(share.tag == tag for share in before.shares if share.percent > 0):
        raise _bad(f"{tag} answers requests of the endpoint {before.name} itself", "a shadow is another Bento")
    shares = tuple(share for share in before.shares if share.tag != tag)
    return {"shares": shares, "shadow": Share(tag, percent) if percent > 0 else None}


def _other_shadow(before: Wanted, tag: str) -> Share | None:
    return before.shadow if before.shadow is not None and before.shadow.tag != tag else None


def _moved(before: Wanted, tag: str, percent: float, *, stands_by: bool = False) -> tuple[Share, ...]:
    """Return the shares with that of one Bento changed; the others keep their proportions."""
    others = [share for share in before.shares if share.tag != tag and share.percent > 0]
    if not others:
        previous = [known for known in before.history if known != tag]
        if percent == 100:
            return (Share(tag, 100.0),)
        if not previous:
            raise _bad(
                f"{tag} is the only Bento of the endpoint {before.name}: nothing else can answer the other requests",
                "package and deploy another one first, or name it with `to`",
            )
        others = [Share(previous[-1], 100.0)]
    total = sum(share.percent for share in others)
    rest = [Share(share.tag, share.percent / total * (100.0 - percent)) for share in others]
    found = tuple(share for share in (*rest, Share(tag, percent)) if share.percent > 0)
    return (*found, Share(tag, 0.0)) if stands_by and percent == 0 else found


def change_of(kind: Kind, tag: str, percent: float, key: str, at_ms: int, why: str = "") -> Change:
    """Return the record of a change."""
    return Change(kind=kind, tag=tag, percent=percent, key=key, at_ms=at_ms, why=why)


def _bad(message: str, hint: str) -> StepError:
    return StepError(message, code="bad-argument", hint=hint)

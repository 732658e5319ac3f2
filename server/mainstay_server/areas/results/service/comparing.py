"""Two results side by side: what fails anew, what is fixed, what is slower, which numbers moved."""

from collections.abc import Iterable, Sized
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.results.models import CaseStatus, ResultUpload
from mainstay_server.areas.results.schemas.parsed import Case, Parsed
from mainstay_server.kernel.problems import Invalid

MOST_TOLD = 200
# A case is slower when it takes half as long again, and longer by more than noise.
SLOWER_FACTOR = 1.5
SLOWER_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Slower:
    """A case that takes longer than it did, in seconds."""

    name: str
    before: float
    after: float


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A number that is another one; None where it is not there."""

    name: str
    before: float | None
    after: float | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Lists have the first 200 of what `counts` counts."""

    against: ResultUpload | None
    counts: dict[str, int]
    new_failures: list[Case] = field(default_factory=list)
    still_failing: list[Case] = field(default_factory=list)
    fixed: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    slower: list[Slower] = field(default_factory=list)
    metrics: list[Moved] = field(default_factory=list)


def find_base(
    session: Session, upload: ResultUpload, *, branch: str | None = None
) -> ResultUpload | None:
    """What results are compared with: the ones before of their branch, or the newest of another."""
    other = upload.branch if branch is None else branch
    statement = sa.select(ResultUpload).where(
        ResultUpload.project_id == upload.project_id,
        ResultUpload.kind == upload.kind,
        ResultUpload.name == upload.name,
        ResultUpload.branch == other,
        ResultUpload.id != upload.id,
    )
    if other == upload.branch:
        statement = statement.where(ResultUpload.id < upload.id)
    return session.scalar(statement.order_by(ResultUpload.id.desc()).limit(1))


def refuse_other_kinds(upload: ResultUpload, against: ResultUpload) -> None:
    """Raises `Invalid` when two results are of different kinds."""
    if upload.kind != against.kind:
        raise Invalid(f"A {upload.kind} cannot be compared with a {against.kind}.")


def compare(before: Parsed, after: Parsed, *, against: ResultUpload | None) -> Comparison:
    """What is different after. Without anything before, every failure is new."""
    was = {case.name: case for case in before.cases}
    now = {case.name: case for case in after.cases}
    failing = [case for case in after.cases if case.status is CaseStatus.FAILED]
    new = [case for case in failing if not _failed(was.get(case.name))]
    still = [case for case in failing if _failed(was.get(case.name))]
    fixed = [
        name
        for name, case in was.items()
        if _failed(case) and name in now and now[name].status is CaseStatus.PASSED
    ]
    added = [name for name in now if name not in was] if against else []
    removed = [name for name in was if name not in now]
    slower = list(_slower(was, after.cases))
    moved = list(_moved(before.metrics, after.metrics)) if against else []
    lists: dict[str, Sized] = {
        "new_failures": new,
        "still_failing": still,
        "fixed": fixed,
        "added": added,
        "removed": removed,
        "slower": slower,
        "metrics": moved,
    }
    return Comparison(
        against=against,
        counts={name: len(found) for name, found in lists.items()},
        new_failures=new[:MOST_TOLD],
        still_failing=still[:MOST_TOLD],
        fixed=fixed[:MOST_TOLD],
        added=added[:MOST_TOLD],
        removed=removed[:MOST_TOLD],
        slower=slower[:MOST_TOLD],
        metrics=moved[:MOST_TOLD],
    )


def _failed(case: Case | None) -> bool:
    return case is not None and case.status is CaseStatus.FAILED


def _slower(was: dict[str, Case], cases: Iterable[Case]) -> list[Slower]:
    found = []
    for case in cases:
        before = was.get(case.name)
        if before is None or {before.status, case.status} != {CaseStatus.PASSED}:
            continue
        longer = case.seconds - before.seconds
        if longer > SLOWER_SECONDS and case.seconds > before.seconds * SLOWER_FACTOR:
            found.append(Slower(name=case.name, before=before.seconds, after=case.seconds))
    return sorted(found, key=lambda one: one.before - one.after)


def _moved(was: dict[str, float], now: dict[str, float]) -> list[Moved]:
    names = sorted({*was, *now})
    pairs = [Moved(name=name, before=was.get(name), after=now.get(name)) for name in names]
    return [pair for pair in pairs if pair.before != pair.after]

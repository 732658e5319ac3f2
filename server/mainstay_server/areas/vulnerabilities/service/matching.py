"""Which findings of a scan are known already, by fingerprint or by another name of the advisory."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.vulnerabilities.models import (
    Decision,
    Sighting,
    Status,
    VulnerabilityFinding,
)
from mainstay_server.areas.vulnerabilities.schemas.advisories import identifiers_of
from mainstay_server.kernel.batching import batched
from mainstay_server.kernel.database import insert

from .identities import Identified
from .states import status_of

CHUNK = 500


@dataclass(kw_only=True)
class Known:
    """What is known of a finding, as far as a scan may change it."""

    id: str
    digest: str
    identifiers: list[str]
    severity: str
    status: Status
    present: bool
    main_since: datetime | None
    decision: Decision
    decided_until: datetime | None


@dataclass(kw_only=True)
class Matched:
    """The findings of a scan: those that are known, by the id of what is known, and those not."""

    known: dict[str, tuple[Known, Identified]] = field(default_factory=dict)
    new: list[Identified] = field(default_factory=list)


COLUMNS = (
    VulnerabilityFinding.id,
    VulnerabilityFinding.digest,
    VulnerabilityFinding.identifiers,
    VulnerabilityFinding.severity,
    VulnerabilityFinding.status,
    VulnerabilityFinding.present,
    VulnerabilityFinding.main_since,
    VulnerabilityFinding.decision,
    VulnerabilityFinding.decided_until,
)


def match(
    session: Session, instance_id: str, found: Sequence[Identified], *, now: datetime
) -> Matched:
    """Tell known findings from new ones. What turns out to be one is made one.

    Called while nobody else changes the instance's findings.
    """
    matched = Matched()
    by_fingerprint = _by_fingerprint(session, instance_id, [each.fingerprint for each in found])
    by_name = _by_name(session, instance_id, {each.found.subject for each in found} - {""})
    for each in found:
        subject = each.found.subject
        by_names = (by_name.get((subject, name)) for name in each.found.identifiers)
        candidates = (by_fingerprint.get(each.fingerprint), *by_names)
        same = {known.id: known for known in candidates if known is not None}
        if not same:
            matched.new.append(each)
            continue
        kept, *others = sorted(same.values(), key=lambda one: one.id)
        for other in others:
            _make_one(session, kept, other, now=now)
            matched.known.pop(other.id, None)
            by_name.update(((subject, name), kept) for name in other.identifiers)
        each.found.identifiers = identifiers_of([*each.found.identifiers, *kept.identifiers])
        matched.known.setdefault(kept.id, (kept, each))
    return matched


def _by_fingerprint(
    session: Session, instance_id: str, fingerprints: list[str]
) -> dict[str, Known]:
    found = {}
    for part in batched(fingerprints, CHUNK):
        statement = sa.select(VulnerabilityFinding.fingerprint, *COLUMNS).where(
            VulnerabilityFinding.instance_id == instance_id,
            VulnerabilityFinding.fingerprint.in_(part),
        )
        for fingerprint, *values in session.execute(statement):
            found[fingerprint] = _known(values)
    return found


def _by_name(
    session: Session, instance_id: str, subjects: Collection[str]
) -> dict[tuple[str, str], Known]:
    """What is known of some packages, by package and each name of the advisory."""
    found: dict[tuple[str, str], Known] = {}
    for part in batched(list(subjects), CHUNK):
        statement = sa.select(VulnerabilityFinding.subject, *COLUMNS).where(
            VulnerabilityFinding.instance_id == instance_id,
            VulnerabilityFinding.subject.in_(part),
        )
        for subject, *values in session.execute(statement):
            known = _known(values)
            found.update(((subject, name), known) for name in known.identifiers)
    return found


def _known(values: Sequence[object]) -> Known:
    names = [column.key for column in COLUMNS]
    facts = dict(zip(names, values, strict=True))
    facts["status"], facts["decision"] = (
        Status(str(facts["status"])),
        Decision(str(facts["decision"])),
    )
    return Known(**facts)  # type: ignore[arg-type]  # the columns are its fields


def _make_one(session: Session, kept: Known, other: Known, *, now: datetime) -> None:
    """Two findings turned out to be one: the older stays, with all that is known of both."""
    seen = sa.select(Sighting.source_id, Sighting.present).where(Sighting.finding_id == other.id)
    for source_id, present in session.execute(seen).all():
        row = insert(Sighting).values(source_id=source_id, finding_id=kept.id, present=present)
        again = row.on_conflict_do_update(
            index_elements=["source_id", "finding_id"],
            set_={"present": sa.or_(Sighting.present, row.excluded.present)},
        )
        session.execute(again)
    kept.identifiers = identifiers_of([*kept.identifiers, *other.identifiers])
    kept.present = kept.present or other.present
    since = [at for at in (kept.main_since, other.main_since) if at]
    kept.main_since = min(since, default=None)
    if kept.decision is Decision.NONE and other.decision is not Decision.NONE:
        kept.decision, kept.decided_until = other.decision, other.decided_until
        _take_decision(session, kept.id, other.id)
    kept.status = status_of(
        present=kept.present,
        was_on_main=kept.main_since is not None,
        decision=kept.decision,
        until=kept.decided_until,
        now=now,
    )
    changed: dict[str, object] = {
        "identifiers": kept.identifiers,
        "status": kept.status,
        **({"fixed_at": None} if kept.present else {}),
        "present": kept.present,
        "main_since": kept.main_since,
    }
    session.execute(
        sa.update(VulnerabilityFinding).where(VulnerabilityFinding.id == kept.id).values(changed)
    )
    session.execute(sa.delete(VulnerabilityFinding).where(VulnerabilityFinding.id == other.id))


def _take_decision(session: Session, kept_id: str, other_id: str) -> None:
    other = session.get_one(VulnerabilityFinding, other_id)
    taken = {
        "decision": other.decision,
        "decided_reason": other.decided_reason,
        "decided_until": other.decided_until,
        "decided_at": other.decided_at,
    }
    session.expunge(other)
    session.execute(
        sa.update(VulnerabilityFinding).where(VulnerabilityFinding.id == kept_id).values(taken)
    )

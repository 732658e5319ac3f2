"""Counting what is used, once; warning at 80, 90 and 100 percent, once; refusing what is over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.orm import Session

from mainstay_server.areas.quotas.models import CountedBatch, QuotaUse
from mainstay_server.areas.quotas.settings import PlanLimit
from mainstay_server.contracts.guard import Use
from mainstay_server.contracts.quotas import QuotaLeft, QuotaThresholdReached
from mainstay_server.kernel.database import insert, new_id, rows_changed
from mainstay_server.kernel.events import say
from mainstay_server.kernel.guard import touch_policies
from mainstay_server.kernel.problems import Invalid, TooManyRequests
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import instances_of_organization

from .plans import (
    ORGANIZATION,
    OWNER,
    Subject,
    organization_subject,
    owner_subjects,
    period_of,
)

THRESHOLDS = (80, 90, 100)
NEAR_PERCENT = 80
FULL = 100
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
BATCHES_KEPT = timedelta(days=7)
LONGEST_OWNER = 200


@dataclass(frozen=True, slots=True)
class _Counted:
    """How a meter stands after something was counted."""

    subject: Subject
    meter: str
    before: int
    used: int
    limit: PlanLimit | None
    begins: datetime
    ends: datetime


def record_use(
    session: Session,
    *,
    instance: InstanceRef,
    batch_id: str,
    uses: Sequence[Use],
    now: datetime,
) -> bool:
    """Count what was used, once per `batch_id` however often it is asked; False for a repeat.

    The batch and its counts are one transaction. What was used was used: nothing is refused here,
    the policy that follows from it refuses.
    """
    new = insert(CountedBatch).values(instance_id=instance.id, batch_id=batch_id, counted_at=now)
    if not rows_changed(session, new.on_conflict_do_nothing()):
        return False
    owners = sorted({name for use in uses if (name := _owner_of(use.subject))})
    subjects = {ORGANIZATION: organization_subject(session, instance.organization_id)}
    for owner, subject in owner_subjects(session, instance, owners, now=now).items():
        subjects[f"{OWNER}{owner}"] = subject
    near = False
    # In one order, so that two batches of the same subjects never wait for each other in a ring.
    for use in sorted(uses, key=lambda use: (use.subject, use.meter)):
        subject = subjects[use.subject if use.subject == ORGANIZATION else _clean(use.subject)]
        counted = _add(session, subject, use.meter, use.amount, now=now)
        _warn(session, counted, instance, now=now)
        near = near or _should_be_told(counted)
    if near:
        touch_policies(session, _told_of(session, instance, subjects))
    return True


def use_quota(
    session: Session,
    organization_id: str,
    *,
    meter: str,
    amount: int,
    now: datetime,
) -> QuotaLeft:
    """Use some of an organization's meter, or give it back, in the caller's transaction."""
    subject = organization_subject(session, organization_id)
    return consume(session, subject, meter, amount, instance=None, now=now)


def consume(
    session: Session,
    subject: Subject,
    meter: str,
    amount: int,
    *,
    instance: InstanceRef | None,
    now: datetime,
) -> QuotaLeft:
    """Use some of a meter unless that passes what is refused above; all of it or nothing.

    Finding that there is room and taking it is one statement, so that callers of any number of
    processes never pass the limit together.

    Raises:
        TooManyRequests: there is not so much left; when there will be again.
    """
    limit = subject.limit_of(meter)
    begins, ends = period_of(meter, subject.time_zone, now)
    most = limit.refused_above if limit else None
    row = _row(subject, meter, begins)
    session.execute(_new_use(subject, meter, begins, used=0).on_conflict_do_nothing())
    room = sa.true() if most is None or amount <= 0 else QuotaUse.used + amount <= most
    used = session.scalar(
        sa.update(QuotaUse)
        .where(*row, room)
        .values(used=sa.case((QuotaUse.used + amount > 0, QuotaUse.used + amount), else_=0))
        .returning(QuotaUse.used)
    )
    if used is None:
        raise TooManyRequests(
            f"The plan {subject.plan} allows {limit.limit if limit else 0:,} {meter} in this"
            " period, and they are used up; move to a larger plan or wait for the next period.",
            code="quota-exceeded",
            retry_after_seconds=(ends - now).total_seconds(),
            type=QUOTA_EXCEEDED,
            members={"violated-policies": [meter]},
        )
    counted = _Counted(subject, meter, max(0, used - amount), used, limit, begins, ends)
    _warn(session, counted, instance, now=now)
    if _should_be_told(counted):
        told = instances_of_organization(session, subject.organization_id)
        touch_policies(session, [each.id for each in told])
    return left_of(limit, used, ends)


def used_of(session: Session, subject: Subject, meter: str, begins: datetime) -> int:
    """What was used of a meter in the period that began then."""
    return session.scalar(sa.select(QuotaUse.used).where(*_row(subject, meter, begins))) or 0


def quota_left(session: Session, organization_id: str, *, meter: str, now: datetime) -> QuotaLeft:
    """What an organization has left of a meter in the present period."""
    subject = organization_subject(session, organization_id)
    begins, ends = period_of(meter, subject.time_zone, now)
    return left_of(subject.limit_of(meter), used_of(session, subject, meter, begins), ends)


def left_of(limit: PlanLimit | None, used: int, ends: datetime) -> QuotaLeft:
    """How a meter stands, for those who ask."""
    most = limit.refused_above if limit else None
    shown = limit.limit if limit else None
    left = None if shown is None else max(0, (most if most is not None else shown) - used)
    return QuotaLeft(used=used, limit=shown, left=left, refuses=most is not None, resets_at=ends)


def forget_batches(session: Session, *, now: datetime) -> int:
    """Forget which reports were counted a week ago; no app sends one again after so long."""
    return rows_changed(
        session, sa.delete(CountedBatch).where(CountedBatch.counted_at < now - BATCHES_KEPT)
    )


def _add(session: Session, subject: Subject, meter: str, amount: int, *, now: datetime) -> _Counted:
    begins, ends = period_of(meter, subject.time_zone, now)
    new = _new_use(subject, meter, begins, used=amount)
    used = session.scalar(
        new.on_conflict_do_update(
            index_elements=["scope_id", "name", "meter", "period_begins"],
            set_={"used": QuotaUse.used + amount},
        ).returning(QuotaUse.used)
    )
    assert used is not None, "an upsert gives its row back"
    return _Counted(subject, meter, used - amount, used, subject.limit_of(meter), begins, ends)


def _new_use(subject: Subject, meter: str, begins: datetime, *, used: int) -> Insert:
    return insert(QuotaUse).values(
        id=new_id(),
        organization_id=subject.organization_id,
        scope_id=subject.scope_id,
        name=subject.name,
        meter=meter,
        period_begins=begins,
        used=used,
        told_percent=0,
    )


def _warn(
    session: Session, counted: _Counted, instance: InstanceRef | None, *, now: datetime
) -> None:
    """Say each threshold that was reached and not said in this period, lowest first.

    Writing down what was said and finding that it had not been is one statement: of several
    processes one speaks.
    """
    if counted.limit is None or counted.limit.limit == 0:
        return
    percent = counted.used * FULL // counted.limit.limit
    for threshold in THRESHOLDS:
        if percent < threshold:
            return
        row = _row(counted.subject, counted.meter, counted.begins)
        first = rows_changed(
            session,
            sa.update(QuotaUse)
            .where(*row, QuotaUse.told_percent < threshold)
            .values(told_percent=threshold),
        )
        if first:
            say(session, _reached(counted, instance, threshold), now=now)


def _reached(
    counted: _Counted, instance: InstanceRef | None, threshold: int
) -> QuotaThresholdReached:
    assert counted.limit is not None, "only a limit has thresholds"
    return QuotaThresholdReached(
        organization_id=counted.subject.organization_id,
        project_id=instance.project_id if instance else "",
        instance_id=instance.id if instance else "",
        quota_subject=counted.subject.label,
        meter=counted.meter,
        plan=counted.subject.plan,
        percent=threshold,
        used=counted.used,
        limit=counted.limit.limit,
        period_begins=counted.begins,
        period_ends=counted.ends,
    )


def _should_be_told(counted: _Counted) -> bool:
    """Whether guards should be told: of the first use in a period, then of each percent from 80."""
    if counted.limit is None:
        return False
    if counted.before == 0 or counted.limit.limit == 0:
        return counted.before == 0
    before = counted.before * FULL // counted.limit.limit
    after = counted.used * FULL // counted.limit.limit
    return after >= NEAR_PERCENT and after != before


def _told_of(session: Session, instance: InstanceRef, subjects: dict[str, Subject]) -> list[str]:
    """Whose policies change: the project's, or all of the organization's when it is limited."""
    organization = subjects[ORGANIZATION]
    whole = organization.limit_of("calls") is not None
    return [
        each.id
        for each in instances_of_organization(session, instance.organization_id)
        if whole or each.project_id == instance.project_id
    ]


def _row(subject: Subject, meter: str, begins: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        QuotaUse.scope_id == subject.scope_id,
        QuotaUse.name == subject.name,
        QuotaUse.meter == meter,
        QuotaUse.period_begins == begins,
    )


def _owner_of(label: str) -> str:
    return label.removeprefix(OWNER)[:LONGEST_OWNER] if label.startswith(OWNER) else ""


def _clean(label: str) -> str:
    owner = _owner_of(label)
    if not owner:
        raise Invalid(f"{label[:60]!r} is no subject; use organization or owner:<name>.")
    return f"{OWNER}{owner}"

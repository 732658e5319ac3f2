"""What people are told of their use: the present period, its warnings, and the months before."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.quotas.models import CountedBatch, QuotaUse
from mainstay_server.areas.quotas.schemas import (
    HistoryAnswer,
    MeterAnswer,
    PeriodAnswer,
    PlanAnswer,
    UsageAnswer,
    UseBody,
)
from mainstay_server.areas.quotas.settings import CALLS, STORAGE, PlanLimit, QuotaSettings
from mainstay_server.contracts.quotas import QuotaLeft
from mainstay_server.kernel.database import insert, rows_changed
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.subjects import InstanceRef

from .counting import FULL, THRESHOLDS, consume, left_of, used_of
from .plans import LIFETIME, Subject, organization_subject, owner_subjects, period_of

MOST_PERIODS = 36
MOST_OWNERS = 50


def usage_of(session: Session, subject: Subject, *, now: datetime) -> UsageAnswer:
    """What a subject used in the present period, against its plan."""
    begins, ends = period_of(CALLS, subject.time_zone, now)
    used = _used_in(session, subject, begins)
    limits = of(QuotaSettings).plans.get(subject.plan, {})
    meters = [_meter(name, used.get(name, 0), limits.get(name)) for name in _names(used, limits)]
    warnings = [
        f"{meter.percent:.0f} % of {meter.meter} are used."
        for meter in meters
        if meter.percent is not None and meter.percent >= THRESHOLDS[0]
    ]
    return UsageAnswer(
        subject=subject.label,
        plan=subject.plan or "none",
        period_begins=begins,
        period_ends=ends,
        meters=meters,
        warnings=warnings,
        upgrade=next_plan(subject.plan) if warnings else None,
    )


def history_of(session: Session, subject: Subject, *, months: int, now: datetime) -> HistoryAnswer:
    """What a subject used in each of the last months in which it used anything, newest first."""
    begins, _ = period_of(CALLS, subject.time_zone, now)
    first = begins - timedelta(days=366 * (months // 12 + 1))
    rows = session.scalars(
        sa.select(QuotaUse)
        .where(
            QuotaUse.scope_id == subject.scope_id,
            QuotaUse.name == subject.name,
            QuotaUse.period_begins > max(first, LIFETIME),
        )
        .order_by(QuotaUse.period_begins.desc())
        .limit(MOST_PERIODS * 100)
    )
    periods: dict[datetime, dict[str, int]] = {}
    for row in rows:
        periods.setdefault(row.period_begins, {})[row.meter] = row.used
    return HistoryAnswer(
        subject=subject.label,
        history=[
            PeriodAnswer(period_begins=begins, meters=meters)
            for begins, meters in list(periods.items())[:months]
        ],
    )


def busiest_owners(
    session: Session, instance: InstanceRef, *, search: str = "", now: datetime
) -> Sequence[UsageAnswer]:
    """The owners of a project's keys who called most in this period, at most 50."""
    begins, _ = period_of(
        CALLS, organization_subject(session, instance.organization_id).time_zone, now
    )
    names = session.scalars(
        sa.select(QuotaUse.name)
        .where(
            QuotaUse.scope_id == instance.project_id,
            QuotaUse.name.icontains(search, autoescape=True),
            QuotaUse.meter == CALLS,
            QuotaUse.period_begins >= begins,
        )
        .order_by(QuotaUse.used.desc())
        .limit(MOST_OWNERS)
    ).all()
    subjects = owner_subjects(session, instance, names, now=now)
    return [usage_of(session, subjects[name], now=now) for name in names]


def use_once(
    session: Session, instance: InstanceRef, body: UseBody, *, now: datetime
) -> tuple[QuotaLeft, bool]:
    """Use some of a meter for an app, once per its id; how it stands, and whether it counted.

    Raises:
        TooManyRequests: there is not so much left.
    """
    subject = subject_of(session, instance, body.owner, now=now)
    if body.id:
        new = insert(CountedBatch).values(
            instance_id=instance.id, batch_id=_id_of(body), counted_at=now
        )
        if not rows_changed(session, new.on_conflict_do_nothing()):
            begins, ends = period_of(body.meter, subject.time_zone, now)
            used = used_of(session, subject, body.meter, begins)
            return left_of(subject.limit_of(body.meter), used, ends), False
    left = consume(session, subject, body.meter, body.amount, instance=instance, now=now)
    return left, True


def _id_of(body: UseBody) -> str:
    """What makes a use the same one: its id together with whose it is of which meter."""
    whole = f"{body.meter}\0{body.owner}\0{body.id}"
    return f"use:{hashlib.sha256(whole.encode()).hexdigest()[:60]}"


def subject_of(session: Session, instance: InstanceRef, owner: str, *, now: datetime) -> Subject:
    """An owner of the project's keys, or the organization without one."""
    if owner:
        return owner_subjects(session, instance, [owner], now=now)[owner]
    return organization_subject(session, instance.organization_id)


def list_plans() -> list[PlanAnswer]:
    """All plans, the one with the fewest calls first."""
    plans = of(QuotaSettings).plans
    return [
        PlanAnswer(
            name=name,
            limits={meter: limit.limit for meter, limit in plans[name].items()},
            modes={meter: str(limit.mode) for meter, limit in plans[name].items()},
        )
        for name in sorted(plans, key=_size)
    ]


def next_plan(plan: str) -> str | None:
    """The next larger plan; None at the largest, and for who is on none."""
    ordered = sorted(of(QuotaSettings).plans, key=_size)
    if plan not in ordered or plan == ordered[-1]:
        return None
    return ordered[ordered.index(plan) + 1]


def _size(plan: str) -> float:
    limit = of(QuotaSettings).plans[plan].get(CALLS)
    return float("inf") if limit is None else limit.limit


def _names(used: dict[str, int], limits: dict[str, PlanLimit]) -> list[str]:
    """Calls and storage first, then the named operations."""
    rest = sorted({*used, *limits} - {CALLS, STORAGE})
    return [CALLS, STORAGE, *rest]


def _meter(name: str, used: int, limit: PlanLimit | None) -> MeterAnswer:
    if limit is None:
        return MeterAnswer(
            meter=name, used=used, limit=None, remaining=None, percent=None, mode=None
        )
    percent = FULL * used / limit.limit if limit.limit else float(FULL)
    return MeterAnswer(
        meter=name,
        used=used,
        limit=limit.limit,
        remaining=max(0, limit.limit - used),
        percent=round(percent, 1),
        mode=str(limit.mode),
    )


def _used_in(session: Session, subject: Subject, begins: datetime) -> dict[str, int]:
    rows = session.execute(
        sa.select(QuotaUse.meter, QuotaUse.used).where(
            QuotaUse.scope_id == subject.scope_id,
            QuotaUse.name == subject.name,
            QuotaUse.period_begins.in_([begins, LIFETIME]),
        )
    )
    return {row.meter: row.used for row in rows}

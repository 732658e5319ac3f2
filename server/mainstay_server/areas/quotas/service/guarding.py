"""The guard's step `quotas`: refuses who has used up a hard quota, from memory alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.quotas.models import QuotaUse
from mainstay_server.areas.quotas.settings import CALLS, Mode
from mainstay_server.kernel.clock import rfc3339
from mainstay_server.kernel.guard import GuardStep, Passage
from mainstay_server.kernel.guard.steps import Section
from mainstay_server.kernel.problems import TooManyRequests
from mainstay_server.kernel.subjects import InstanceRef

from .counting import QUOTA_EXCEEDED, left_of
from .plans import (
    ORGANIZATION,
    OWNER,
    Subject,
    organization_subject,
    owner_subjects,
    period_of,
)

MOST_PUBLISHED = 5_000
LONGEST_PERIOD = timedelta(days=33)


@dataclass(slots=True)
class Meter:
    """One subject with a limit, and what is left of it here and now."""

    meter: str
    remaining: int
    hard: bool
    resets_at: datetime


def publish(session: Session, instance: InstanceRef, now: datetime) -> dict[str, Any] | None:
    """The section `quotas`: those with a limit who called in this period; None without any."""
    meters = [*_of_organization(session, instance, now), *_of_owners(session, instance, now)]
    return {"meters": meters} if meters else None


def compile_meters(section: Section) -> dict[str, Meter]:
    """What decides: the meter of each subject."""
    return {
        given["subject"]: Meter(
            meter=given["meter"],
            remaining=given["remaining"],
            hard=given["mode"] == Mode.HARD,
            resets_at=datetime.fromisoformat(given["resetsAt"]),
        )
        for given in section["meters"]
        if given["meter"] == CALLS
    }


async def decide(meters: Mapping[str, Meter], passage: Passage) -> None:
    """Take the cost from what is left; refuse when a hard quota has not so much left.

    What is left is counted on here until the policy is made anew; requests that other processes
    let pass meanwhile are in the next one.
    """
    asked, owner = passage.request, passage.facts.owner
    if not passage.facts.key_id:
        return  # anybody may ask for a verdict: without a key nobody's quota pays for it
    found = [
        meters[name]
        for name in (ORGANIZATION, f"{OWNER}{owner}")
        if name in meters and asked.at < meters[name].resets_at
    ]
    for meter in found:
        if meter.hard and meter.remaining < asked.cost:
            raise TooManyRequests(
                f"The quota of {meter.meter} is used up; it begins anew at"
                f" {meter.resets_at:%Y-%m-%d %H:%M} UTC, or with a larger plan.",
                code="quota-exceeded",
                retry_after_seconds=(meter.resets_at - asked.at).total_seconds(),
                type=QUOTA_EXCEEDED,
                members={"violated-policies": [meter.meter]},
            )
    for meter in found:
        meter.remaining -= asked.cost


step = GuardStep(section="quotas", order=60, publish=publish, compile=compile_meters, decide=decide)


def _of_organization(
    session: Session, instance: InstanceRef, now: datetime
) -> list[dict[str, Any]]:
    subject = organization_subject(session, instance.organization_id)
    return _limited(session, [subject], now)


def _of_owners(session: Session, instance: InstanceRef, now: datetime) -> list[dict[str, Any]]:
    """The owners who used most in this month or the one before, whichever their time zone is in."""
    names = session.scalars(
        sa.select(QuotaUse.name)
        .where(
            QuotaUse.scope_id == instance.project_id,
            QuotaUse.name != "",
            QuotaUse.meter == CALLS,
            QuotaUse.period_begins > now - LONGEST_PERIOD,
        )
        .group_by(QuotaUse.name)
        .order_by(sa.func.max(QuotaUse.used).desc())
        .limit(MOST_PUBLISHED)
    ).all()
    return _limited(session, [*owner_subjects(session, instance, names, now=now).values()], now)


def _limited(session: Session, subjects: Sequence[Subject], now: datetime) -> list[dict[str, Any]]:
    """The meters of those with a limit; what they used is read at once, however many they are."""
    limited = [(subject, limit) for subject in subjects if (limit := subject.limit_of(CALLS))]
    periods = {
        subject.time_zone: period_of(CALLS, subject.time_zone, now) for subject, _ in limited
    }
    rows = session.execute(
        sa.select(QuotaUse.scope_id, QuotaUse.name, QuotaUse.period_begins, QuotaUse.used).where(
            QuotaUse.scope_id.in_({subject.scope_id for subject, _ in limited}),
            QuotaUse.meter == CALLS,
            QuotaUse.period_begins.in_({begins for begins, _ in periods.values()}),
        )
    )
    used = {(row.scope_id, row.name, row.period_begins): row.used for row in rows}
    found = []
    for subject, limit in limited:
        begins, ends = periods[subject.time_zone]
        left = left_of(limit, used.get((subject.scope_id, subject.name, begins), 0), ends)
        found.append(
            {
                "meter": CALLS,
                "subject": subject.label,
                "remaining": left.left,
                "mode": Mode.HARD if left.refuses else Mode.SOFT,
                "resetsAt": rfc3339(ends),
            }
        )
    return found

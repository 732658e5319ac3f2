"""What is used of plans as a number that rules compare."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.quotas.models import QuotaSubject, QuotaUse
from mainstay_server.areas.quotas.settings import QuotaSettings
from mainstay_server.kernel.measures import Measure, MeasureFamily, Reading
from mainstay_server.kernel.settings import of
from mainstay_server.tenancy.models import Instance, Project

from .plans import LIFETIME, period_of

USED = "quotas.used"
ALL = 100
LONGEST_PERIOD = timedelta(days=32)


def read(session: Session, *, since: datetime, until: datetime, by_part: bool) -> Sequence[Reading]:
    """The share used of each meter of an organization's plan, at each of its instances.

    The instances of an organization share its plan, so all of them have the same values.
    """
    _ = since  # as it is now
    shares = _shares(session, now=until)
    rows = session.execute(
        sa.select(Instance.id, Project.organization_id)
        .join(Project, Project.id == Instance.project_id)
        .where(Project.organization_id.in_(shares))
    )
    readings: list[Reading] = []
    for instance_id, organization_id in rows:
        meters = shares[organization_id]
        parts = meters.items() if by_part else (("", max(meters.values())),)
        readings.extend(
            Reading(instance_id=instance_id, values={USED: share}, part=part, count=len(meters))
            for part, share in parts
        )
    return readings


def _shares(session: Session, *, now: datetime) -> dict[str, dict[str, float]]:
    """The percent used of each limited meter, by organization and meter."""
    settings = of(QuotaSettings)
    whole = QuotaUse.scope_id == QuotaUse.organization_id, QuotaUse.name == ""
    uses = session.execute(
        sa.select(
            QuotaUse.organization_id,
            QuotaUse.meter,
            QuotaUse.period_begins,
            QuotaUse.used,
            QuotaSubject.plan,
            QuotaSubject.time_zone,
        )
        .outerjoin(
            QuotaSubject,
            sa.and_(QuotaSubject.scope_id == QuotaUse.scope_id, QuotaSubject.name == QuotaUse.name),
        )
        .where(
            *whole,
            sa.or_(
                QuotaUse.period_begins > now - LONGEST_PERIOD, QuotaUse.period_begins == LIFETIME
            ),
        )
    )
    found: dict[str, dict[str, float]] = {}
    for organization_id, meter, begins, used, plan, time_zone in uses:
        limit = settings.plans.get(plan or settings.default_plan, {}).get(meter)
        is_present = begins == period_of(meter, time_zone or "UTC", now)[0]
        if limit is not None and is_present:
            share = ALL * used / limit.limit if limit.limit else float(ALL)
            found.setdefault(organization_id, {})[meter] = share
    return found


QUOTAS = MeasureFamily(
    measures=(
        Measure(
            name=USED,
            title="Share of the plan that is used",
            unit="percent",
            description="Of the organization's plan in the present period; of several meters the"
            " fullest one's.",
        ),
    ),
    read=read,
    part="meter",
    windowed=False,
)

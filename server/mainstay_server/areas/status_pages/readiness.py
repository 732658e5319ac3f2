"""What the scorecard asks of status pages: do users learn how the app is without asking?"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.kernel.readiness import (
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Weight,
    readiness_check,
)
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.watching import list_watched

from .models import StatusComponent, StatusPage

PRODUCTION = "production"


@readiness_check(
    "status_pages.published",
    "Can users see for themselves how it is?",
    weight=Weight.SHOULD,
)
def users_can_see(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Passes when something of the production instance is shown on a published page."""
    if instance.environment != PRODUCTION:
        return NotApplicable(reason="Users are told of production.")
    watched = [
        each.id
        for each in list_watched(session, instance.project_id)
        if each.instance_id == instance.id
    ]
    if not watched:
        return NotApplicable(reason="Nothing of this instance is watched yet.")
    shown = session.scalars(
        sa.select(StatusPage.name)
        .join(StatusComponent, StatusComponent.page_id == StatusPage.id)
        .where(
            StatusPage.organization_id == instance.organization_id,
            StatusPage.published,
            StatusComponent.subject_id.in_(watched),
        )
        .distinct()
    ).all()
    if not shown:
        return Finding(
            problem="When it is down, users learn it only by trying.",
            fix="Bind a health check to a component of a status page, and publish the page.",
            fix_url="/dashboard/status-pages",
        )
    return Passed(evidence=f"It is shown on {', '.join(shown[:3])}.")

"""Evidence: what the scorecard needs to know about an instance's errors."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.errors.models import Issue, IssueInstance, Status
from mainstay_server.kernel import columns
from mainstay_server.kernel.subjects import InstanceRef

from .grouping import issue_id_of
from .kinds import TOO_MANY

LOOKED_BACK = timedelta(days=14)
NEGLECTED_AFTER = timedelta(days=7)
STILL_HAPPENS = timedelta(days=2)
SERIOUS = ("error", "fatal")


def last_event_at(session: Session, instance_id: str) -> datetime | None:
    """When the latest error event of an instance arrived; None when none ever did."""
    return session.scalar(
        sa.select(sa.func.max(IssueInstance.last_seen)).where(
            IssueInstance.instance_id == instance_id
        )
    )


def releases_of(instance: InstanceRef, *, now: datetime) -> tuple[int, int, str]:
    """The events of two weeks, how many of them name a release, and the latest release."""
    row = columns.query_row(
        "SELECT count() AS events, countIf(release != '') AS named,"
        " argMaxIf(release, received_at, release != '') AS latest FROM error_events"
        " WHERE project_id = {project:String} AND instance_id = {instance:String}"
        " AND received_at >= {since:DateTime64(3)}",
        project=instance.project_id,
        instance=instance.id,
        since=now - LOOKED_BACK,
    )
    return row["events"], row["named"], row["latest"]


def events_of_too_many_kinds(session: Session, instance: InstanceRef, *, now: datetime) -> int:
    """How many events of an instance were of too many new kinds; 0 when that was long ago."""
    found = session.scalar(
        sa.select(IssueInstance.count).where(
            IssueInstance.issue_id == issue_id_of(instance.project_id, TOO_MANY),
            IssueInstance.instance_id == instance.id,
            IssueInstance.last_seen > now - STILL_HAPPENS,
        )
    )
    return found or 0


def neglected(session: Session, instance_id: str, *, now: datetime) -> int:
    """How many unresolved, serious issues are old and still happen in an instance."""
    found = session.scalar(
        sa.select(sa.func.count())
        .select_from(IssueInstance)
        .join(Issue, Issue.id == IssueInstance.issue_id)
        .where(
            IssueInstance.instance_id == instance_id,
            IssueInstance.first_seen < now - NEGLECTED_AFTER,
            IssueInstance.last_seen > now - STILL_HAPPENS,
            Issue.status == Status.UNRESOLVED,
            Issue.level.in_(SERIOUS),
        )
    )
    return found or 0

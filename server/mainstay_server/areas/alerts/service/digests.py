"""One message that tells of several alerts: what stands in it, in words and as data."""

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import Alert, Change, Severity
from mainstay_server.areas.alerts.schemas import Gathered, Notice
from mainstay_server.tenancy.subjects import instances_of_project

MOST_GATHERED = 500
MOST_LINES = 50


def gathered_into(
    session: Session, told: Notice, others: Sequence[str], *, numbered: bool
) -> Notice:
    """A notice about one alert as a digest of it and the others, which are given by their ids.

    At most 500 are told one by one; the title counts all.
    """
    ids = [told.alert_id, *others]
    alerts = session.scalars(
        sa.select(Alert).where(Alert.id.in_(ids)).order_by(Alert.id).limit(MOST_GATHERED)
    ).all()
    places = {
        instance.id: instance.environment
        for instance in instances_of_project(session, alerts[0].project_id)
    }
    over = told.change is Change.RESOLVED
    gathered = tuple(
        Gathered(
            alert_id=alert.id,
            type=alert.type,
            severity=alert.severity,
            title=alert.title,
            message=alert.message,
            environment=places.get(alert.instance_id, ""),
            opened_at=alert.opened_at,
            resolved_at=alert.resolved_at if over else None,
            resolution=alert.resolution if over else "",
            labels=alert.labels,
            annotations=alert.annotations,
        )
        for alert in alerts
    )
    where = sorted({one.environment for one in gathered if one.environment})
    place = f"{told.project_slug} {where[0]}" if len(where) == 1 else told.project_slug
    return replace(
        told,
        severity=max((Severity(one.severity) for one in gathered), key=lambda each: each.rank),
        title=f"{len(ids)} alerts of {place}" + (" are over" if over else ""),
        message="\n".join(_lines(gathered, len(ids), numbered=numbered)),
        resolution="",
        url=_of_all(told.url, told.project_slug),
        environment=", ".join(where),
        gathered=gathered,
        gathered_count=len(ids),
    )


def _lines(gathered: Sequence[Gathered], count: int, *, numbered: bool) -> list[str]:
    lines = [
        f"{number}. {one.title}" if numbered else f"• {one.title}"
        for number, one in enumerate(gathered[:MOST_LINES], start=1)
    ]
    if count > len(lines):
        lines.append(f"… and {count - len(lines)} more.")
    return lines


def _of_all(url: str, project_slug: str) -> str:
    """The page of a project's alerts, from that of one of them."""
    before, _, rest = url.partition(f"/projects/{project_slug}/")
    query = rest.partition("?")[2]
    return f"{before}/projects/{project_slug}/alerts" + (f"?{query}" if query else "")

"""What a silence would hold, before anybody makes it, and matchers of one alert to begin with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import Alert, AlertStatus
from mainstay_server.kernel.matchers import Matcher, Operator, matches_all, written

from .silences import Reach, refuse_all

PREVIEWED = timedelta(days=7)
MOST_PREVIEWED = 10_000
MOST_SHOWN = 50
LONGEST_LINK = 1_000


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a silence would hold: alerts that are active now, and how many of the last week.

    `active` and `past` are the newest, at most 50 each; `looked_at_all` is false where there were
    more alerts in that week than are looked at.
    """

    active: Sequence[Alert]
    active_count: int
    past: Sequence[Alert]
    past_count: int
    looked_at_all: bool


def preview(
    session: Session, reach: Reach, matchers: Sequence[Matcher], *, now: datetime
) -> Preview:
    """What a silence with these matchers would hold now, and would have held in the last week.

    At most the 10,000 newest alerts are looked at.
    """
    refuse_all(matchers)
    place = Alert.organization_id == reach.organization_id
    if reach.project_id is not None:
        place = Alert.project_id == reach.project_id
    rows = session.execute(
        sa.select(Alert.id, Alert.status, Alert.labels)
        .where(
            place,
            sa.or_(Alert.status == AlertStatus.ACTIVE, Alert.opened_at > now - PREVIEWED),
        )
        .order_by(Alert.id.desc())
        .limit(MOST_PREVIEWED + 1)
    ).all()
    held = [row for row in rows[:MOST_PREVIEWED] if matches_all(matchers, row.labels)]
    active = [row.id for row in held if row.status == AlertStatus.ACTIVE]
    past = [row.id for row in held if row.status != AlertStatus.ACTIVE]
    return Preview(
        active=_alerts(session, active[:MOST_SHOWN]),
        active_count=len(active),
        past=_alerts(session, past[:MOST_SHOWN]),
        past_count=len(past),
        looked_at_all=len(rows) <= MOST_PREVIEWED,
    )


def matchers_for(labels: Mapping[str, str]) -> str:
    """The text of matchers that mean alerts with these labels; without those that are too long."""
    found: list[Matcher] = []
    left = LONGEST_LINK
    for name in sorted(labels, key=lambda each: (each != "alertname", each)):
        left -= len(name) + len(labels[name])
        if left < 0:
            break
        found.append(Matcher(name, Operator.EQUAL, labels[name]))
    return written(found)


def _alerts(session: Session, ids: Sequence[str]) -> Sequence[Alert]:
    found = sa.select(Alert).where(Alert.id.in_(ids)).order_by(Alert.id.desc())
    return session.scalars(found).all()

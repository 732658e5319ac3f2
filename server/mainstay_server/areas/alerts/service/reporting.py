"""What became of an organization's alerts over a span of time, for reports."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import Alert, Severity
from mainstay_server.contracts.alerts import AlertsOver, AlertSummary
from mainstay_server.tenancy.models import Instance, Project


def alerts_over(
    session: Session, organization_id: str, *, since: datetime, until: datetime, limit: int
) -> AlertsOver:
    """Answer the port of the same name."""
    ours = Alert.organization_id == organization_id
    began = sa.and_(Alert.opened_at >= since, Alert.opened_at < until)
    ended = sa.and_(Alert.resolved_at >= since, Alert.resolved_at < until)
    still = sa.and_(
        Alert.opened_at < until,
        sa.or_(Alert.resolved_at.is_(None), Alert.resolved_at >= until),
    )
    opened, resolved, active = session.execute(
        sa.select(
            sa.func.count().filter(began),
            sa.func.count().filter(ended),
            sa.func.count().filter(still),
        ).where(ours)
    ).one()
    rank = sa.case({severity: severity.rank for severity in Severity}, value=Alert.severity)
    rows = session.execute(
        sa.select(Alert, Project.name, Instance.environment)
        .join(Project, Project.id == Alert.project_id)
        .join(Instance, Instance.id == Alert.instance_id)
        .where(ours, began)
        .order_by(rank.desc(), Alert.opened_at.desc(), Alert.id)
        .limit(limit)
    )
    gravest = [
        AlertSummary(
            project_name=project,
            environment=environment,
            severity=Severity(alert.severity).value,
            title=alert.title,
            opened_at=alert.opened_at,
            resolved_at=alert.resolved_at
            if alert.resolved_at and alert.resolved_at < until
            else None,
        )
        for alert, project, environment in rows
    ]
    return AlertsOver(opened=opened, resolved=resolved, active=active, gravest=gravest)

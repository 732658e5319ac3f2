"""Webhooks on their way: what is to be sent of a try, and to where."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from mainstay_server.areas.remediation.models import RemediationAction, RemediationRun, RunState
from mainstay_server.areas.remediation.schemas import RemediationTryDue
from mainstay_server.kernel.clock import rfc3339

from .runs import is_over


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """One try of a webhook, ready to be sent."""

    url: str
    secret: str
    document: dict[str, Any]


def find_parcel(session: Session, event: RemediationTryDue, *, now: datetime) -> Parcel | None:
    """What is to be sent; None when the run or its alert is over, or the run is further on."""
    run = session.get(RemediationRun, event.run_id)
    if run is None or run.state != RunState.RUNNING or run.tries != event.number:
        return None
    if is_over(session, run):
        return None
    action = session.get_one(RemediationAction, run.action_id)
    return Parcel(
        url=str(action.config["url"]),
        secret=action.secret,
        document={
            "type": "remediation.try",
            "timestamp": rfc3339(now),
            "action": action.name,
            "run": {"id": run.id, "try": run.tries, "mostTries": action.most_tries},
            "alert": {"id": run.alert_id, "title": run.alert_title},
            "instance": {"id": run.instance_id},
        },
    )

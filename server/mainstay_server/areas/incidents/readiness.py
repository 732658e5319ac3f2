"""What the scorecard asks of incidents: is one waiting for somebody, was something learnt of it?"""

from datetime import datetime, timedelta

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

from .models import Severity
from .service import listing

WAITS_FOR = timedelta(hours=1)
TIME_TO_WRITE = timedelta(days=5)
LOOKED_BACK = timedelta(days=90)


@readiness_check("incidents.somebody_works", "Is somebody working on what is open?")
def somebody_works(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Passes unless an incident has been open for an hour and nobody took it up."""
    opened = listing.open_incidents(session, instance.id)
    if not opened:
        return NotApplicable(reason="No incident is open.")
    waiting = [
        each for each in opened if each.acknowledged_at is None and now - each.since > WAITS_FOR
    ]
    if waiting:
        return Finding(
            problem=f"Nobody has taken up incident #{waiting[0].number}: {waiting[0].title}.",
            fix="Take it up on its page, or resolve it.",
            fix_url=instance.page(f"incidents/{waiting[0].id}"),
        )
    return Passed(evidence=f"Incident #{opened[0].number} is in hand.")


@readiness_check(
    "incidents.postmortems", "Was something learnt of what hurt most?", weight=Weight.SHOULD
)
def something_was_learnt(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Passes when critical incidents of 90 days have a postmortem five days after their end."""
    since, until = now - LOOKED_BACK, now - TIME_TO_WRITE
    due = listing.resolved_with_postmortems(
        session, instance.id, Severity.CRITICAL, since=since, until=until
    )
    missing = [incident for incident, has_one in due if not has_one]
    if not due:
        return NotApplicable(reason="No critical incident of the last 90 days is due for one.")
    if missing:
        more = "1 critical incident has"
        if len(missing) > 1:
            more = f"{len(missing)} critical incidents have"
        return Finding(
            problem=f"{more} no postmortem: #{missing[0].number} {missing[0].title}.",
            fix="Write down what was learnt; the draft has the timeline already.",
            fix_url=instance.page(f"incidents/{missing[0].id}/postmortem"),
        )
    return Passed(evidence=f"All {len(due)} critical incidents of 90 days have a postmortem.")

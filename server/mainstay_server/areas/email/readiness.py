"""What the scorecard asks of mail: does what an app sends really get to its readers?"""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.kernel.mailing import why_no_mail
from mainstay_server.kernel.readiness import (
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Weight,
    readiness_check,
)
from mainstay_server.kernel.subjects import InstanceRef

from .models import EmailState
from .service.listing import WEEK, health_of

# Mail services begin to hold back senders at 5 % bounces, and at 0.1 % complaints.
MOST_BOUNCED_PERCENT = 5.0
LEAST_TO_JUDGE = 20


@readiness_check("email.gets_through", "Does mail get to its readers?", weight=Weight.SHOULD)
def mail_gets_through(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Passes when mail is set up and few of the project's mails of a week bounced or failed."""
    health = health_of(session, instance.project_id, since=now - WEEK)
    total = sum(health.counts.values())
    if not total:
        return NotApplicable(reason="This project sent no mail in the last seven days.")
    page = instance.page("email")
    why_not = why_no_mail()
    if why_not:
        return Finding(
            problem=f"{health.counts[EmailState.QUEUED]} mails wait: no mail server is set up.",
            fix=why_not,
            fix_url=page,
        )
    failed = health.counts[EmailState.FAILED]
    if failed:
        newest = next((each for each in health.troubles if each.state == EmailState.FAILED), None)
        why = f" The newest: {newest.reason}" if newest else ""
        return Finding(
            problem=f"{failed} of {total} mails of seven days could not be sent.{why}",
            fix="Look at the reasons and mend what they name.",
            fix_url=page,
        )
    bounced = health.bounced_percent
    if bounced is not None and health.decided >= LEAST_TO_JUDGE and bounced > MOST_BOUNCED_PERCENT:
        return Finding(
            problem=f"{bounced:.1f} % of the mails of seven days bounced or were called spam.",
            fix="Write only to people who confirmed their address, and remove those that are gone.",
            fix_url=page,
        )
    return Passed(
        evidence=f"{health.counts[EmailState.SENT]} of {total} mails of 7 days were sent."
    )

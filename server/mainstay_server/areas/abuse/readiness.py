"""What going live asks about abuse: does somebody look for it, and is it stopped."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.kernel.readiness import Finding, Outcome, Passed, Weight, readiness_check
from mainstay_server.kernel.subjects import InstanceRef

from .models import Mode
from .service import watching


@readiness_check("abuse.stopped", "Is abuse found and stopped?", weight=Weight.SHOULD)
def abuse_is_looked_for(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Ask that the rules ban, after their simulation was looked at."""
    mode = watching.find_settings(session, instance.id).mode
    if mode == Mode.ENFORCE:
        return Passed(evidence="Who breaks a rule is kept out.")
    words = "is not looked for" if mode == Mode.OFF else "is found and only simulated"
    return Finding(
        problem=f"Abuse {words}.",
        fix="Look at what would have been banned, then switch the mode to enforce.",
        fix_url=instance.page("security"),
    )

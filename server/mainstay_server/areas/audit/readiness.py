"""What the scorecard asks of the audit log: does it verify, and would a cut be seen?"""

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
from mainstay_server.kernel.settings import ServerSettings, of
from mainstay_server.kernel.subjects import InstanceRef

from .models import AuditLog
from .service import checkpoints, leaving

GUIDE = "/dashboard/organization/audit"
EVIDENCE_IS_FRESH = timedelta(days=2)


@readiness_check("audit.log_verifies", "Does the audit log still say what it said when written?")
def log_verifies(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Passes when the latest look at the whole log, within two days, found every row in place."""
    log = session.get(AuditLog, instance.organization_id)
    if log is None or log.size == 0:
        return NotApplicable(reason="Nobody has administered anything yet.")
    if log.faults:
        return Finding(
            problem=f"The audit log was changed: {log.faults[0]}",
            fix="Find out who could write into the database, and restore it from before.",
            fix_url=GUIDE,
        )
    if log.verified_at is None or now - log.verified_at > EVIDENCE_IS_FRESH:
        return Finding(
            problem="The audit log was not verified in the last two days.",
            fix="See that a worker runs, which verifies it every six hours.",
            fix_url=GUIDE,
        )
    return Passed(
        evidence=f"Verified up to row {log.verified_size:,} on"
        f" {log.verified_at:%-d %b %Y, %H:%M} UTC."
    )


@readiness_check(
    "audit.checkpoints_leave",
    "Would it be seen if the newest rows of the audit log were cut off?",
    weight=Weight.SHOULD,
)
def checkpoints_leave(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Passes when the newest checkpoint reached a place that is not this machine's own disk."""
    log = session.get(AuditLog, instance.organization_id)
    if log is None or log.signed_size == 0:
        return NotApplicable(reason="Nothing of the log is signed yet.")
    away = [name for name in leaving.destinations() if name != leaving.BLOBS or _is_remote()]
    if not away:
        return Finding(
            problem="The log's checkpoints stay on the machine whose log they are to prove.",
            fix="Set MAINSTAY_AUDIT_CHECKPOINT_WEBHOOK_URL or …_FOLDER, or keep blobs in S3.",
            fix_url=GUIDE,
        )
    reached = {d.name: d for d in checkpoints.list_destinations(session, log.organization_id)}
    for name in away:
        found = reached.get(name)
        if found is not None and found.error:
            return Finding(
                problem=f"Checkpoints do not reach the {name}: {found.error}",
                fix="Mend the destination; what waits is sent again by itself.",
                fix_url=GUIDE,
            )
    furthest = max((reached[name].size for name in away if name in reached), default=0)
    if furthest == 0:
        return Finding(
            problem="No checkpoint has left the machine yet.",
            fix="Wait a minute; if it stays so, see that a worker runs.",
            fix_url=GUIDE,
        )
    return Passed(evidence=f"Signed up to row {furthest:,}, at the {', '.join(away)}.")


def _is_remote() -> bool:
    url = of(ServerSettings).blobs_url
    return bool(url) and not url.startswith(("file:", "memory:"))

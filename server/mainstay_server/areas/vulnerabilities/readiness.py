"""What going live asks about vulnerabilities: were they looked for, and are grave ones mended."""

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

from .service import listing, standing

SCANNED_WITHIN = timedelta(days=14)
MENDED_WITHIN = timedelta(days=7)


@readiness_check(
    "vulnerabilities.scanned", "Is it scanned for vulnerabilities?", weight=Weight.SHOULD
)
def scans_arrive(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Ask for a scan of the main branch within the last two weeks."""
    page = instance.page("vulnerabilities")
    newest = next(iter(listing.sources_of(session, instance.id)), None)
    if newest is None:
        return Finding(
            problem="No scan for vulnerabilities was ever uploaded.",
            fix="Upload one from CI: the page shows the line.",
            fix_url=page,
        )
    days = (now - newest.scanned_at).days
    if now - newest.scanned_at > SCANNED_WITHIN:
        return Finding(
            problem=f"The newest scan, by {newest.name}, is {days} days old.",
            fix="Scan on a schedule: new advisories are published for old code, too.",
            fix_url=page,
        )
    return Passed(evidence=f"{newest.name} scanned it {_ago(days)}.")


@readiness_check(
    "vulnerabilities.criticals_mended", "Are critical vulnerabilities mended within a week?"
)
def no_old_criticals(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Ask that no critical finding is open for more than seven days."""
    if not listing.sources_of(session, instance.id):
        return NotApplicable(reason="Nothing was scanned yet.")
    old, oldest = standing.old_criticals(session, instance.id, before=now - MENDED_WITHIN)
    if oldest is None:
        return Passed(evidence="No critical finding is open for more than seven days.")
    others = f", and {old - 1} more" if old > 1 else ""
    return Finding(
        problem=f"Critical and open for more than seven days: {oldest.title}{others}.",
        fix="Mend it, or accept it until a day and say why.",
        fix_url=f"{instance.page('vulnerabilities')}&severity=critical",
    )


def _ago(days: int) -> str:
    return "today" if days < 1 else "a day ago" if days == 1 else f"{days} days ago"

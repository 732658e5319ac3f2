"""What going live asks about backups: are there any, fresh ones, did one restore, and where."""

from collections.abc import Sequence
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

from .models import BackupTarget, DestinationKind
from .service import alarms, removal, runs, targets

VERIFIED_WITHIN = timedelta(days=8)
NOTHING = NotApplicable(reason="Nothing is backed up yet.")


@readiness_check("backups.exist", "Is its data backed up?")
def data_is_backed_up(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Passes when something of the instance is backed up by a schedule."""
    found = _targets(session, instance)
    if not found:
        return Finding(
            problem="Nothing is backed up: what is lost is lost.",
            fix="Name the database and the folders of this instance, and where copies go.",
            fix_url=instance.page("backups"),
        )
    names = ", ".join(each.name for each in found[:5])
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""  # noqa: PLR2004 - the five named
    return Passed(evidence=f"Backed up by a schedule: {names}{more}.")


@readiness_check("backups.fresh", "Is there a backup as new as its schedule says?")
def backups_are_fresh(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Passes when no target's backup is late, computed from the schedules alone."""
    found = _targets(session, instance)
    if not found:
        return NOTHING
    oldest = now
    for target in found:
        seen = alarms.punctuality(session, target, now=now)
        if seen.last_at is None or seen.is_late:
            since = f"since {seen.last_at:%Y-%m-%d %H:%M} UTC" if seen.last_at else "yet"
            last = next(iter(runs.history(session, target_id=target.id, limit=1).items), None)
            why = f" The last run says: {last.reason}" if last and last.reason else ""
            return Finding(
                problem=f"There is no backup of {target.name} {since}.{why}",
                fix="Look at its last runs, mend what they say, and have one made now.",
                fix_url=instance.page("backups"),
            )
        oldest = min(oldest, seen.last_at)
    return Passed(evidence=f"None is older than {oldest:%Y-%m-%d %H:%M} UTC, and none is late.")


@readiness_check("backups.verified", "Was a backup restored and compared lately?")
def backups_restore(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Passes when of each target a backup was opened and found whole in the last eight days."""
    found = _targets(session, instance)
    if not found:
        return NOTHING
    for target in found:
        verified = removal.last_verified_id(session, target.id)
        at = runs.get_backup(session, verified).verified_at if verified else None
        if at is None or now - at > VERIFIED_WITHIN:
            since = f" since {at:%Y-%m-%d}" if at else ""
            return Finding(
                problem=f"No backup of {target.name} was shown to restore{since}.",
                fix="Have a drill restore one; give it a drill key, or try one by hand with yours.",
                fix_url=instance.page("backups"),
            )
    return Passed(evidence="Of each target a backup was restored and compared in the last 8 days.")


@readiness_check(
    "backups.elsewhere",
    "Do copies lie in more than one place, one of them elsewhere?",
    weight=Weight.SHOULD,
)
def copies_lie_elsewhere(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Passes when each target goes to two destinations or more, one of them not this machine."""
    found = _targets(session, instance)
    if not found:
        return NOTHING
    for target in found:
        places = targets.destinations_of(session, target.id)
        if len(places) < 2 or all(each.kind != DestinationKind.S3 for each in places):  # noqa: PLR2004 - the 2 of 3-2-1
            return Finding(
                problem=f"A fire or a thief takes {target.name} and its backups at once.",
                fix="Add a bucket in another place as a second destination.",
                fix_url=instance.page("backups"),
            )
    return Passed(evidence="Each backup goes to two places or more, and one is not this machine.")


def _targets(session: Session, instance: InstanceRef) -> Sequence[BackupTarget]:
    return [each for each in targets.list_targets(session, instance.id) if each.is_enabled]

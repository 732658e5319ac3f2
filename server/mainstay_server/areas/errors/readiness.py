"""What the scorecard asks of errors, answered from live evidence."""

from datetime import datetime
from urllib.parse import quote

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

from .service import evidence
from .service.kinds import FIX, TITLE


@readiness_check("errors.receives", "Do the app's errors arrive?")
def errors_arrive(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Whether an error event of this instance ever arrived: the only proof that the SDK works."""
    last = evidence.last_event_at(session, instance.id)
    if last is None:
        return Finding(
            problem="No error event of this instance has ever arrived.",
            fix="Add a Sentry SDK with this project's DSN and let the app raise one error.",
            fix_url=instance.page("errors"),
        )
    return Passed(evidence=f"The latest error event arrived at {last:%Y-%m-%d %H:%M} UTC.")


@readiness_check(
    "errors.release_known", "Do errors say in which release they happen?", weight=Weight.SHOULD
)
def errors_name_their_release(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Whether the events of the last weeks carry a release: without it nobody sees what broke."""
    if evidence.last_event_at(session, instance.id) is None:
        return NotApplicable(reason="No error event has arrived yet.")
    total, named, latest = evidence.releases_of(instance, now=now)
    if not total:
        return NotApplicable(reason="No error event arrived in the last 14 days.")
    if named < total:
        return Finding(
            problem=f"{total - named:,} of {total:,} events in 14 days carry no release.",
            fix='Pass the version to the SDK: sentry_sdk.init(…, release="app@1.2.3").',
            fix_url=instance.page("errors"),
        )
    return Passed(evidence=f"All {total:,} events in 14 days carry a release, now {latest}.")


@readiness_check(
    "errors.kinds_known", "Are errors of few enough kinds to be told apart?", weight=Weight.SHOULD
)
def errors_are_of_few_kinds(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Whether no event was of too many new kinds lately: then new errors are not told apart."""
    if evidence.last_event_at(session, instance.id) is None:
        return NotApplicable(reason="No error event has arrived yet.")
    events = evidence.events_of_too_many_kinds(session, instance, now=now)
    if events:
        return Finding(
            problem=f"{events:,} events were of too many new kinds to have issues of their own.",
            fix=FIX,
            fix_url=instance.page("errors") + f"&q={quote(TITLE)}",
        )
    return Passed(evidence="Every kind of error of the last two days has its issue.")


@readiness_check("errors.worked_on", "Is somebody working on what breaks?", weight=Weight.SHOULD)
def issues_are_worked_on(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Whether no issue of level error is unresolved for more than a week and still happens."""
    old = evidence.neglected(session, instance.id, now=now)
    if old:
        return Finding(
            problem=f"{old:,} issues are older than a week, still happen and are unresolved.",
            fix="Resolve each after its fix is out, or ignore what nobody is going to fix.",
            fix_url=instance.page("errors") + "&sort=first_seen",
        )
    return Passed(evidence="No unresolved issue is older than a week and still happens.")

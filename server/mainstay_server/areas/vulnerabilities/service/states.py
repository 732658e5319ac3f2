"""What a finding is now, from what is seen of it and what somebody decided."""

from datetime import datetime

from mainstay_server.areas.vulnerabilities.models import Decision, Status


def status_of(
    *,
    present: bool,
    was_on_main: bool,
    decision: Decision,
    until: datetime | None,
    now: datetime,
) -> Status:
    """The status: a decision holds while it has not ended and there is something to decide of.

    What is gone from the main branch is fixed whatever was decided; the decision waits beside it,
    and holds again should the finding come back.
    """
    if is_decided(decision, until, now=now) and (present or not was_on_main):
        return Status(decision.value)
    if present:
        return Status.OPEN
    return Status.FIXED if was_on_main else Status.UNMERGED


def is_decided(decision: Decision, until: datetime | None, *, now: datetime) -> bool:
    """Whether a decision holds at a moment."""
    return decision is not Decision.NONE and (until is None or until > now)

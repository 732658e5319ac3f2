"""When certificates and domains end: told once per threshold, and once when they were renewed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.schemas.orders import Fact
from mainstay_server.contracts.health_checks import ExpiryMoved
from mainstay_server.kernel.events import say

KINDS = ("certificate", "domain")
DAY = timedelta(days=1)
# Behind a balancer one machine may still show the old certificate: a new one is believed when the
# old has not been seen for so many turns.
TURNS_TO_BELIEVE = 2
COLUMNS = tuple(
    getattr(HealthCheck, f"{kind}_{part}")
    for kind in KINDS
    for part in ("ends_at", "told_days", "later_since")
)


def is_news(known: Mapping[Any, Any], facts: Mapping[str, Fact], *, at: datetime) -> bool:
    """Whether an end that was seen is not the one known, or has come a threshold nearer."""
    for kind in KINDS:
        ends_at = _end_in(facts, kind)
        if ends_at is None:
            continue
        if known[f"{kind}_ends_at"] != ends_at or known[f"{kind}_later_since"] is not None:
            return True
        due = threshold_of(known["expiry_days"], ends_at, at)
        if _is_nearer(due, known[f"{kind}_told_days"]):
            return True
    return False


def note_ends(
    session: Session, check: HealthCheck, facts: Mapping[str, Fact], *, at: datetime
) -> None:
    """Keep the ends that a result saw, and tell what is worth telling of them, once each.

    The caller holds the row's lock, so that of two processes one alone speaks.
    """
    for kind in KINDS:
        ends_at = _end_in(facts, kind)
        if ends_at is not None and _is_believed(session, check, kind, ends_at, at=at):
            due = threshold_of(check.expiry_days, ends_at, at)
            if due is not None and _is_nearer(due, getattr(check, f"{kind}_told_days")):
                setattr(check, f"{kind}_told_days", due)
                _say(session, check, kind, ends_at, days=due, at=at)


def forget_ends(session: Session, check: HealthCheck, *, at: datetime, reason: str) -> None:
    """Forget what is known of ends, since nobody looks at them now; tell whoever was warned."""
    for kind in KINDS:
        _settle(session, check, kind, at=at, reason=reason)
        setattr(check, f"{kind}_ends_at", None)


def threshold_of(days: Sequence[int], ends_at: datetime, now: datetime) -> int | None:
    """The lowest threshold that the time left has come down to; None while it is above all."""
    return min((each for each in days if ends_at - now <= each * DAY), default=None)


def _is_believed(
    session: Session, check: HealthCheck, kind: str, ends_at: datetime, *, at: datetime
) -> bool:
    """Whether this is the end that counts; a renewal is told here."""
    known: datetime | None = getattr(check, f"{kind}_ends_at")
    later_since: datetime | None = getattr(check, f"{kind}_later_since")
    if known is not None and ends_at > known and getattr(check, f"{kind}_told_days") is not None:
        if later_since is None:
            setattr(check, f"{kind}_later_since", at)
            return False
        if at - later_since < timedelta(seconds=TURNS_TO_BELIEVE * check.interval_seconds):
            return False
        _settle(session, check, kind, at=at, reason=f"renewed until {ends_at:%Y-%m-%d}")
    elif known is not None and ends_at < known:
        setattr(check, f"{kind}_told_days", None)
    setattr(check, f"{kind}_ends_at", ends_at)
    setattr(check, f"{kind}_later_since", None)
    return True


def _settle(session: Session, check: HealthCheck, kind: str, *, at: datetime, reason: str) -> None:
    ends_at = getattr(check, f"{kind}_ends_at")
    if getattr(check, f"{kind}_told_days") is not None and ends_at is not None:
        _say(session, check, kind, ends_at, days=None, at=at, reason=reason)
    setattr(check, f"{kind}_told_days", None)
    setattr(check, f"{kind}_later_since", None)


def _end_in(facts: Mapping[str, Fact], kind: str) -> datetime | None:
    found = facts.get(f"{kind}_ends_at")
    if not isinstance(found, int | float):
        return None
    try:
        return datetime.fromtimestamp(found, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return None  # a time that no calendar has, as only a broken probe tells it


def _is_nearer(due: int | None, told: int | None) -> bool:
    return due is not None and (told is None or due < told)


def _say(  # noqa: PLR0913 - all that is said
    session: Session,
    check: HealthCheck,
    kind: str,
    ends_at: datetime,
    *,
    days: int | None,
    at: datetime,
    reason: str = "",
) -> None:
    say(
        session,
        ExpiryMoved(
            organization_id=check.organization_id,
            project_id=check.project_id,
            instance_id=check.instance_id,
            health_check_id=check.id,
            name=check.name,
            target=check.target,
            what=kind,
            ends_at=ends_at,
            days=days,
            reason=reason,
        ),
        now=at,
    )

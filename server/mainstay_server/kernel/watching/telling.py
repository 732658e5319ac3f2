"""What is worth telling of a subject: each change once, held back, or folded into one word."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from .models import Watchable
from .states import KNOWN, TROUBLE, State
from .windows import windows_of

FLAPPING = "flapping"
CALM = timedelta(hours=1)
LOOK_AGAIN = timedelta(minutes=1)
MOST_TOLD_AT_ONCE = 500

Subject = TypeVar("Subject", bound=Watchable)


class Tidings(StrEnum):
    """What there is to tell: at most one thing per change."""

    WENT_DOWN = "went_down"
    DEGRADED = "degraded"
    RECOVERED = "recovered"
    STOPPED = "stopped"
    FLAPPING = "flapping"
    SETTLED = "settled"


@dataclass(frozen=True, kw_only=True)
class Told:
    """Something that the area must say now, as its own event, since nobody will again.

    `state` is how the subject is and `since` from when on; of one that flaps, it is the trouble
    that it comes back to. `troubled_since` is when the trouble
    began that has ended, where one has: recovered, and settled in health.
    """

    tidings: Tidings
    state: State
    since: datetime
    reason: str
    troubled_since: datetime | None = None


def tell(
    session: Session, subject: Watchable, *, now: datetime, hold_until: datetime | None = None
) -> Told | None:
    """What to say of a subject at this moment, if anything, and remember it as told.

    Time we did not watch is no change, nor is time in which it could not be reached. Health is
    told at once. Trouble is told once it has lasted `tell_after_seconds`, however it varied
    meanwhile, and no maintenance covers it; what outlasts a window is told at its end. While it
    flaps, that is told instead, once, until it has stayed as it is for an hour.

    With `hold_until`, trouble waits until then for something else to be found out first, or until
    this is called without it.
    """
    if subject.flapping_since and now >= subject.state_since + CALM:
        subject.flapping_since = None
    subject.tell_at = subject.state_since + CALM if subject.flapping_since else None
    if subject.state not in KNOWN:
        return None
    wanted = FLAPPING if subject.flapping_since else str(subject.state)
    if subject.told_state in (wanted, subject.state):
        subject.differs_since = None
    elif subject.differs_since is None:
        subject.differs_since = subject.state_since
    if wanted == subject.told_state:
        return None
    if wanted != State.HEALTHY and _is_held(session, subject, now=now, hold_until=hold_until):
        return None
    return _mark_told(subject, wanted)


def stop_telling(subject: Watchable, *, at: datetime, reason: str) -> Told | None:
    """Let go of what was told: nobody watches any more, so nobody would say that it ended."""
    troubled = subject.told_state in (*TROUBLE, FLAPPING)
    subject.told_state = ""
    subject.differs_since = subject.tell_at = None
    subject.troubled_since = subject.flapping_since = None
    if not troubled:
        return None
    return Told(tidings=Tidings.STOPPED, state=State(subject.state), since=at, reason=reason)


def due_to_tell(session: Session, kind: type[Subject], *, now: datetime) -> Sequence[Subject]:
    """Subjects whose trouble was held back and may be worth telling now, locked; at most 500."""
    return session.scalars(
        sa.select(kind)
        .where(kind.tell_at <= now)
        .order_by(kind.id)
        .limit(MOST_TOLD_AT_ONCE)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()


def _is_held(
    session: Session, subject: Watchable, *, now: datetime, hold_until: datetime | None
) -> bool:
    """Whether trouble must wait; then it is known when to look again."""
    began = subject.flapping_since or subject.differs_since or subject.state_since
    until = max(began + timedelta(seconds=subject.tell_after_seconds), hold_until or began)
    if now >= until:
        windows = windows_of(session, subject, since=now, until=now)
        if not windows:
            return False
        # Somebody may end it early, so a window is looked at again before its end.
        until = min(windows[-1].ended_at, now + LOOK_AGAIN)
    subject.tell_at = min(until, subject.tell_at or until)
    return True


def _mark_told(subject: Watchable, wanted: str) -> Told | None:
    before, subject.told_state = subject.told_state, wanted
    began = subject.flapping_since or subject.differs_since or subject.state_since
    subject.differs_since = None
    troubled_since = subject.troubled_since
    if wanted == State.HEALTHY:
        subject.troubled_since = None
    else:
        subject.troubled_since = troubled_since or began
    tidings = _tidings(before, wanted)
    if tidings is None:
        return None
    state = State(subject.state)
    if wanted == FLAPPING and state == State.HEALTHY:
        state = State(before) if before in TROUBLE else State.UNHEALTHY
    return Told(
        tidings=tidings,
        state=state,
        since=subject.state_since,
        reason=subject.state_reason,
        troubled_since=troubled_since if wanted == State.HEALTHY else None,
    )


def _tidings(before: str, wanted: str) -> Tidings | None:
    if wanted == FLAPPING:
        return Tidings.FLAPPING
    if before == FLAPPING:
        return Tidings.SETTLED
    if wanted == State.HEALTHY:
        return Tidings.RECOVERED if before else None
    return Tidings.WENT_DOWN if wanted == State.UNHEALTHY else Tidings.DEGRADED

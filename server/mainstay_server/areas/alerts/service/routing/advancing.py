"""What is due of a group that is held: what ended, what begins, and what lasts, in this order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import Alert, AlertStatus, Change, NotificationState
from mainstay_server.areas.alerts.models.routing import (
    AlertGroup,
    AlertTelling,
    Ending,
    TellingState,
)

from . import putting
from .choosing import Ear, Route, Verdict
from .ground import LONGEST_REASON, Ground, default_pace, why_held
from .pacing import NEVER, Entry, Pace, Reason, earliest, needs_update

# While a beginning has not arrived, its end waits where it could overtake it.
ORDER_PAUSE = timedelta(seconds=15)
HELD_PAUSE = timedelta(seconds=30)
MOST_TOGETHER = 1_000


@dataclass(frozen=True)
class Listener:
    """A channel with the route by which it hears, which says how it is told."""

    ground: Ground
    ear: Ear
    route: Route | None

    @property
    def pace(self) -> Pace:
        """How it is told; a channel that cannot show several alerts as one waits for nothing."""
        pace = self.route.pace if self.route else default_pace()
        return pace if self.ear.gathers else Pace(wait=NEVER, interval=NEVER, repeat=pace.repeat)

    def why_held(self, session: Session, alert: Alert, *, now: datetime) -> str:
        """Why it is not told of an alert at present; empty when it is."""
        heard = Verdict(ear=self.ear, hears=True, route=self.route, why="")
        why = why_held(session, self.ground, alert, now=now) or heard.quiet(now)
        return why[:LONGEST_REASON]


def advance(session: Session, group: AlertGroup, listener: Listener, *, now: datetime) -> None:
    """Tell what is due of a group that is held, and say when it is due next."""
    opens = group.opens_due_at is not None and group.opens_due_at <= now
    # What ended is told before what begins: it may be the same thing again.
    if group.ends_due_at is not None and (opens or group.ends_due_at <= now):
        _tell_ends(session, group, listener, now=now)
    if opens:
        _tell_openings(session, group, listener, now=now)
    repeats_due_at = _tell_repeats(session, group, listener, now=now)
    group.due_at = earliest(group.opens_due_at, group.ends_due_at, repeats_due_at)
    session.flush()


def _tell_openings(
    session: Session, group: AlertGroup, listener: Listener, *, now: datetime
) -> None:
    ready = []
    members = _members(session, group, AlertTelling.state == TellingState.WAITING)
    for telling, alert in members:
        active = alert.status == AlertStatus.ACTIVE
        telling.reason = listener.why_held(session, alert, now=now) if active else ""
        why = needs_update(
            _entry(telling), firing=active, resolved=not active, repeat=NEVER, now=now
        )
        if why is None or not listener.ear.enabled:
            telling.state = TellingState.DROPPED
        elif telling.reason:
            telling.state = TellingState.HELD
        else:
            telling.state, telling.told_at = TellingState.TOLD, now
            ready.append(alert)
    group.opens_due_at = now if len(members) == MOST_TOGETHER else None
    if ready:
        group.told_at = now
        _put(session, group, listener, ready, Change.OPENED, now=now)


def _tell_ends(session: Session, group: AlertGroup, listener: Listener, *, now: datetime) -> None:
    """Tell what ended, as one message where its beginnings have arrived or keep it in order."""
    members = _members(session, group, AlertTelling.ending == Ending.WAITING)
    if not listener.ear.enabled:
        for telling, _ in members:
            telling.ending = Ending.OVER
        members = []
    openings = putting.openings_of(session, [alert.id for _, alert in members], group.channel_id)
    threads = {
        openings[alert.id].thread if alert.id in openings else putting.thread_of(alert)
        for _, alert in members
    }
    in_order = len(threads) == 1 or not listener.ear.gathers
    ready = []
    for telling, alert in members:
        opening = openings.get(alert.id)
        if in_order or opening is None or opening.state != NotificationState.WAITING:
            telling.ending = Ending.OVER
            ready.append(alert)
    all_told = len(ready) == len(members) < MOST_TOGETHER
    group.ends_due_at = None if all_told else now + ORDER_PAUSE
    if ready:
        thread = threads.pop() if len(threads) == 1 else ""
        _put(session, group, listener, ready, Change.RESOLVED, thread=thread, now=now)


def _tell_repeats(
    session: Session, group: AlertGroup, listener: Listener, *, now: datetime
) -> datetime | None:
    """Tell again what lasts and nobody took in hand; returns when that is due next."""
    pace = listener.pace
    if pace.repeat <= NEVER:
        return None
    lasting = _members(
        session,
        group,
        sa.and_(
            AlertTelling.state == TellingState.TOLD,
            AlertTelling.ending == Ending.LASTS,
            Alert.status == AlertStatus.ACTIVE,
            Alert.acknowledged_at.is_(None),
        ),
    )
    by_turn: dict[int, list[Alert]] = {}
    if any(_asks_again(telling, pace.repeat, now=now) for telling, _ in lasting):
        for telling, alert in lasting:
            soon = now + pace.interval  # what would be told again within the interval comes along
            held = listener.why_held(session, alert, now=now)
            if not held and _asks_again(telling, pace.repeat, now=soon):
                telling.told_at, telling.repeats = now, telling.repeats + 1
                by_turn.setdefault(telling.repeats, []).append(alert)
    for turn, alerts in by_turn.items():
        _put(session, group, listener, alerts, Change.OPENED, turn=turn, now=now)
    told = [telling.told_at for telling, _ in lasting if telling.told_at is not None]
    return max(min(told) + pace.repeat, now + HELD_PAUSE) if told else None


def _asks_again(telling: AlertTelling, repeat: timedelta, *, now: datetime) -> bool:
    asked = needs_update(_entry(telling), firing=True, resolved=False, repeat=repeat, now=now)
    return asked is Reason.REPEAT


def _entry(telling: AlertTelling) -> Entry:
    return Entry(told_at=telling.told_at, is_over=telling.ending == Ending.OVER)


def _members(
    session: Session, group: AlertGroup, which: sa.ColumnElement[bool]
) -> Sequence[tuple[AlertTelling, Alert]]:
    rows = session.execute(
        sa.select(AlertTelling, Alert)
        .join(Alert, Alert.id == AlertTelling.alert_id)
        .where(AlertTelling.group_id == group.id, which)
        .order_by(Alert.id)
        .limit(MOST_TOGETHER)
        .execution_options(populate_existing=True)
    )
    return [(telling, alert) for telling, alert in rows]


def _put(  # noqa: PLR0913 - a message, all that it is made of
    session: Session,
    group: AlertGroup,
    listener: Listener,
    alerts: Iterable[Alert],
    change: Change,
    *,
    turn: int = 0,
    thread: str = "",
    now: datetime,
) -> None:
    """Write down one message of several alerts, or one of each where they cannot be one."""
    told = list(alerts)
    messages = [told] if listener.ear.gathers else [[alert] for alert in told]
    for members in messages:
        opening = putting.openings_of(session, [members[0].id], group.channel_id)
        own = opening[members[0].id].thread if members[0].id in opening else ""
        fallback = putting.thread_of(members[0]) if len(members) == 1 else f"group:{group.id}"
        single = own if len(members) == 1 else ""
        putting.put(
            session,
            members,
            group.channel_id,
            change,
            turn=turn,
            thread=thread or single or fallback,
            now=now,
        )

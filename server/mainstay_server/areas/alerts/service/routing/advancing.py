"""What is due of a group that is held: what ended, what begins, and what lasts, in this order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import (
    Alert,
    AlertNotification,
    AlertStatus,
    Change,
    NotificationState,
)
from mainstay_server.areas.alerts.models.routing import (
    AlertGroup,
    AlertTelling,
    Ending,
    TellingState,
)

from . import putting
from .choosing import Ear, Route, Verdict
from .ground import LONGEST_REASON, Ground, default_pace
from .pacing import NEVER, Entry, Pace, Reason, earliest, needs_update
from .putting import Message

# While a beginning has not arrived, its end waits where it could overtake it.
ORDER_PAUSE = timedelta(seconds=15)
HELD_PAUSE = timedelta(seconds=30)
MOST_TOGETHER = 1_000
LASTING = sa.and_(
    AlertTelling.state == TellingState.TOLD,
    AlertTelling.ending == Ending.LASTS,
    Alert.status == AlertStatus.ACTIVE,
    Alert.acknowledged_at.is_(None),
)


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
        why = self.ground.why_held(session, alert, now=now) or heard.quiet(now)
        return why[:LONGEST_REASON]


@dataclass(frozen=True)
class Held:
    """A group whose row this transaction holds, and who hears of it."""

    group: AlertGroup
    listener: Listener

    def opens(self, now: datetime) -> bool:
        """Whether what waits to be told is due."""
        return self.group.opens_due_at is not None and self.group.opens_due_at <= now

    def ends(self, now: datetime) -> bool:
        """Whether ends are due: what ended is told before what begins, it may be the same again."""
        due_at = self.group.ends_due_at
        return due_at is not None and (due_at <= now or self.opens(now))


Members = Mapping[str, Sequence[tuple[AlertTelling, Alert]]]
Openings = Mapping[tuple[str, str], AlertNotification]


def advance(session: Session, held: Sequence[Held], *, now: datetime) -> None:
    """Tell what is due of groups of different channels, and say when each is due next.

    Asks and writes for all of them at once: a handful of statements, whoever hears.
    """
    session.flush()
    messages = [
        *_ends(session, [one for one in held if one.ends(now)], now=now),
        *_openings(session, [one for one in held if one.opens(now)], now=now),
    ]
    session.flush()
    repeating = [one for one in held if one.listener.pace.repeat > NEVER]
    again, repeats_due_at = _repeats(session, repeating, now=now)
    putting.put(session, [*messages, *again], now=now)
    for one in held:
        group = one.group
        again_at = repeats_due_at.get(group.id)
        group.due_at = earliest(group.opens_due_at, group.ends_due_at, again_at)
    session.flush()


def _openings(session: Session, held: Sequence[Held], *, now: datetime) -> list[Message]:
    members = _members(session, held, AlertTelling.state == TellingState.WAITING)
    ready = {
        one.group.id: _ready_to_open(session, one, members[one.group.id], now=now) for one in held
    }
    for one in held:
        full = len(members[one.group.id]) == MOST_TOGETHER
        one.group.opens_due_at = now if full else None
        one.group.told_at = now if ready[one.group.id] else one.group.told_at
    openings = _told_before(session, held, ready)
    return [
        message
        for one in held
        for message in _messages(one, ready[one.group.id], Change.OPENED, openings)
    ]


def _ready_to_open(
    session: Session,
    held: Held,
    members: Sequence[tuple[AlertTelling, Alert]],
    *,
    now: datetime,
) -> list[Alert]:
    """Those of a group's waiting alerts that are told now; the others are held back, or dropped."""
    ready = []
    for telling, alert in members:
        active = alert.status == AlertStatus.ACTIVE
        telling.reason = held.listener.why_held(session, alert, now=now) if active else ""
        why = needs_update(
            _entry(telling), firing=active, resolved=not active, repeat=NEVER, now=now
        )
        if why is None or not held.listener.ear.enabled:
            telling.state = TellingState.DROPPED
        elif telling.reason:
            telling.state = TellingState.HELD
        else:
            telling.state, telling.told_at = TellingState.TOLD, now
            ready.append(alert)
    return ready


def _ends(session: Session, held: Sequence[Held], *, now: datetime) -> list[Message]:
    members = _members(session, held, AlertTelling.ending == Ending.WAITING)
    ended = {one.group.id: [alert for _, alert in members[one.group.id]] for one in held}
    openings = _told_before(session, held, ended)
    return [
        message
        for one in held
        for message in _ends_of(one, members[one.group.id], openings, now=now)
    ]


def _ends_of(
    held: Held,
    members: Sequence[tuple[AlertTelling, Alert]],
    openings: Openings,
    *,
    now: datetime,
) -> list[Message]:
    """What ended, as one message where its beginnings have arrived or keep it in order."""
    group = held.group
    if not held.listener.ear.enabled:
        for telling, _ in members:
            telling.ending = Ending.OVER
        group.ends_due_at = None
        return []
    first = {alert.id: openings.get((alert.id, group.channel_id)) for _, alert in members}
    threads = {
        opening.thread if (opening := first[alert.id]) else putting.thread_of(alert)
        for _, alert in members
    }
    in_order = len(threads) == 1 or not held.listener.ear.gathers
    ready = []
    for telling, alert in members:
        opening = first[alert.id]
        if in_order or opening is None or opening.state != NotificationState.WAITING:
            telling.ending = Ending.OVER
            ready.append(alert)
    all_told = len(ready) == len(members) < MOST_TOGETHER
    group.ends_due_at = None if all_told else now + ORDER_PAUSE
    thread = threads.pop() if len(threads) == 1 else ""
    return _messages(held, ready, Change.RESOLVED, openings, thread=thread)


def _repeats(
    session: Session, held: Sequence[Held], *, now: datetime
) -> tuple[list[Message], Mapping[str, datetime]]:
    """What is told again as it lasts and nobody took it in hand; and when that is due next."""
    told_at = _told_longest_ago(session, held)
    due = [
        one
        for one in held
        if one.group.id in told_at and now - told_at[one.group.id] >= one.listener.pace.repeat
    ]
    members = _members(session, due, LASTING)
    again = {one.group.id: _told_again(session, one, members[one.group.id], now=now) for one in due}
    openings = _told_before(
        session,
        due,
        {group_id: [*chain.from_iterable(turns.values())] for group_id, turns in again.items()},
    )
    messages = [
        message
        for one in due
        for turn, alerts in again[one.group.id].items()
        for message in _messages(one, alerts, Change.OPENED, openings, turn=turn)
    ]
    if messages:
        session.flush()
        told_at = _told_longest_ago(session, held)
    return messages, {
        one.group.id: max(told_at[one.group.id] + one.listener.pace.repeat, now + HELD_PAUSE)
        for one in held
        if one.group.id in told_at
    }


def _told_again(
    session: Session,
    held: Held,
    members: Sequence[tuple[AlertTelling, Alert]],
    *,
    now: datetime,
) -> dict[int, list[Alert]]:
    """The alerts of a group that are told again, by the turn that this is for them."""
    by_turn: dict[int, list[Alert]] = {}
    pace = held.listener.pace
    soon = now + pace.interval  # what would be told again within the interval comes along
    for telling, alert in members:
        why_held = held.listener.why_held(session, alert, now=now)
        if not why_held and _asks_again(telling, pace.repeat, now=soon):
            telling.told_at, telling.repeats = now, telling.repeats + 1
            by_turn.setdefault(telling.repeats, []).append(alert)
    return by_turn


def _asks_again(telling: AlertTelling, repeat: timedelta, *, now: datetime) -> bool:
    asked = needs_update(_entry(telling), firing=True, resolved=False, repeat=repeat, now=now)
    return asked is Reason.REPEAT


def _entry(telling: AlertTelling) -> Entry:
    return Entry(told_at=telling.told_at, is_over=telling.ending == Ending.OVER)


def _told_longest_ago(session: Session, held: Sequence[Held]) -> dict[str, datetime]:
    """When the alert of a group that lasts was told that was told longest ago, by group."""
    if not held:
        return {}
    rows = session.execute(
        sa.select(AlertTelling.group_id, sa.func.min(AlertTelling.told_at))
        .join(Alert, Alert.id == AlertTelling.alert_id)
        .where(AlertTelling.group_id.in_([one.group.id for one in held]), LASTING)
        .group_by(AlertTelling.group_id)
    )
    return {group_id: told_at for group_id, told_at in rows if told_at is not None}


def _members(
    session: Session, held: Sequence[Held], which: sa.ColumnElement[bool]
) -> dict[str, list[tuple[AlertTelling, Alert]]]:
    """The alerts of each group of which something holds, oldest first; at most 1,000 of each."""
    members: dict[str, list[tuple[AlertTelling, Alert]]] = {one.group.id: [] for one in held}
    if not held:
        return members
    place = sa.func.row_number().over(
        partition_by=AlertTelling.group_id, order_by=AlertTelling.alert_id
    )
    first = (
        sa.select(AlertTelling.id, place.label("place"))
        .join(Alert, Alert.id == AlertTelling.alert_id)
        .where(AlertTelling.group_id.in_(members), which)
        .subquery()
    )
    rows = session.execute(
        sa.select(AlertTelling, Alert)
        .join(first, first.c.id == AlertTelling.id)
        .join(Alert, Alert.id == AlertTelling.alert_id)
        .where(first.c.place <= MOST_TOGETHER)
        .order_by(Alert.id)
        .execution_options(populate_existing=True)
    )
    for telling, alert in rows:
        members[telling.group_id].append((telling, alert))
    return members


def _told_before(
    session: Session, held: Sequence[Held], alerts: Mapping[str, Sequence[Alert]]
) -> Openings:
    """By which messages the channels of groups were first told of alerts, if they were."""
    alert_ids = {alert.id for theirs in alerts.values() for alert in theirs}
    return putting.openings_of(session, alert_ids, {one.group.channel_id for one in held})


def _messages(
    held: Held,
    alerts: Sequence[Alert],
    change: Change,
    openings: Openings,
    *,
    turn: int = 0,
    thread: str = "",
) -> list[Message]:
    """One message of several alerts, or one of each where they cannot be one."""
    if not alerts:
        return []
    together = [alerts] if held.listener.ear.gathers else [[alert] for alert in alerts]
    return [
        Message(
            alerts=members,
            channel_id=held.group.channel_id,
            change=change,
            turn=turn,
            thread=thread or _thread(held.group, members, openings),
        )
        for members in together
    ]


def _thread(group: AlertGroup, alerts: Sequence[Alert], openings: Openings) -> str:
    if len(alerts) > 1:
        return f"group:{group.id}"
    opening = openings.get((alerts[0].id, group.channel_id))
    return opening.thread if opening and opening.thread else putting.thread_of(alerts[0])

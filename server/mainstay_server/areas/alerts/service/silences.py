"""Silences: which alerts are told to nobody for a while, who said so, and what that would hold."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import AlertSilence
from mainstay_server.contracts.alerts.routing import (
    AlertSilenceChanged,
    AlertSilenceCreated,
    AlertSilenceEvent,
    AlertSilenceExpired,
)
from mainstay_server.kernel.database import new_id, rows_changed
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.matchers import Matcher, matcher_of, matches_all, written
from mainstay_server.kernel.pagination import Page, decode_cursor, page_of
from mainstay_server.kernel.problems import Conflict, Forbidden, Invalid, NotFound

MOST_LIVE = 500
LONGEST_BY, LONGEST_COMMENT = 200, 1000


class SilenceState(StrEnum):
    """Where a silence stands, in Alertmanager's words."""

    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Whose alerts: those of one project, or of the whole organization without `project_id`."""

    organization_id: str
    project_id: str | None

    def widened(self, *, administers: bool) -> "Reach":
        """The whole organization. Raises `Forbidden` for who does not administer it."""
        if not administers:
            raise Forbidden(
                "What holds for the whole organization needs its admin; ask one, or silence the"
                " alerts of the project."
            )
        return Reach(organization_id=self.organization_id, project_id=None)


@dataclass(frozen=True)
class Live:
    """A silence that holds now, ready to be asked."""

    id: str
    matchers: tuple[Matcher, ...]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What somebody asks for; the times are checked against the clock when it is made."""

    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    by: str
    comment: str


def silenced_by(
    session: Session, reach: Reach, labels: Mapping[str, str], *, now: datetime
) -> list[str]:
    """The ids of the silences that hold an alert with these labels now, the oldest first.

    `reach` is where the alert lies. It is not read out of the labels, which whoever sends alerts
    chooses: a silence never holds what another project's or organization's alerts say.
    """
    return holding(live_silences(session, reach, now=now), labels)


def holding(silences: Iterable[Live], labels: Mapping[str, str]) -> list[str]:
    """The ids of those silences whose matchers fit the labels."""
    return [each.id for each in silences if matches_all(each.matchers, labels)]


def live_silences(session: Session, reach: Reach, *, now: datetime) -> list[Live]:
    """The silences that hold at a moment for alerts of a project, oldest first: one query.

    Whoever asks of many alerts asks this once, and `holding` for each.
    """
    rows = session.execute(
        sa.select(AlertSilence.id, AlertSilence.matchers)
        .where(_reaching(reach), AlertSilence.ends_at > now, AlertSilence.starts_at <= now)
        .order_by(AlertSilence.id)
        .limit(2 * MOST_LIVE)
    )
    return [Live(row.id, tuple(matcher_of(each) for each in row.matchers)) for row in rows]


def matchers_of(silence: AlertSilence) -> tuple[Matcher, ...]:
    """The matchers of a silence."""
    return tuple(matcher_of(each) for each in silence.matchers)


def state_of(silence: AlertSilence, *, now: datetime) -> SilenceState:
    """Where a silence stands at a moment."""
    if silence.ends_at <= now:
        return SilenceState.EXPIRED
    return SilenceState.PENDING if silence.starts_at > now else SilenceState.ACTIVE


def create_silence(
    session: Session, reach: Reach, wanted: Wanted, *, now: datetime
) -> AlertSilence:
    """Hold alerts from now, or from a later start, until an end.

    Raises:
        Invalid: the matchers would hold everything, or the times make no sense.
        Conflict: there are as many silences as there may be.
    """
    _check(wanted, now=now)
    ahead = sa.select(sa.func.count()).where(_of(reach), AlertSilence.ends_at > now)
    if (session.scalar(ahead) or 0) >= MOST_LIVE:
        raise Conflict(
            f"There are {MOST_LIVE} silences already that have not ended; expire some, or write"
            " one whose matchers fit more."
        )
    silence = AlertSilence(
        id=new_id(),
        organization_id=reach.organization_id,
        project_id=reach.project_id,
        matchers=[each.to_json() for each in wanted.matchers],
        starts_at=max(wanted.starts_at, now),
        ends_at=wanted.ends_at,
        by=wanted.by.strip()[:LONGEST_BY],
        comment=wanted.comment.strip(),
        created_at=now,
        updated_at=now,
    )
    session.add(silence)
    session.flush()
    _say(session, AlertSilenceCreated, silence, changes_between({}, facts_of_silence(silence)), now)
    return silence


def change_silence(
    session: Session,
    reach: Reach,
    silence_id: str,
    *,
    ends_at: datetime | None = None,
    comment: str | None = None,
    now: datetime,
) -> AlertSilence:
    """Move the end of a silence, or say otherwise why it is; what is None stays.

    Raises:
        NotFound: there is no such silence.
        Conflict: it has ended.
        Invalid: the end lies in the past.
    """
    silence = get_silence(session, reach, silence_id, for_change=True)
    if silence.ends_at <= now:
        raise Conflict("This silence has ended; make another one with the same matchers.")
    before = facts_of_silence(silence)
    if ends_at is not None:
        _check_end(silence.starts_at, ends_at, now=now)
        silence.ends_at = ends_at
    if comment is not None:
        silence.comment = _commented(comment)
    changes = changes_between(before, facts_of_silence(silence))
    if changes:
        silence.updated_at = now
        session.flush()
        _say(session, AlertSilenceChanged, silence, changes, now)
    return silence


def expire_silence(
    session: Session, reach: Reach, silence_id: str, *, now: datetime
) -> AlertSilence:
    """End a silence now; one that has ended already stays as it is.

    Raises:
        NotFound: there is no such silence.
    """
    silence = get_silence(session, reach, silence_id, for_change=True)
    if silence.ends_at <= now:
        return silence
    before = facts_of_silence(silence)
    silence.starts_at = min(silence.starts_at, now)
    silence.ends_at = silence.updated_at = now
    session.flush()
    changes = changes_between(before, facts_of_silence(silence))
    _say(session, AlertSilenceExpired, silence, changes, now)
    return silence


def get_silence(
    session: Session, reach: Reach, silence_id: str, *, for_change: bool = False
) -> AlertSilence:
    """One silence that reaches a project. Raises `NotFound`.

    For a change only one of exactly this reach is found: who may act in a project may not
    therefore act on what holds for all of them.
    """
    scope = _of(reach) if for_change else _reaching(reach)
    found = sa.select(AlertSilence).where(AlertSilence.id == silence_id, scope)
    silence = session.scalar(found.with_for_update() if for_change else found)
    if silence is None:
        raise NotFound(f"There is no silence {silence_id[:36]!r}; list those that there are.")
    return silence


def reach_to_change(session: Session, reach: Reach, silence_id: str, *, administers: bool) -> Reach:
    """The reach of a silence that somebody of a project wants to change.

    Raises:
        NotFound: there is no such silence.
        Forbidden: it holds for the whole organization, which they do not administer.
    """
    if get_silence(session, reach, silence_id).project_id is None:
        return reach.widened(administers=administers)
    return reach


def list_silences(
    session: Session,
    reach: Reach,
    *,
    state: SilenceState | None = None,
    limit: int,
    cursor: str = "",
    now: datetime,
) -> Page[AlertSilence]:
    """The silences that reach a project, newest first. Raises `Invalid` for a strange cursor."""
    found = sa.select(AlertSilence).where(_reaching(reach))
    if state is SilenceState.EXPIRED:
        found = found.where(AlertSilence.ends_at <= now)
    elif state is not None:
        started = AlertSilence.starts_at <= now
        is_active = state is SilenceState.ACTIVE
        found = found.where(AlertSilence.ends_at > now, started if is_active else ~started)
    position = decode_cursor(cursor, parts=1)
    if position is not None:
        found = found.where(AlertSilence.id < str(position[0]))
    rows = session.scalars(found.order_by(AlertSilence.id.desc()).limit(limit + 1)).all()
    return page_of(rows, limit=limit, key=lambda silence: (silence.id,))


def forget_ended(session: Session, *, before: datetime) -> int:
    """Delete silences that ended before an instant; returns how many."""
    return rows_changed(session, sa.delete(AlertSilence).where(AlertSilence.ends_at < before))


def facts_of_silence(silence: AlertSilence) -> dict[str, Any]:
    """What the audit log tells of a silence."""
    return {
        "matchers": written(matchers_of(silence)),
        "starts_at": silence.starts_at.isoformat(),
        "ends_at": silence.ends_at.isoformat(),
        "by": silence.by,
        "comment": silence.comment,
    }


def _of(reach: Reach) -> sa.ColumnElement[bool]:
    """Exactly of this reach."""
    return sa.and_(
        AlertSilence.organization_id == reach.organization_id,
        AlertSilence.project_id.is_(None)
        if reach.project_id is None
        else AlertSilence.project_id == reach.project_id,
    )


def _reaching(reach: Reach) -> sa.ColumnElement[bool]:
    """Of a project and of its organization as a whole."""
    return sa.and_(
        AlertSilence.organization_id == reach.organization_id,
        sa.or_(AlertSilence.project_id.is_(None), AlertSilence.project_id == reach.project_id),
    )


def _check(wanted: Wanted, *, now: datetime) -> None:
    refuse_all(wanted.matchers)
    if not wanted.by.strip():
        raise Invalid("by is missing; say who makes the silence.")
    _commented(wanted.comment)
    _check_end(wanted.starts_at, wanted.ends_at, now=now)


def _check_end(starts_at: datetime, ends_at: datetime, *, now: datetime) -> None:
    if ends_at <= now:
        raise Invalid("The end of a silence lies ahead; give a later time.")
    if ends_at <= starts_at:
        raise Invalid("A silence ends after it starts; give a later end.")


def _commented(comment: str) -> str:
    said = comment.strip()
    if not said or len(said) > LONGEST_COMMENT:
        raise Invalid(
            f"Say in at most {LONGEST_COMMENT} characters why alerts are held, for whoever wonders"
            " why nobody was told."
        )
    return said


def refuse_all(matchers: Sequence[Matcher]) -> None:
    """Refuse matchers that hold everything. Raises `Invalid`."""
    if all(matcher.matches({}) for matcher in matchers):
        raise Invalid(
            "These matchers would hold every alert, for they fit one without labels; name at"
            ' least one label and value, such as alertname="instance_down".'
        )


def _say(
    session: Session,
    kind: type[AlertSilenceEvent],
    silence: AlertSilence,
    changes: Any,  # noqa: ANN401 - what changes_between gives
    now: datetime,
) -> None:
    said = kind(
        organization_id=silence.organization_id,
        project_id=silence.project_id or "",
        silence_id=silence.id,
        matchers=written(matchers_of(silence)),
        changes=changes,
    )
    say(session, said, now=now)

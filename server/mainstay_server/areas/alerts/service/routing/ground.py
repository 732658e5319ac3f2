"""What decides over a project's alerts, read once for any number of them, and why one is held."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import (
    Alert,
    AlertChannel,
    AlertSilence,
    AlertStatus,
    AlertType,
    Severity,
)
from mainstay_server.areas.alerts.models.routing import AlertInhibition, AlertRoute
from mainstay_server.areas.alerts.providers import ONE_BY_ONE
from mainstay_server.areas.alerts.service.silences import Live, Reach, holding, live_silences
from mainstay_server.areas.alerts.settings import AlertSettings
from mainstay_server.contracts.maintenance import Window, windows_over
from mainstay_server.kernel.matchers import parse_matchers
from mainstay_server.kernel.settings import of

from . import inhibiting
from .choosing import Ear, Route
from .inhibiting import Inhibition, Source
from .muting import Quiet
from .pacing import Pace

MOST_ROUTES = 100
MOST_INHIBITIONS = 100
MOST_EARS = 4_000
MOST_SOURCES = 2_000
LONGEST_REASON = 300
# Maintenance of these is kept by whoever watches them: trouble in it is not even said.
HELD_AT_THE_SOURCE = frozenset(
    {AlertType.INSTANCE_DOWN, AlertType.INSTANCE_DEGRADED, AlertType.HEARTBEAT_MISSED}
)


@dataclass
class Ground:
    """The routes, channels and rules of one project at one moment."""

    project_id: str
    routes: Sequence[Route]
    ears: Sequence[Ear]
    inhibitions: Sequence[Inhibition]
    _silences: Sequence[Live] | None = None
    _sources: Sequence[Source] | None = None
    _windows: dict[str, Sequence[Window]] = field(default_factory=dict)
    _reasons: dict[str, str] = field(default_factory=dict)

    def ear(self, channel_id: str) -> Ear | None:
        """A channel of the project."""
        return next((ear for ear in self.ears if ear.id == channel_id), None)

    def route(self, route_id: str) -> Route | None:
        """A route of the project that is on."""
        return next((route for route in self.routes if route.id == route_id), None)

    def why_held(self, session: Session, alert: Alert, *, now: datetime) -> str:
        """Why nobody is told of an active alert, found out once for all who hear of it."""
        if alert.id not in self._reasons:
            self._reasons[alert.id] = why_held(session, self, alert, now=now)
        return self._reasons[alert.id]

    def silences(self, session: Session, organization_id: str, now: datetime) -> Sequence[Live]:
        """The silences that hold, those of the organization too."""
        if self._silences is None:
            reach = Reach(organization_id=organization_id, project_id=self.project_id)
            self._silences = live_silences(session, reach, now=now)
        return self._silences

    def sources(self, session: Session) -> Sequence[Source]:
        """The active alerts that may mute others, the oldest first; read when first asked for."""
        if self._sources is None:
            rows = session.execute(
                sa.select(Alert.id, Alert.title, Alert.labels)
                .where(Alert.project_id == self.project_id, Alert.status == AlertStatus.ACTIVE)
                .order_by(Alert.id)
                .limit(MOST_SOURCES)
            )
            self._sources = [Source(row.id, row.title, row.labels) for row in rows]
        return self._sources

    def windows(self, session: Session, instance_id: str, now: datetime) -> Sequence[Window]:
        """The maintenance in which an instance as a whole is."""
        if instance_id not in self._windows:
            asked = windows_over.is_answered
            self._windows[instance_id] = (
                windows_over(session, instance_id, (), "", since=now, until=now) if asked else ()
            )
        return self._windows[instance_id]


def read_ground(session: Session, project_id: str) -> Ground:
    """Everything that decides over a project's alerts, but for what is asked for when needed."""
    return Ground(
        project_id=project_id,
        routes=[route_of(row) for row in routes_of(session, project_id) if row.enabled],
        ears=ears_of(session, project_id),
        inhibitions=[
            *inhibiting.DEFAULTS,
            *(
                inhibition_of(row)
                for row in session.scalars(
                    sa.select(AlertInhibition)
                    .where(AlertInhibition.project_id == project_id, AlertInhibition.enabled)
                    .order_by(AlertInhibition.id)
                    .limit(MOST_INHIBITIONS)
                )
            ),
        ],
    )


def why_held(session: Session, ground: Ground, alert: Alert, *, now: datetime) -> str:
    """Why nobody is told of an active alert at present, whatever their channel; or empty."""
    if why := Quiet(until=alert.muted_until).why(now):
        return why
    for silence_id in holding(ground.silences(session, alert.organization_id, now), alert.labels):
        silence = session.get_one(AlertSilence, silence_id)
        return f"silenced by {silence.by}: {silence.comment}"[:LONGEST_REASON]
    if alert.type not in HELD_AT_THE_SOURCE:
        for window in ground.windows(session, alert.instance_id, now):
            until = f"{window.ended_at:%-d %b %Y, %H:%M} UTC"
            return f"in maintenance until {until}: {window.name}"[:LONGEST_REASON]
    if inhibiting.may_be_inhibited(alert.labels, ground.inhibitions):
        source = inhibiting.inhibited_by(
            alert.id, alert.labels, ground.sources(session), ground.inhibitions
        )
        if source is not None:
            return f"inhibited by {source.title!r}"[:LONGEST_REASON]
    return ""


def routes_of(session: Session, project_id: str) -> Sequence[AlertRoute]:
    """A project's routes in their order; at most 100, by the limit on making them."""
    return session.scalars(
        sa.select(AlertRoute)
        .where(AlertRoute.project_id == project_id)
        .order_by(AlertRoute.position, AlertRoute.id)
        .limit(MOST_ROUTES)
    ).all()


def route_of(row: AlertRoute) -> Route:
    """A route, ready to be asked."""
    return Route(
        id=row.id,
        name=row.name,
        matchers=parse_matchers(row.matchers),
        channel_ids=tuple(row.channel_ids),
        goes_on=row.goes_on,
        group_by=tuple(row.group_by),
        pace=Pace(
            wait=timedelta(seconds=row.wait_seconds),
            interval=timedelta(seconds=row.interval_seconds),
            repeat=timedelta(seconds=row.repeat_seconds),
        ),
        quiet=Quiet(until=row.muted_until, times=row.mute_times, zone=row.time_zone),
    )


def inhibition_of(row: AlertInhibition) -> Inhibition:
    """A rule of inhibition, ready to be asked."""
    return Inhibition(
        name=row.name,
        source=parse_matchers(row.source),
        target=parse_matchers(row.target),
        equal=tuple(row.equal),
    )


def told_at_all() -> sa.ColumnElement[bool]:
    """Whether a channel is told: it is on, or its fallback is since its receiver is gone."""
    stood_in_for = sa.and_(AlertChannel.disabled_reason != "", AlertChannel.fallback_id != "")
    return sa.or_(AlertChannel.enabled, stood_in_for)


def ears_of(session: Session, project_id: str) -> Sequence[Ear]:
    """A project's channels as far as choosing needs them; their secrets stay sealed."""
    rows = session.execute(
        sa.select(
            AlertChannel.id,
            AlertChannel.instance_id,
            AlertChannel.type,
            told_at_all().label("enabled"),
            AlertChannel.minimum_severity,
            AlertChannel.muted_until,
            AlertChannel.mute_times,
            AlertChannel.time_zone,
        )
        .where(AlertChannel.project_id == project_id)
        .order_by(AlertChannel.id)
        .limit(MOST_EARS)
    )
    return [
        Ear(
            id=row.id,
            instance_id=row.instance_id,
            enabled=row.enabled,
            minimum=Severity(row.minimum_severity),
            quiet=Quiet(until=row.muted_until, times=row.mute_times, zone=row.time_zone),
            gathers=row.type not in ONE_BY_ONE,
        )
        for row in rows
    ]


def default_pace() -> Pace:
    """How a channel is told that no route names."""
    settings = of(AlertSettings)
    return Pace(
        wait=timedelta(seconds=settings.alerts_group_wait_seconds),
        interval=timedelta(seconds=settings.alerts_group_interval_seconds),
        repeat=timedelta(seconds=settings.alerts_repeat_seconds),
    )

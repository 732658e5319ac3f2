"""What Alertmanager's clients read and change here: alerts, groups of them, and silences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import (
    Alert,
    AlertChannel,
    AlertReceipt,
    AlertSilence,
    AlertStatus,
    AlertType,
    Severity,
)
from mainstay_server.areas.alerts.schemas.alertmanager import (
    RESOLVE_TIMEOUT,
    PostedSilence,
    moment,
)
from mainstay_server.kernel.matchers import (
    Matcher,
    Operator,
    compiled,
    matches_all,
    parse_matchers,
)
from mainstay_server.tenancy.subjects import ProjectRef

from . import silences
from .parcels import dashboard_url
from .routing import choosing, ground, inhibiting
from .routing.ground import Ground
from .silences import Reach, SilenceState, Wanted

MOST_LISTED = 10_000
MOST_SILENCES = 1_000
MOST_FILTERS = 20
# Alertmanager forgets silences five days after their end; ours are kept, but not told of here.
SILENCES_TOLD = timedelta(days=5)
NOBODY = "mainstay"


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Which alerts a client asks for; `receiver` is a regular expression for the whole name."""

    active: bool = True
    silenced: bool = True
    inhibited: bool = True
    unprocessed: bool = True
    filters: Sequence[Matcher] = field(default=())
    receiver: str = ""


def filters_of(texts: Sequence[str]) -> tuple[Matcher, ...]:
    """The matchers in a query's filters. Raises `Invalid`."""
    found = [matcher for text in texts[:MOST_FILTERS] for matcher in parse_matchers(text)]
    return tuple(found)


def list_alerts(
    session: Session, project: ProjectRef, chosen: Chosen, *, now: datetime
) -> list[dict[str, Any]]:
    """A project's active alerts, ours and those of other systems, the newest first.

    Each as Alertmanager writes it; the receivers are the channels that hear of it. At most 10,000.
    """
    rows = session.execute(
        sa.select(Alert, AlertReceipt)
        .outerjoin(AlertReceipt, AlertReceipt.alert_id == Alert.id)
        .where(
            Alert.project_id == project.id,
            Alert.status == AlertStatus.ACTIVE,
            Alert.fingerprint != "",
        )
        .order_by(Alert.id.desc())
        .limit(MOST_LISTED)
    ).all()
    seen = _Seen.read(session, project, rows, now=now)
    found = [
        seen.told(alert, receipt)
        for alert, receipt in rows
        if matches_all(chosen.filters, alert.labels)
    ]
    return [alert for alert in found if _is_chosen(alert, chosen)]


def group_alerts(alerts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Alerts by receiver and name, in order of both, as Alertmanager groups them."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for alert in alerts:
        for receiver in alert["receivers"]:
            named = alert["labels"].get("alertname", "")
            groups.setdefault((receiver["name"], named), []).append(alert)
    return [
        {
            "labels": {"alertname": name} if name else {},
            "receiver": {"name": receiver},
            "alerts": inside,
        }
        for (receiver, name), inside in sorted(groups.items(), key=lambda group: group[0])
    ]


def list_receivers(session: Session, project: ProjectRef) -> list[dict[str, str]]:
    """The names of a project's channels that are on; `mainstay` where there is none."""
    names = sorted(set(_channels(session, project.id).values()))
    return [{"name": name} for name in names or [NOBODY]]


def list_silences(
    session: Session, project: ProjectRef, filters: Sequence[Matcher], *, now: datetime
) -> list[dict[str, Any]]:
    """The silences that reach a project, but for those that ended five days ago or more.

    A filter looks at what a silence is about: at the text that each of its matchers compares with.
    """
    page = silences.list_silences(session, _reach(project), limit=MOST_SILENCES, now=now)
    return [
        silence_of(each, now=now)
        for each in page.items
        if each.ends_at > now - SILENCES_TOLD
        and matches_all(filters, {one["name"]: one["value"] for one in each.matchers})
    ]


def get_silence(
    session: Session, project: ProjectRef, silence_id: str, *, now: datetime
) -> dict[str, Any]:
    """One silence that reaches a project. Raises `NotFound`."""
    return silence_of(silences.get_silence(session, _reach(project), silence_id), now=now)


def put_silence(
    session: Session,
    project: ProjectRef,
    posted: PostedSilence,
    *,
    administers: bool,
    now: datetime,
) -> str:
    """Make a silence, or change the one whose id is given; returns the id that it has then.

    As in Alertmanager, only the end and the words of one that lasts can be changed: otherwise it
    ends, and another one with another id takes its place.

    Raises:
        NotFound: there is none with the given id.
        Invalid, Conflict, Forbidden: as those who make and change silences are told.
    """
    wanted = Wanted(
        matchers=tuple(
            Matcher(
                each.name,
                Operator.of(is_regex=each.is_regex, is_equal=each.is_equal),
                each.value,
            )
            for each in posted.matchers
        ),
        starts_at=max(posted.starts_at, now),
        ends_at=posted.ends_at,
        by=posted.created_by,
        comment=posted.comment,
    )
    reach = _reach(project)
    if not posted.id:
        return silences.create_silence(session, reach, wanted, now=now).id
    reach = silences.reach_to_change(session, reach, posted.id, administers=administers)
    found = silences.get_silence(session, reach, posted.id)
    if _is_same(found, wanted, now=now):
        silences.change_silence(
            session, reach, found.id, ends_at=wanted.ends_at, comment=wanted.comment, now=now
        )
        return found.id
    silences.expire_silence(session, reach, found.id, now=now)
    return silences.create_silence(session, reach, wanted, now=now).id


def expire_silence(
    session: Session, project: ProjectRef, silence_id: str, *, administers: bool, now: datetime
) -> None:
    """End a silence. Raises `NotFound`, and `Forbidden` as `put_silence` does."""
    reach = silences.reach_to_change(session, _reach(project), silence_id, administers=administers)
    silences.expire_silence(session, reach, silence_id, now=now)


def silence_of(silence: AlertSilence, *, now: datetime) -> dict[str, Any]:
    """A silence as Alertmanager writes it."""
    return {
        "id": silence.id,
        "status": {"state": silences.state_of(silence, now=now).value},
        "updatedAt": moment(silence.updated_at),
        "comment": silence.comment,
        "createdBy": silence.by,
        "startsAt": moment(silence.starts_at),
        "endsAt": moment(silence.ends_at),
        "matchers": silence.matchers,
    }


def _is_same(silence: AlertSilence, wanted: Wanted, *, now: datetime) -> bool:
    """Whether what is wanted is the present silence, but for its end and its words."""
    if silences.matchers_of(silence) != wanted.matchers:
        return False
    state = silences.state_of(silence, now=now)
    if state is SilenceState.PENDING:
        return silence.starts_at == wanted.starts_at
    return state is SilenceState.ACTIVE


def _reach(project: ProjectRef) -> Reach:
    return Reach(organization_id=project.organization_id, project_id=project.id)


def _is_chosen(alert: Mapping[str, Any], chosen: Chosen) -> bool:
    standing = alert["status"]
    if standing["silencedBy"] and not chosen.silenced:
        return False
    if standing["inhibitedBy"] and not chosen.inhibited:
        return False
    if standing["state"] == "active" and not chosen.active:
        return False
    if not chosen.receiver:
        return True
    fits = compiled(chosen.receiver).fullmatch
    return any(fits(receiver["name"]) for receiver in alert["receivers"])


def _channels(session: Session, project_id: str) -> dict[str, str]:
    """The names of a project's channels that are on, by their id."""
    rows = session.execute(
        sa.select(AlertChannel.id, AlertChannel.name)
        .where(AlertChannel.project_id == project_id, AlertChannel.enabled)
        .order_by(AlertChannel.id)
        .limit(ground.MOST_EARS)
    )
    return {row.id: row.name for row in rows}


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What decides how each alert of a project is told, read once for all of them."""

    project: ProjectRef
    ground: Ground
    sources: Sequence[inhibiting.Source]
    prints: Mapping[str, str]
    held: Sequence[silences.Live]
    names: Mapping[str, str]
    now: datetime

    @classmethod
    def read(
        cls,
        session: Session,
        project: ProjectRef,
        rows: Sequence[sa.Row[Alert, AlertReceipt]],
        *,
        now: datetime,
    ) -> "_Seen":
        """Read it, for the alerts of these rows."""
        decides = ground.read_ground(session, project.id)
        return cls(
            project=project,
            ground=decides,
            sources=decides.sources(session),
            prints={alert.id: alert.fingerprint for alert, _ in rows},
            held=silences.live_silences(session, _reach(project), now=now),
            names=_channels(session, project.id),
            now=now,
        )

    def told(self, alert: Alert, receipt: AlertReceipt | None) -> dict[str, Any]:
        """An alert as Alertmanager writes it."""
        ends_at = receipt.live_until if receipt else None
        generator = receipt.generator_url if receipt else ""
        return {
            "annotations": _annotations_of(alert),
            "endsAt": moment(ends_at or self.now + RESOLVE_TIMEOUT),
            "fingerprint": alert.fingerprint,
            "receivers": [{"name": name} for name in self._receivers(alert)],
            "startsAt": moment(receipt.started_at if receipt else alert.opened_at),
            "status": self._standing(alert),
            "updatedAt": moment(receipt.heard_at if receipt else alert.last_seen_at),
            "generatorURL": generator or dashboard_url(f"projects/{self.project.slug}/alerts"),
            "labels": alert.labels,
        }

    def _standing(self, alert: Alert) -> dict[str, Any]:
        silenced = silences.holding(self.held, alert.labels)
        rules = self.ground.inhibitions
        source = inhibiting.inhibited_by(alert.id, alert.labels, self.sources, rules)
        inhibited = [self.prints.get(source.alert_id, "")] if source else []
        muted = ["muted"] if alert.muted_until and alert.muted_until > self.now else []
        return {
            "state": "suppressed" if silenced or inhibited or muted else "active",
            "silencedBy": silenced,
            "inhibitedBy": inhibited,
            "mutedBy": muted,
        }

    def _receivers(self, alert: Alert) -> list[str]:
        about = (alert.instance_id, Severity(alert.severity))
        verdicts = choosing.judge(alert.labels, about, self.ground.routes, self.ground.ears)
        heard = {self.names[each.ear.id] for each in verdicts if each.hears}
        return sorted(heard) or [NOBODY]


def _annotations_of(alert: Alert) -> Mapping[str, str]:
    """What another system sent as it was; of an alert of ours also what it is about."""
    if alert.type == AlertType.EXTERNAL_ALERT and alert.annotations:
        return alert.annotations
    return {**_words(alert), **(alert.annotations or {})}


def _words(alert: Alert) -> dict[str, str]:
    """The annotations of an alert of ours, in the words that are common for them."""
    said = {"summary": alert.title}
    return {**said, "description": alert.message} if alert.message else said

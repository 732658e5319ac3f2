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
from .notifications import dashboard_url
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
    held = silences.live_silences(session, _reach(project), now=now)
    channels = _channels(session, project.id)
    wanted_receiver = compiled(chosen.receiver) if chosen.receiver else None
    found = []
    for alert, receipt in rows:
        if not matches_all(chosen.filters, alert.labels):
            continue
        silenced = silences.holding(held, alert.labels)
        if not (chosen.silenced if silenced else chosen.active):
            continue
        receivers = _receivers(channels, alert)
        if wanted_receiver and not any(map(wanted_receiver.fullmatch, receivers)):
            continue
        found.append(_alert(project, alert, receipt, silenced, receivers, now=now))
    return found


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
    names = sorted({channel.name for channel in _channels(session, project.id)})
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


def _channels(session: Session, project_id: str) -> Sequence[AlertChannel]:
    return session.scalars(
        sa.select(AlertChannel)
        .where(AlertChannel.project_id == project_id, AlertChannel.enabled)
        .order_by(AlertChannel.id)
    ).all()


def _receivers(channels: Sequence[AlertChannel], alert: Alert) -> list[str]:
    rank = Severity(alert.severity).rank
    names = {
        channel.name
        for channel in channels
        if channel.instance_id in (None, alert.instance_id)
        and Severity(channel.minimum_severity).rank <= rank
    }
    return sorted(names) or [NOBODY]


def _alert(
    project: ProjectRef,
    alert: Alert,
    receipt: AlertReceipt | None,
    silenced: list[str],
    receivers: list[str],
    *,
    now: datetime,
) -> dict[str, Any]:
    ends_at = receipt.live_until if receipt else None
    generator = receipt.generator_url if receipt else ""
    return {
        "annotations": alert.annotations
        or {"summary": alert.title, **({"description": alert.message} if alert.message else {})},
        "endsAt": moment(ends_at or now + RESOLVE_TIMEOUT),
        "fingerprint": alert.fingerprint,
        "receivers": [{"name": name} for name in receivers],
        "startsAt": moment(receipt.started_at if receipt else alert.opened_at),
        "status": {
            "state": "suppressed" if silenced else "active",
            "silencedBy": silenced,
            "inhibitedBy": [],
            "mutedBy": [],
        },
        "updatedAt": moment(receipt.heard_at if receipt else alert.last_seen_at),
        "generatorURL": generator or dashboard_url(f"projects/{project.slug}/alerts"),
        "labels": alert.labels,
    }

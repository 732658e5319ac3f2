"""Healthchecks' way of seeing heartbeats: its statuses, its documents, its upserts."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.heartbeats.models import (
    Heartbeat,
    HeartbeatKey,
    HeartbeatPing,
    KeyKind,
    ScheduleKind,
)
from mainstay_server.areas.heartbeats.schemas.healthchecks import Spec
from mainstay_server.contracts.alerts import AlertChannelSeen, alert_channels
from mainstay_server.kernel.problems import Conflict, Forbidden, Invalid, NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.watching import State
from mainstay_server.tenancy.subjects import find_default_instance, find_instance

from .badges import badge_path
from .heartbeats import is_late
from .making import change_values, make_heartbeat, slug_of
from .schedules import Schedule, checked_schedule, checked_zone

MOST_LISTED = 10_000
OF_ITSELF = 3  # from this version of the API on, a slug is only what somebody gave
SAME_NAMES = (
    "manual_resume",
    "methods",
    "filter_subject",
    "filter_body",
    "filter_http_body",
    "filter_default_fail",
)
RENAMED = {
    "name": "name",
    "slug": "slug",
    "desc": "description",
    "timeout": "period_seconds",
    "grace": "grace_seconds",
    "start_kw": "start_words",
    "success_kw": "success_words",
    "failure_kw": "failure_words",
    "subject": "success_words",
    "subject_fail": "failure_words",
}


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Whoever shows an API key: what it may, and in which version it is spoken to."""

    key: HeartbeatKey
    base: str
    version: int
    now: datetime

    @property
    def may_write(self) -> bool:
        """Whether the key changes things, and sees addresses that report."""
        return self.key.kind == KeyKind.WRITE


def list_checks(
    session: Session, asker: Asker, *, tags: Sequence[str] = (), slug: str = ""
) -> list[Heartbeat]:
    """The heartbeats that a key opens, oldest first; those with all of the tags, and the slug."""
    wanted = sa.select(Heartbeat).where(*_scope(asker)).order_by(Heartbeat.id).limit(MOST_LISTED)
    if slug:
        wanted = wanted.where(Heartbeat.slug == slug)
    rows = session.scalars(wanted)
    return [row for row in rows if set(tags) <= set(row.tags)]


def get_check(session: Session, asker: Asker, name: str, *, locked: bool = False) -> Heartbeat:
    """The heartbeat of a UUID or a unique key.

    Raises `Forbidden` for a UUID of somebody else, `NotFound` for one that nobody has.
    """
    if len(name) == 40:  # noqa: PLR2004 - a unique key is a SHA-1
        for row in session.scalars(sa.select(Heartbeat).where(*_scope(asker)).limit(MOST_LISTED)):
            if unique_key(row) == name:
                return row
        raise NotFound("not found")
    query = sa.select(Heartbeat).where(Heartbeat.ping_id == name)
    found = session.scalar(query.with_for_update() if locked else query)
    if found is None:
        raise NotFound("not found")
    key = asker.key
    if found.project_id != key.project_id or key.instance_id not in (None, found.instance_id):
        raise Forbidden("forbidden")
    return found


def upsert_check(session: Session, asker: Asker, spec: Spec) -> tuple[Heartbeat, bool]:
    """Make a check, or change the one that is alike in the fields of `unique`.

    Returns it, and whether it was made. Raises `Forbidden` when there are too many, `Invalid`.
    """
    found = _alike(session, asker, spec) if spec.unique else None
    if found is not None:
        update_check(session, asker, found, spec)
        return found, False
    instance = _instance_of(session, asker.key)
    values = {"name": "", "slug": ""} | _values(asker, spec)
    _refuse_other_channels(session, instance.id, spec)
    try:
        made = make_heartbeat(session, instance, values, same_slug=True, now=asker.now)
    except Conflict as conflict:
        raise Forbidden(conflict.detail) from conflict
    return made, True


def update_check(session: Session, asker: Asker, found: Heartbeat, spec: Spec) -> None:
    """Change what a client says of a check."""
    _refuse_other_channels(session, found.instance_id, spec)
    values = _values(asker, spec)
    change_values(session, found, values, same_slug=True, now=asker.now)


def channels_of(session: Session, asker: Asker) -> Sequence[AlertChannelSeen]:
    """Whoever is told of the alerts of what a key opens; nobody where no area tells anybody."""
    if not alert_channels.is_answered:
        return ()
    return alert_channels(session, _instance_of(session, asker.key).id)


def document_of(session: Session, asker: Asker, row: Heartbeat) -> dict[str, Any]:
    """A check as Healthchecks writes it."""
    return documents_of(session, asker, [row])[0]


def documents_of(session: Session, asker: Asker, rows: Sequence[Heartbeat]) -> list[dict[str, Any]]:
    """Checks as Healthchecks writes them."""
    told: dict[str, str] = {}
    if asker.may_write and alert_channels.is_answered:
        for instance_id in {row.instance_id for row in rows}:
            channels = alert_channels(session, instance_id)
            told[instance_id] = ",".join(channel.id for channel in channels)
    return [_document(asker, row, told.get(row.instance_id, "")) for row in rows]


def ping_document(asker: Asker, row: Heartbeat, ping: HeartbeatPing) -> dict[str, Any]:
    """A report as Healthchecks writes it."""
    document: dict[str, Any] = {
        "type": ping.signal,
        "date": ping.at.isoformat(),
        "n": ping.number,
        "scheme": ping.scheme,
        "remote_addr": ping.address,
        "method": ping.method,
        "ua": ping.client,
        "rid": ping.run_id or None,
    }
    if ping.exit_status is not None:
        document["exitstatus"] = ping.exit_status
    if ping.duration_ms is not None:
        document["duration"] = ping.duration_ms / 1000
    here = f"{_api(asker)}/checks/{row.ping_id}/pings/{ping.number}/body"
    document["body_url"] = here if ping.body_bytes else None
    return document


def status_of(row: Heartbeat, now: datetime) -> str:
    """The one word of Healthchecks: new, up, grace, down or paused."""
    if row.state == State.PAUSED:
        return "paused"
    if row.state == State.UNHEALTHY:
        return "down"
    if row.counted_from is None:
        return "new"
    return "grace" if is_late(row, now) else "up"


def unique_key(row: Heartbeat) -> str:
    """The name under which a key that only reads knows a check, without its address."""
    return hashlib.sha1(row.ping_id.encode(), usedforsecurity=False).hexdigest()


def _document(asker: Asker, row: Heartbeat, channels: str) -> dict[str, Any]:
    status = status_of(row, asker.now)
    if asker.version == 1 and row.is_running:
        status = "started"
    due = row.due_at if status in ("up", "grace", "started") else None
    document: dict[str, Any] = {
        "name": row.name,
        "slug": row.slug,
        "tags": " ".join(row.tags),
        "desc": row.description,
        "grace": row.grace_seconds,
        "n_pings": row.pings_count,
        "status": status,
        "started": row.is_running,
        "last_ping": _iso(row.last_ping_at),
        "next_ping": _iso(due),
        "manual_resume": row.manual_resume,
        "methods": row.methods,
        "subject": row.success_words if row.filter_subject else "",
        "subject_fail": row.failure_words if row.filter_subject else "",
        "start_kw": row.start_words,
        "success_kw": row.success_words,
        "failure_kw": row.failure_words,
        "filter_subject": row.filter_subject,
        "filter_body": row.filter_body,
        "filter_http_body": row.filter_http_body,
        "filter_default_fail": row.filter_default_fail,
        "badge_url": f"{asker.base}{badge_path(row)}",
    }
    if row.last_duration_ms is not None:
        document["last_duration"] = round(row.last_duration_ms / 1000)
    document |= _addresses(asker, row, channels)
    if row.schedule_kind == ScheduleKind.PERIOD:
        document["timeout"] = row.period_seconds
    else:
        document |= {"schedule": row.expression, "tz": row.time_zone}
    return document


def _addresses(asker: Asker, row: Heartbeat, channels: str) -> Mapping[str, Any]:
    if not asker.may_write:
        return {"unique_key": unique_key(row)}
    here = f"{_api(asker)}/checks/{row.ping_id}"
    return {
        "uuid": row.ping_id,
        "ping_url": f"{asker.base}/ping/{row.ping_id}",
        "update_url": here,
        "pause_url": f"{here}/pause",
        "resume_url": f"{here}/resume",
        "channels": channels,
    }


def _values(asker: Asker, spec: Spec) -> dict[str, Any]:
    """What a spec sets, by our names."""
    given = {name: value for name, value in spec.model_dump().items() if value is not None}
    values = {name: given[name] for name in SAME_NAMES if name in given}
    values |= {ours: given[theirs] for theirs, ours in RENAMED.items() if theirs in given}
    if asker.version < OF_ITSELF and "name" in given and "slug" not in given:
        values["slug"] = slug_of(given["name"])
    if "tags" in given:
        values["tags"] = list(dict.fromkeys(given["tags"].split()))
    if "subject" in given or "subject_fail" in given:
        values["filter_subject"] = bool(given.get("subject") or given.get("subject_fail"))
    if "schedule" in given:
        values |= _schedule(given["schedule"], now=asker.now)
    elif "timeout" in given:
        values["schedule_kind"] = ScheduleKind.PERIOD
    if "tz" in given:
        values["time_zone"] = _zone(given["tz"])
    return values


def _schedule(expression: str, *, now: datetime) -> dict[str, Any]:
    """Cron or OnCalendar, whichever it is. Raises `Invalid` in Healthchecks' words."""
    for kind in (ScheduleKind.CRON, ScheduleKind.ON_CALENDAR):
        try:
            clean = checked_schedule(Schedule(kind=kind, expression=expression), now=now)
        except Invalid:
            continue
        return {"schedule_kind": kind, "expression": clean.expression}
    raise Invalid("json validation error: schedule is not a valid cron or OnCalendar expression")


def _zone(name: str) -> str:
    try:
        return checked_zone(name)
    except Invalid:
        raise Invalid("json validation error: tz is not a valid timezone") from None


def _alike(session: Session, asker: Asker, spec: Spec) -> Heartbeat | None:
    wanted: dict[str, Any] = {
        "name": spec.name or "",
        "slug": spec.slug or "",
        "tags": (spec.tags or "").split(),
        "timeout": spec.timeout,
        "grace": spec.grace,
    }
    for row in list_checks(session, asker):
        has = {
            "name": row.name,
            "slug": row.slug,
            "tags": row.tags,
            "timeout": row.period_seconds if row.schedule_kind == ScheduleKind.PERIOD else None,
            "grace": row.grace_seconds,
        }
        if all(has[field] == wanted[field] for field in spec.unique):
            return session.get(Heartbeat, row.id, with_for_update=True)
    return None


def _refuse_other_channels(session: Session, instance_id: str, spec: Spec) -> None:
    """Every channel of an instance is told; a client may say so, but not choose among them."""
    if spec.channels in (None, "", "*"):
        return
    there = alert_channels(session, instance_id) if alert_channels.is_answered else ()
    if set(str(spec.channels).split(",")) != {channel.id for channel in there}:
        raise Invalid("invalid channel identifier: every channel of the instance is told; send *")


def _scope(asker: Asker) -> list[sa.ColumnElement[bool]]:
    conditions = [Heartbeat.project_id == asker.key.project_id]
    if asker.key.instance_id is not None:
        conditions.append(Heartbeat.instance_id == asker.key.instance_id)
    return conditions


def _instance_of(session: Session, key: HeartbeatKey) -> InstanceRef:
    found = (
        find_instance(session, key.instance_id)
        if key.instance_id is not None
        else find_default_instance(session, key.project_id)
    )
    if found is None:
        raise NotFound("not found")
    return found


def _api(asker: Asker) -> str:
    return f"{asker.base}/api/v{asker.version}"


def _iso(at: datetime | None) -> str | None:
    """Times as Healthchecks writes them: UTC, to the second."""
    return None if at is None else at.replace(microsecond=0).isoformat()

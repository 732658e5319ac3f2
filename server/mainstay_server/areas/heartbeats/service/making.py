"""Making heartbeats: by hand, with a key, or by the first report of a job nobody knew."""

import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.heartbeats.models import Heartbeat, HeartbeatKey, KeyKind, ScheduleKind
from mainstay_server.areas.heartbeats.schemas.reports import Plan, Target
from mainstay_server.contracts.heartbeats import (
    HeartbeatChanged,
    HeartbeatCreated,
    HeartbeatEvent,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import Changes, changes_between, facts_of, say
from mainstay_server.kernel.problems import Conflict, Invalid
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.watching import begin
from mainstay_server.tenancy.models import Instance

from .schedules import Schedule, checked_schedule
from .states import set_deadlines

MOST_PER_INSTANCE = 2_000
LONGEST_SLUG = 100
LONGEST_NAME = 100
PING_KEY_BYTES = 16
NOT_YET = "it has not reported yet"
SETTABLE = (
    "name",
    "slug",
    "tags",
    "description",
    "schedule_kind",
    "period_seconds",
    "expression",
    "time_zone",
    "grace_seconds",
    "early_seconds",
    "start_grace_seconds",
    "min_duration_seconds",
    "max_duration_seconds",
    "most_reports",
    "most_reports_seconds",
    "fail_after",
    "recover_after",
    "tell_after_seconds",
    "manual_resume",
    "methods",
    "filter_subject",
    "filter_body",
    "filter_http_body",
    "filter_default_fail",
    "start_words",
    "success_words",
    "failure_words",
)
SCHEDULE = ("schedule_kind", "period_seconds", "expression", "time_zone")


def make_heartbeat(
    session: Session,
    instance: InstanceRef,
    values: Mapping[str, Any],
    *,
    same_slug: bool = False,
    now: datetime,
) -> Heartbeat:
    """Make a heartbeat of an instance; it expects nothing until its first report.

    Where no slug is given it gets one from its name. The instance gets a ping key with its first
    heartbeat. Raises `Conflict` when there are 2,000, or when the slug is taken and the `same_slug`
    may not stand twice, as Healthchecks lets it.
    """
    _refuse_too_many(session, instance)
    heartbeat = Heartbeat(
        id=new_id(),
        organization_id=instance.organization_id,
        project_id=instance.project_id,
        instance_id=instance.id,
        ping_id=str(uuid4()),
        name="",
        slug="",
        created_at=now,
        open_runs={},
        recent=[],
        tags=[],
        pings_count=0,
    )
    _fill_defaults(heartbeat)
    assign(heartbeat, values, now=now)
    if "slug" not in values:
        heartbeat.slug = free_slug(session, instance.id, heartbeat.name)
    elif not same_slug:
        refuse_taken_slug(session, heartbeat)
    begin(session, heartbeat, now=now, reason=NOT_YET)
    ensure_ping_key(session, instance, now=now)
    made = changes_between({}, facts_of(heartbeat, SETTABLE))
    say_changed(session, HeartbeatCreated, heartbeat, made, now=now)
    return heartbeat


def make_by_report(
    session: Session, instance: InstanceRef, target: Target, *, now: datetime
) -> Heartbeat:
    """Make the heartbeat that a report is for, named and set as the report says.

    Several processes may hear of a new job at once: whoever makes it holds its instance's row, and
    looks again first.
    """
    session.execute(sa.select(Instance.id).where(Instance.id == instance.id).with_for_update())
    found = session.scalar(
        sa.select(Heartbeat)
        .where(Heartbeat.instance_id == instance.id, Heartbeat.slug == target.slug)
        .with_for_update()
    )
    if found is not None:
        return found
    values = {"name": target.slug, "slug": target.slug}
    if target.plan is not None:
        values |= _first_values_of(target.plan)
    return make_heartbeat(session, instance, values, now=now)


def plan_anew(session: Session, heartbeat: Heartbeat, plan: Plan, *, now: datetime) -> None:
    """Set a heartbeat as its job says it should be; most often that changes nothing."""
    wanted = values_of(plan)
    least = heartbeat.min_duration_seconds
    if least is not None and wanted.get("max_duration_seconds", least + 1) <= least:
        del wanted["max_duration_seconds"]  # what somebody set by hand stays
    if any(getattr(heartbeat, name) != value for name, value in wanted.items()):
        change_values(session, heartbeat, wanted, now=now)


def change_values(
    session: Session,
    heartbeat: Heartbeat,
    values: Mapping[str, Any],
    *,
    same_slug: bool = False,
    now: datetime,
) -> None:
    """Set what is given; what is due, and when its absence is an outage, follow at once."""
    before = facts_of(heartbeat, SETTABLE)
    assign(heartbeat, values, now=now)
    if heartbeat.slug != before["slug"] and not same_slug:
        refuse_taken_slug(session, heartbeat)
    set_deadlines(heartbeat)
    session.flush()
    changes = changes_between(before, facts_of(heartbeat, SETTABLE))
    if changes:
        say_changed(session, HeartbeatChanged, heartbeat, changes, now=now)


def assign(heartbeat: Heartbeat, values: Mapping[str, Any], *, now: datetime) -> None:
    """Set checked values on a heartbeat. Raises `Invalid`."""
    unknown = values.keys() - set(SETTABLE)
    assert not unknown, f"no fields of a heartbeat: {unknown}"
    for name, value in values.items():
        setattr(heartbeat, name, value)
    if values.keys() & set(SCHEDULE):
        clean = checked_schedule(
            Schedule(
                kind=ScheduleKind(heartbeat.schedule_kind),
                period_seconds=heartbeat.period_seconds,
                expression=heartbeat.expression,
                time_zone=heartbeat.time_zone,
            ),
            now=now,
        )
        heartbeat.expression = clean.expression
    _refuse_strange_durations(heartbeat)


def values_of(plan: Plan) -> dict[str, Any]:
    """What a plan sets."""
    values: dict[str, Any] = {
        "schedule_kind": plan.schedule_kind,
        "expression": plan.expression,
        "time_zone": plan.time_zone,
    }
    if plan.schedule_kind == ScheduleKind.PERIOD:
        values["period_seconds"] = plan.period_seconds
    for name in ("grace_seconds", "max_duration_seconds", "fail_after", "recover_after"):
        value = getattr(plan, name)
        if value is not None:
            values[name] = value
    return values


def _first_values_of(plan: Plan) -> dict[str, Any]:
    """What a plan sets of a heartbeat that it makes."""
    first = {
        "grace_seconds": plan.new_grace_seconds,
        "max_duration_seconds": plan.new_max_duration_seconds,
    }
    return {name: value for name, value in first.items() if value is not None} | values_of(plan)


def ensure_ping_key(session: Session, instance: InstanceRef, *, now: datetime) -> str:
    """The ping key of an instance: the oldest one, made when there is none."""
    found = find_ping_key(session, instance)
    if found:
        return found
    key = HeartbeatKey(
        id=new_id(),
        organization_id=instance.organization_id,
        project_id=instance.project_id,
        instance_id=instance.id,
        kind=KeyKind.PING,
        name=instance.environment,
        ping_key=secrets.token_urlsafe(PING_KEY_BYTES),
        created_at=now,
    )
    key.hint = str(key.ping_key)[:4]
    session.add(key)
    session.flush()
    return str(key.ping_key)


def find_ping_key(session: Session, instance: InstanceRef) -> str:
    """The oldest ping key of an instance; "" without one."""
    return (
        session.scalar(
            sa.select(HeartbeatKey.ping_key)
            .where(HeartbeatKey.instance_id == instance.id, HeartbeatKey.kind == KeyKind.PING)
            .order_by(HeartbeatKey.id)
            .limit(1)
        )
        or ""
    )


def slug_of(name: str) -> str:
    """A name as a slug: `Nightly Backup!` is `nightly-backup`."""
    return re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-")[:LONGEST_SLUG]


def free_slug(session: Session, instance_id: str, name: str) -> str:
    """A slug from a name that is not taken yet, numbered when needed."""
    base = slug_of(name) or "heartbeat"
    taken = set(
        session.scalars(
            sa.select(Heartbeat.slug).where(
                Heartbeat.instance_id == instance_id, Heartbeat.slug.startswith(base)
            )
        )
    )
    if base not in taken:
        return base
    numbers = range(2, MOST_PER_INSTANCE + 3)
    return next(slug for n in numbers if (slug := f"{base[: LONGEST_SLUG - 5]}-{n}") not in taken)


def refuse_taken_slug(session: Session, heartbeat: Heartbeat) -> None:
    """Raises `Conflict` when another heartbeat of the instance has the slug."""
    with session.no_autoflush:
        taken = session.scalar(
            sa.select(Heartbeat.id).where(
                Heartbeat.instance_id == heartbeat.instance_id,
                Heartbeat.slug == heartbeat.slug,
                Heartbeat.id != heartbeat.id,
            )
        )
    if taken is not None:
        raise Conflict(f"The slug {heartbeat.slug!r} is taken; choose another one.")


def say_changed(
    session: Session,
    kind: type[HeartbeatEvent],
    heartbeat: Heartbeat,
    changes: Changes,
    *,
    now: datetime,
) -> None:
    """Say what somebody did with a heartbeat."""
    event = kind(
        organization_id=heartbeat.organization_id,
        project_id=heartbeat.project_id,
        instance_id=heartbeat.instance_id,
        heartbeat_id=heartbeat.id,
        name=heartbeat.name,
        changes=changes,
    )
    say(session, event, now=now)


def _refuse_too_many(session: Session, instance: InstanceRef) -> None:
    count = session.scalar(sa.select(sa.func.count()).where(Heartbeat.instance_id == instance.id))
    if (count or 0) >= MOST_PER_INSTANCE:
        raise Conflict(
            f"An instance has at most {MOST_PER_INSTANCE} heartbeats; remove one, or ask why jobs"
            " report under ever new names."
        )


def _fill_defaults(heartbeat: Heartbeat) -> None:
    """The columns' defaults, which a row that is not in the database yet does not have."""
    for column in Heartbeat.__table__.columns:
        default = column.default
        if getattr(heartbeat, column.key) is None and default is not None and default.is_scalar:
            setattr(heartbeat, column.key, default.arg)


def _refuse_strange_durations(heartbeat: Heartbeat) -> None:
    least, most = heartbeat.min_duration_seconds, heartbeat.max_duration_seconds
    if least is not None and most is not None and least >= most:
        raise Invalid("minDurationSeconds must be less than maxDurationSeconds.")

"""Our own API of the heartbeats."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Query
from fastapi.responses import Response
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.heartbeats.models import Heartbeat, HeartbeatKey, KeyKind, ScheduleKind
from mainstay_server.areas.heartbeats.schemas.api import (
    HeartbeatAnswer,
    HeartbeatChanges,
    HeartbeatKeyAnswer,
    HeartbeatKeysAnswer,
    HeartbeatsAnswer,
    HeartbeatSpellAnswer,
    HeartbeatUptimeAnswer,
    NewHeartbeat,
    NewHeartbeatKey,
    PingAnswer,
    PingsAnswer,
    SchedulePreview,
)
from mainstay_server.areas.heartbeats.schemas.examples import (
    HEARTBEAT,
    KEY,
    PING,
    PREVIEW,
    UPTIME,
)
from mainstay_server.areas.heartbeats.service import heartbeats, keys, making, reading
from mainstay_server.areas.heartbeats.service.schedules import (
    Schedule,
    checked_schedule,
    next_turns,
)
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, page_within
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.watching import uptime_of
from mainstay_server.kernel.web import Cursor, Limit, Router, example
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.models import Role

router = Router(prefix="/api/instances/{instance_id}")
Viewed = Annotated[InstanceRef, access.instance(Role.VIEWER)]
Written = Annotated[InstanceRef, access.instance(Role.MEMBER)]
Administered = Annotated[InstanceRef, access.instance(Role.ADMIN)]
MOST_DAYS = 366
# What may be emptied again by saying null; of the others null means that nothing was said.
CLEARABLE = (
    "start_grace_seconds",
    "min_duration_seconds",
    "max_duration_seconds",
    "most_reports",
)


@router.get(
    "/heartbeats",
    summary="List heartbeats",
    responses=example({"heartbeats": [HEARTBEAT], "nextCursor": "WyJOaWdodGx5IGJhY2t1cCJd"}),
)
def list_heartbeats(  # noqa: PLR0913, PLR0917 - what one can ask a list for
    request: Request,
    session: Session,
    instance: Viewed,
    q: Annotated[str, Query(max_length=100, description="A text in the name or tags.")] = "",
    state: Annotated[str, Query(max_length=20, description="Only those in it.")] = "",
    tag: Annotated[str, Query(max_length=40, description="Only those that have it.")] = "",
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> HeartbeatsAnswer:
    """The heartbeats of an instance by name. States: healthy, degraded, down, unknown, paused."""
    page = heartbeats.list_page(
        session, instance.id, search=q, state=state, tag=tag, limit=limit, cursor=cursor
    )
    base, now = base_url(request), utc_now()
    return HeartbeatsAnswer(
        heartbeats=[_answer(row, base, now) for row in page.items], next_cursor=page.next_cursor
    )


@router.post(
    "/heartbeats",
    status_code=201,
    summary="Add a heartbeat",
    responses=example(HEARTBEAT, 201),
)
def add_heartbeat(
    request: Request, session: Session, instance: Written, wanted: NewHeartbeat
) -> HeartbeatAnswer:
    """Add a job that will report. Nothing is expected of it until its first report."""
    now = utc_now()
    values = {n: v for n, v in wanted.model_dump().items() if v is not None}
    made = making.make_heartbeat(session, instance, values, now=now)
    return _answer(made, base_url(request), now)


@router.get(
    "/heartbeats/{heartbeat_id:id}", summary="Show a heartbeat", responses=example(HEARTBEAT)
)
def get_heartbeat(
    request: Request, session: Session, instance: Viewed, heartbeat_id: str
) -> HeartbeatAnswer:
    """One heartbeat, with its state and when it is expected next."""
    found = heartbeats.get_heartbeat(session, instance.id, heartbeat_id)
    return _answer(found, base_url(request), utc_now())


@router.patch(
    "/heartbeats/{heartbeat_id:id}", summary="Change a heartbeat", responses=example(HEARTBEAT)
)
def change_heartbeat(
    request: Request,
    session: Session,
    instance: Written,
    heartbeat_id: str,
    changes: HeartbeatChanges,
) -> HeartbeatAnswer:
    """Change what is given; what is due follows at once. Null empties a limit."""
    now = utc_now()
    found = heartbeats.get_to_change(session, instance.id, heartbeat_id)
    values = {
        name: value
        for name, value in changes.model_dump(exclude_unset=True).items()
        if value is not None or name in CLEARABLE
    }
    making.change_values(session, found, values, now=now)
    return _answer(found, base_url(request), now)


@router.delete("/heartbeats/{heartbeat_id:id}", status_code=204, summary="Remove a heartbeat")
def remove_heartbeat(session: Session, instance: Written, heartbeat_id: str) -> None:
    """Remove a heartbeat with its reports and its history."""
    found = heartbeats.get_to_change(session, instance.id, heartbeat_id)
    heartbeats.remove_heartbeat(session, found, now=utc_now())


@router.post(
    "/heartbeats/{heartbeat_id:id}/pause",
    summary="Pause a heartbeat",
    responses=example(HEARTBEAT | {"state": "paused"}),
)
def pause_heartbeat(
    request: Request, session: Session, instance: Written, heartbeat_id: str
) -> HeartbeatAnswer:
    """Expect nothing until it is resumed; a report resumes it too, unless `manualResume` is set."""
    now = utc_now()
    found = heartbeats.get_to_change(session, instance.id, heartbeat_id)
    heartbeats.pause_heartbeat(session, found, now=now)
    return _answer(found, base_url(request), now)


@router.post(
    "/heartbeats/{heartbeat_id:id}/resume",
    summary="Resume a heartbeat",
    responses=example(HEARTBEAT | {"state": "unknown"}),
)
def resume_heartbeat(
    request: Request, session: Session, instance: Written, heartbeat_id: str
) -> HeartbeatAnswer:
    """Wait for its next report again."""
    now = utc_now()
    found = heartbeats.get_to_change(session, instance.id, heartbeat_id)
    heartbeats.resume_heartbeat(session, found, now=now)
    return _answer(found, base_url(request), now)


@router.get(
    "/heartbeats/{heartbeat_id:id}/pings",
    summary="List reports",
    responses=example({"pings": [PING], "nextCursor": "WyJOaWdodGx5IGJhY2t1cCJd"}),
)
def list_heartbeat_pings(
    session: Session,
    instance: Viewed,
    heartbeat_id: str,
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> PingsAnswer:
    """The latest reports of a job, newest first."""
    found = heartbeats.get_heartbeat(session, instance.id, heartbeat_id)
    page = reading.list_pings(session, found, limit=limit, cursor=cursor)
    return PingsAnswer(
        pings=[PingAnswer.model_validate(row) for row in page.items],
        next_cursor=page.next_cursor,
    )


@router.get(
    "/heartbeats/{heartbeat_id:id}/pings/{ping_number}/body",
    summary="Show what came with a report",
    response_class=Response,
    responses={
        200: {
            "content": {
                "text/plain": {"schema": {"type": "string"}, "example": "Backup of 3.2 GB done"}
            }
        }
    },
)
def get_heartbeat_ping_body(
    session: Session, instance: Viewed, heartbeat_id: str, ping_number: int
) -> Response:
    """The first 10,000 bytes of the body, as they came."""
    found = heartbeats.get_heartbeat(session, instance.id, heartbeat_id)
    return text_of(reading.get_body(session, found, ping_number))


@router.get(
    "/heartbeats/{heartbeat_id:id}/uptime",
    summary="Uptime of a heartbeat",
    responses=example(UPTIME),
)
def get_heartbeat_uptime(
    session: Session,
    instance: Viewed,
    heartbeat_id: str,
    days: Annotated[int, Query(ge=1, le=MOST_DAYS, description="How far back.")] = 30,
) -> HeartbeatUptimeAnswer:
    """Uptime by time, not by reports, with the spells it comes from."""
    now = utc_now()
    since = now - timedelta(days=days)
    found = heartbeats.get_heartbeat(session, instance.id, heartbeat_id)
    spells = reading.spells_of(session, found, since=since, until=now, now=now)
    uptime = uptime_of(spells, since=since, until=now)
    return HeartbeatUptimeAnswer(
        heartbeat_id=found.id,
        since=since,
        until=now,
        uptime=uptime.percent,
        coverage=uptime.coverage,
        spells=[HeartbeatSpellAnswer.model_validate(spell) for spell in spells],
    )


@router.get(
    "/heartbeat-schedule",
    summary="Show when a schedule is due",
    responses=example(PREVIEW),
)
def preview_heartbeat_schedule(
    instance: Viewed,  # noqa: ARG001 - who may ask
    kind: Annotated[
        ScheduleKind, Query(description="`cron` or `oncalendar`.", examples=["cron"])
    ] = ScheduleKind.CRON,
    expression: Annotated[
        str, Query(max_length=200, description="What to read.", examples=["0 3 * * *"])
    ] = "0 3 * * *",
    zone: Annotated[
        str, Query(max_length=60, description="Whose clocks count.", examples=["Europe/Berlin"])
    ] = "UTC",
) -> SchedulePreview:
    """The next ten turns of an expression, before anything is made of it."""
    if kind == ScheduleKind.PERIOD:
        raise Invalid("A period needs no preview; give kind cron or oncalendar.")
    now = utc_now()
    wanted = Schedule(kind=kind, expression=expression, time_zone=zone)
    turns = next_turns(checked_schedule(wanted, now=now), after=now)
    return SchedulePreview(turns=turns, local=[f"{turn:%a %Y-%m-%d %H:%M:%S %Z}" for turn in turns])


@router.get(
    "/heartbeat-keys",
    summary="List keys of heartbeats",
    responses=example({"keys": [KEY], "nextCursor": "WyJOaWdodGx5IGJhY2t1cCJd"}),
)
def list_heartbeat_keys(
    session: Session, instance: Administered, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> HeartbeatKeysAnswer:
    """The keys that open the heartbeats of an instance. Ping keys are shown whole."""
    found = keys.list_keys(session, instance)
    page = page_within(found, limit=limit, cursor=cursor, key=lambda row: (row.id,))
    return HeartbeatKeysAnswer(
        keys=[_key(row, row.ping_key or "") for row in page.items], next_cursor=page.next_cursor
    )


@router.post(
    "/heartbeat-keys",
    status_code=201,
    summary="Add a key of heartbeats",
    responses=example(KEY, 201),
)
def add_heartbeat_key(
    session: Session, instance: Administered, wanted: NewHeartbeatKey
) -> HeartbeatKeyAnswer:
    """Make a key: `ping` to report by name, `read` and `write` for Healthchecks' clients."""
    made = keys.create_key(
        session,
        instance,
        kind=KeyKind(wanted.kind),
        name=wanted.name,
        whole_project=wanted.whole_project,
        now=utc_now(),
    )
    return _key(made.row, made.text)


@router.delete("/heartbeat-keys/{key_id:id}", status_code=204, summary="Remove a key of heartbeats")
def remove_heartbeat_key(session: Session, instance: Administered, key_id: str) -> None:
    """Let a key open nothing any more, at once."""
    keys.remove_key(session, instance, key_id, now=utc_now())


def text_of(body: bytes) -> Response:
    """What a job sent, as plain text: nothing in it is run or framed by a browser."""
    return Response(
        body,
        media_type="text/plain; charset=utf-8",
        headers={
            "content-security-policy": "default-src 'none'; sandbox",
            "x-content-type-options": "nosniff",
        },
    )


def _answer(row: Heartbeat, base: str, now: datetime) -> HeartbeatAnswer:
    named = {
        name: getattr(row, name)
        for name in HeartbeatAnswer.model_fields
        if name not in ("ping_url", "late", "running")
    }
    return HeartbeatAnswer(
        **named,
        ping_url=f"{base}/ping/{row.ping_id}",
        late=heartbeats.is_late(row, now),
        running=row.is_running,
    )


def _key(row: HeartbeatKey, text: str) -> HeartbeatKeyAnswer:
    return HeartbeatKeyAnswer(
        id=row.id,
        kind=row.kind,
        name=row.name,
        whole_project=row.instance_id is None,
        key=text or f"{row.hint}…",
        created_at=row.created_at,
        last_used_at=row.last_used_at,
    )

"""Silences over HTTP: list, preview, make, change, expire."""

from datetime import datetime
from typing import Annotated

from fastapi import Path, Query
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.alerts.models import Alert, AlertSilence
from mainstay_server.areas.alerts.schemas.silences import (
    HeldAlert,
    NewSilence,
    SilenceAnswer,
    SilenceChange,
    SilenceList,
    SilencePreview,
    SilencePreviewBody,
)
from mainstay_server.areas.alerts.service import silence_previews, silences
from mainstay_server.areas.alerts.service.silences import Reach, SilenceState
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.matchers import parse_matchers, written
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.web import Cursor, Limit, Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.scopes import Scope
from mainstay_server.tenancy.subjects import ProjectRef

SILENCES = "/api/projects/{slug}/alert-silences"
SILENCE = SILENCES + "/{silence_id}"

router = Router()

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]
SilenceId = Annotated[str, Path(description="The id of the silence.", max_length=36)]


@router.get(SILENCES, summary="List silences", operation_id="list_alert_silences")
def list_silences(
    session: Session,
    project: Viewed,
    *,
    state: Annotated[SilenceState | None, Query(description="Default: all.")] = None,
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> SilenceList:
    """The silences of a project and those of its whole organization, newest first."""
    now = utc_now()
    page = silences.list_silences(
        session, _reach(project), state=state, limit=limit, cursor=cursor, now=now
    )
    return SilenceList(
        silences=[_answer(each, now=now) for each in page.items], next_cursor=page.next_cursor
    )


@router.post(SILENCES, summary="Make a silence", status_code=201, operation_id="create_silence")
def create_silence(
    session: Session, project: Written, request: Request, body: NewSilence
) -> SilenceAnswer:
    """Hold alerts by their labels until an end; who is told of what ends meanwhile stays as it is.

    Alerts that open while it lasts are listed as ever, but nobody is told.
    """
    now = utc_now()
    caller: Caller = request.state.caller
    wanted = silences.Wanted(
        matchers=parse_matchers(body.matchers),
        starts_at=body.starts_at or now,
        ends_at=body.ends_at,
        by=caller.person_name,
        comment=body.comment,
    )
    reach = _reach(project)
    if body.reach == "organization":
        reach = reach.widened(administers=_administers(request))
    return _answer(silences.create_silence(session, reach, wanted, now=now), now=now)


@router.post(
    "/api/projects/{slug}/alert-silence-preview",
    summary="Preview a silence",
    operation_id="preview_silence",
)
def preview_silence(session: Session, project: Written, body: SilencePreviewBody) -> SilencePreview:
    """What a silence would hold of the project's alerts, now and in the last week."""
    matchers = parse_matchers(body.matchers)
    found = silence_previews.preview(session, _reach(project), matchers, now=utc_now())
    return SilencePreview(
        matchers=written(matchers),
        active=[_held(alert) for alert in found.active],
        active_count=found.active_count,
        past=[_held(alert) for alert in found.past],
        past_count=found.past_count,
        looked_at_all=found.looked_at_all,
    )


@router.get(SILENCE, summary="One silence", operation_id="get_silence")
def get_silence(session: Session, project: Viewed, silence_id: SilenceId) -> SilenceAnswer:
    """One silence that reaches the project."""
    return _answer(silences.get_silence(session, _reach(project), silence_id), now=utc_now())


@router.patch(SILENCE, summary="Change a silence", operation_id="change_silence")
def change_silence(
    session: Session,
    project: Written,
    request: Request,
    silence_id: SilenceId,
    body: SilenceChange,
) -> SilenceAnswer:
    """Move its end, or say otherwise why it is; what it holds stays as it was made."""
    now = utc_now()
    reach = _reach_to_change(request, session, project, silence_id)
    changed = silences.change_silence(
        session, reach, silence_id, ends_at=body.ends_at, comment=body.comment, now=now
    )
    return _answer(changed, now=now)


@router.post(SILENCE + "/expire", summary="Expire a silence", operation_id="expire_silence")
def expire_silence(
    session: Session, project: Written, request: Request, silence_id: SilenceId
) -> SilenceAnswer:
    """End it now; one that has ended stays as it is."""
    now = utc_now()
    reach = _reach_to_change(request, session, project, silence_id)
    return _answer(silences.expire_silence(session, reach, silence_id, now=now), now=now)


def _reach(project: ProjectRef) -> Reach:
    return Reach(organization_id=project.organization_id, project_id=project.id)


def _reach_to_change(
    request: Request, session: Session, project: ProjectRef, silence_id: str
) -> Reach:
    return silences.reach_to_change(
        session, _reach(project), silence_id, administers=_administers(request)
    )


def _administers(request: Request) -> bool:
    caller: Caller = request.state.caller
    return caller.may(Role.ADMIN, Scope.ORG_WRITE)


def _answer(silence: AlertSilence, *, now: datetime) -> SilenceAnswer:
    return SilenceAnswer(
        id=silence.id,
        state=silences.state_of(silence, now=now).value,
        reach=silence.reach,
        matchers=written(silences.matchers_of(silence)),
        starts_at=silence.starts_at,
        ends_at=silence.ends_at,
        by=silence.by,
        comment=silence.comment,
        created_at=silence.created_at,
        updated_at=silence.updated_at,
    )


def _held(alert: Alert) -> HeldAlert:
    return HeldAlert(
        id=alert.id,
        title=alert.title,
        severity=alert.severity,
        labels=alert.labels,
        created_at=alert.opened_at,
        resolved_at=alert.resolved_at,
    )

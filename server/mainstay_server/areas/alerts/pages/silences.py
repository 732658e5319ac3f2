"""Silences as people see them: the list, the form with what it would hold, and its buttons."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import Form
from fastapi.responses import HTMLResponse, Response
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.alerts.service import silence_previews, silences
from mainstay_server.areas.alerts.service.silences import Reach, SilenceState
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.matchers import LONGEST_TEXT, parse_matchers, written
from mainstay_server.kernel.problems import Invalid, Problem
from mainstay_server.kernel.web import Body, Router
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.frame import done_or_refused, may_administer, redirect_with
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import fragment

from .frame import PREFIX, Viewed, Written, frame_of, page_of, url_of, words

router = Router(prefix=PREFIX + "/silences", include_in_schema=False)

PER_PAGE = 50
SPANS = (
    ("30", "30 minutes"),
    ("60", "1 hour"),
    ("120", "2 hours"),
    ("240", "4 hours"),
    ("480", "8 hours"),
    ("1440", "1 day"),
    ("4320", "3 days"),
    ("10080", "1 week"),
    ("43200", "30 days"),
)


class SilenceForm(Body):
    """The form of a new silence; `starts` is a time of day in UTC, or "" for now."""

    csrf_token: str = Field("", alias="csrf_token")
    matchers: str = Field("", max_length=LONGEST_TEXT)
    comment: str = Field("", max_length=1000)
    starts: str = Field("", max_length=30)
    minutes: int = Field(120, ge=1, le=366 * 1440)
    scope: Literal["project", "organization"] = "project"


@router.get("")
def show_silences(request: Request, session: Session, project: Viewed) -> Response:
    """Which alerts are told to nobody, why, and until when."""
    now = utc_now()
    given = request.query_params.get("state", "")
    state = next((each for each in SilenceState if each == given), None)
    page = silences.list_silences(
        session,
        _reach(project),
        state=state,
        limit=PER_PAGE,
        cursor=request.query_params.get("cursor", ""),
        now=now,
    )
    return page_of(
        request,
        session,
        frame_of(request, session, project),
        "silences",
        silences=[
            (each, silences.state_of(each, now=now), written(silences.matchers_of(each)))
            for each in page.items
        ],
        state=state,
        next_cursor=page.next_cursor,
        administers=may_administer(request),
    )


@router.get("/new")
def show_form(request: Request, session: Session, project: Written) -> Response:
    """The form of a new silence, perhaps with matchers that a link brought along."""
    matchers = request.query_params.get("matchers", "")[:LONGEST_TEXT]
    return _form(request, session, project, SilenceForm(matchers=matchers))


@router.get("/preview")
def show_preview(request: Request, session: Session, project: Viewed) -> HTMLResponse:
    """What the form's matchers would hold, now and of the last week."""
    given = request.query_params.get("matchers", "").strip()
    found, problem = None, ""
    try:
        if given:
            found = silence_previews.preview(
                session, _reach(project), parse_matchers(given), now=utc_now()
            )
    except Problem as refused:
        problem = refused.detail
    return HTMLResponse(
        fragment(
            request,
            "alerts/silence_preview.html",
            **words(),
            base=f"/dashboard/projects/{project.slug}",
            found=found,
            problem=problem,
        )
    )


@router.post("")
def create_silence(
    request: Request, session: Session, project: Written, form: Annotated[SilenceForm, Form()]
) -> Response:
    """Make a silence; what is wrong with it stands above the form, which stays filled in."""
    now = utc_now()
    caller: Caller = request.state.caller
    try:
        with session.begin_nested():
            reach = _reach(project)
            if form.scope == "organization":
                reach = reach.widened(administers=may_administer(request))
            starts_at = _start_of(form.starts, now=now)
            wanted = silences.Wanted(
                matchers=parse_matchers(form.matchers),
                starts_at=starts_at,
                ends_at=starts_at + timedelta(minutes=form.minutes),
                by=caller.person_name,
                comment=form.comment,
            )
            made = silences.create_silence(session, reach, wanted, now=now)
    except Problem as refused:
        return _form(request, session, project, form, problem=refused.detail)
    return redirect_with(
        url_of(project, "alerts/silences"), f"Silent until {made.ends_at:%-d %b %Y, %H:%M} UTC."
    )


@router.post("/{silence_id}/expire")
def expire_silence(
    request: Request, session: Session, project: Written, silence_id: str
) -> Response:
    """End a silence now."""
    return _act(request, session, project, silence_id, minutes=0)


@router.post("/{silence_id}/extend")
def extend_silence(
    request: Request,
    session: Session,
    project: Written,
    silence_id: str,
    minutes: Annotated[int, Form(ge=1, le=366 * 1440)],
) -> Response:
    """Let a silence last longer by some minutes."""
    return _act(request, session, project, silence_id, minutes=minutes)


def _act(
    request: Request, session: Session, project: ProjectRef, silence_id: str, *, minutes: int
) -> Response:
    now = utc_now()

    def act() -> None:
        reach = silences.reach_to_change(
            session, _reach(project), silence_id, administers=may_administer(request)
        )
        if not minutes:
            silences.expire_silence(session, reach, silence_id, now=now)
            return
        found = silences.get_silence(session, reach, silence_id)
        ends_at = found.ends_at + timedelta(minutes=minutes)
        silences.change_silence(session, reach, silence_id, ends_at=ends_at, now=now)

    done = "It lasts longer now." if minutes else "Its alerts are told again."
    return done_or_refused(session, act, path=url_of(project, "alerts/silences"), done=done)


def _form(
    request: Request,
    session: Session,
    project: ProjectRef,
    values: SilenceForm,
    *,
    problem: str = "",
) -> Response:
    return page_of(
        request,
        session,
        frame_of(request, session, project),
        "silence_form",
        values=values,
        problem=problem,
        spans=SPANS,
        administers=may_administer(request),
    )


def _reach(project: ProjectRef) -> Reach:
    return Reach(organization_id=project.organization_id, project_id=project.id)


def _start_of(text: str, *, now: datetime) -> datetime:
    if not text.strip():
        return now
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise Invalid("The start is a time in UTC, such as 2026-03-01T12:00.") from None

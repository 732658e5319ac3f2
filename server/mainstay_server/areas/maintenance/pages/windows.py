"""The buttons of single windows: begin, end, extend, cancel."""

from datetime import timedelta
from typing import Annotated

from fastapi import Form, Path
from sqlalchemy.orm import Session
from starlette.responses import Response

from mainstay_server.areas.maintenance.service import acting
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.frame import done_or_refused
from mainstay_server.tenancy.subjects import ProjectRef

from .frame import PREFIX, Written, home

router = Router(prefix=PREFIX + "/windows/{window_id}", include_in_schema=False)

WindowId = Annotated[str, Path(max_length=60)]


@router.post("/start")
def start(session: Session, project: Written, window_id: WindowId) -> Response:
    """Begin a window now."""
    return done_or_refused(
        session,
        lambda: acting.start_window(session, project, window_id, now=utc_now()),
        path=home(project),
        done="It has begun: alerts of what it covers are held back.",
    )


@router.post("/end")
def end(session: Session, project: Written, window_id: WindowId) -> Response:
    """End a window now."""
    return done_or_refused(
        session,
        lambda: acting.end_window(session, project, window_id, now=utc_now()),
        path=home(project),
        done="It has ended: what is still in trouble is told.",
    )


@router.post("/extend")
def extend(
    session: Session,
    project: Written,
    window_id: WindowId,
    minutes: Annotated[int, Form(ge=1, le=10_000)] = 30,
) -> Response:
    """Let a window last longer."""
    return done_or_refused(
        session,
        lambda: _extend(session, project, window_id, minutes),
        path=home(project),
        done=f"It lasts {minutes} minutes longer.",
    )


@router.post("/cancel")
def cancel(session: Session, project: Written, window_id: WindowId) -> Response:
    """Call off a single window."""
    return done_or_refused(
        session,
        lambda: acting.cancel_window(session, project, window_id, now=utc_now()),
        path=home(project),
        done="That one was cancelled; others stay.",
    )


def _extend(session: Session, project: ProjectRef, window_id: str, minutes: int) -> None:
    window = acting.get_window(session, project, window_id)
    ends_at = window.ended_at + timedelta(minutes=minutes)
    acting.move_window(session, project, window_id, ends_at=ends_at, now=utc_now())

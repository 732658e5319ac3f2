"""Who is told: the list of channels, adding one, and what its buttons do."""

from typing import Annotated

from fastapi import Form
from fastapi.responses import HTMLResponse, Response
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.alerts.models import Severity
from mainstay_server.areas.alerts.providers import KINDS
from mainstay_server.areas.alerts.service import channels, history, notifications
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import NotFound, Problem
from mainstay_server.kernel.web import Body, Router
from mainstay_server.tenancy.frame import done_or_refused, redirect_with
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import fragment

from .frame import PREFIX, Text, Viewed, Written, frame_of, instance_of, page_of, url_of

router = Router(prefix=PREFIX, include_in_schema=False)


class ChannelForm(Body):
    """The form of a new channel; `scope` is `project` or `instance`."""

    csrf_token: str = Field("", alias="csrf_token")
    instance_id: str = Field(max_length=36)
    scope: str = "project"
    kind: str = Field(max_length=20)
    target: str = Field(max_length=2500)
    minimum_severity: Severity = Severity.INFO


@router.get("/channels")
def show_channels(request: Request, session: Session, project: Viewed) -> Response:
    """Who is told, and whether that works."""
    return _channels_page(request, session, project)


@router.get("/channels/target")
def show_target(request: Request, project: Written, kind: str = "") -> HTMLResponse:
    """The field that a kind of channel needs; the form asks for it when the kind is chosen."""
    _ = project
    if kind not in KINDS:
        raise NotFound(f"There is no such kind of channel; there are {', '.join(KINDS)}.")
    return HTMLResponse(fragment(request, "alerts/target.html", kind=KINDS[kind]))


@router.post("/channels")
def add_channel(
    request: Request, session: Session, project: Written, form: Annotated[ChannelForm, Form()]
) -> Response:
    """Add a channel, and show its signing secret this once."""
    instance = instance_of(session, project, form.instance_id)
    scope = instance.id if form.scope == "instance" else None
    back = url_of(project, "alerts/channels", instance)
    try:
        with session.begin_nested():
            made = channels.create_channel(
                session,
                (project.organization_id, project.id, scope),
                form.kind,
                {KINDS[form.kind].CONFIG_KEY: form.target} if form.kind in KINDS else {},
                minimum_severity=form.minimum_severity,
                now=utc_now(),
            )
    except Problem as problem:
        return redirect_with(back, problem.detail, "critical")
    if not made.secret:
        return redirect_with(back, "Added. Send a test to see that it arrives.")
    return _channels_page(request, session, project, made=made)


@router.post("/channels/{channel_id}/change")
def change_channel(
    session: Session,
    project: Written,
    channel_id: str,
    instance: Text = "",
    enabled: Text = "",
    minimum_severity: Annotated[Severity | None, Form()] = None,
) -> Response:
    """Switch a channel on or off, or change from which severity on it is told."""
    channel = channels.get_channel(session, project.id, None, channel_id)
    channels.change_channel(
        session,
        channel,
        enabled={"on": True, "off": False}.get(enabled),
        minimum_severity=minimum_severity,
        now=utc_now(),
    )
    return redirect_with(url_of(project, "alerts/channels", instance), "Changed.")


@router.post("/channels/{channel_id}/remove")
def remove_channel(
    session: Session, project: Written, channel_id: str, instance: Text = ""
) -> Response:
    """Remove a channel."""
    channel = channels.get_channel(session, project.id, None, channel_id)
    channels.remove_channel(session, channel, now=utc_now())
    return redirect_with(url_of(project, "alerts/channels", instance), "Removed.")


@router.post("/channels/{channel_id}/test")
def send_test(session: Session, project: Written, channel_id: str, instance: Text = "") -> Response:
    """Send a test; the page shows what became of it."""
    channel = channels.get_channel(session, project.id, None, channel_id)
    return done_or_refused(
        session,
        lambda: notifications.send_test(session, channel, now=utc_now()),
        path=url_of(project, "alerts/channels", instance),
        done="The test is on its way; its result appears beside the channel.",
    )


def _channels_page(
    request: Request, session: Session, project: ProjectRef, made: object = None
) -> Response:
    frame = frame_of(request, session, project)
    found = channels.list_channels(session, project.id, frame["instance"].id)
    return page_of(
        request,
        session,
        frame,
        "channels",
        channels=found,
        edited=next((c for c in found if c.id == request.query_params.get("edit")), None),
        made=made,
        tests=history.latest_tests(session, [channel.id for channel in found]),
    )

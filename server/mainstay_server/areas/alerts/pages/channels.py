"""Who is told: the list of channels, adding one, and what its buttons do."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Form
from fastapi.responses import HTMLResponse, Response
from pydantic import ConfigDict, Field
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.alerts.models import AlertChannel, Severity
from mainstay_server.areas.alerts.providers import KINDS, masked, secret_fields
from mainstay_server.areas.alerts.schemas.channels import PerMinute
from mainstay_server.areas.alerts.service import (
    channels,
    history,
    notifications,
    rate_limit,
    targets,
    trials,
)
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import (
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    TooManyRequests,
)
from mainstay_server.kernel.web import Body, Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.frame import done_or_refused, redirect_with
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import fragment

from .frame import PREFIX, Text, Viewed, Written, frame_of, instance_of, page_of, url_of

Asking = Annotated[Caller, access.signed_in()]

router = Router(prefix=PREFIX, include_in_schema=False)

CONFIG = "config."
LONGEST_VALUE = 2500
TAKEN_AWAY = "-"
LONGEST_MUTE_MINUTES = 366 * 1440


class ConfigForm(Body):
    """What the forms of channels share: `config.…` are the fields of the channel's kind."""

    model_config = ConfigDict(extra="allow")

    csrf_token: str = Field("", alias="csrf_token")
    name: str = Field("", max_length=100)
    fallback_id: str | None = Field(None, max_length=36)
    per_minute: PerMinute | None = None

    @property
    def config(self) -> dict[str, str]:
        """The config as it was typed. Raises `Invalid` for what no field could hold."""
        given = {
            name.removeprefix(CONFIG): str(value)
            for name, value in (self.model_extra or {}).items()
            if name.startswith(CONFIG)
        }
        if any(len(value) > LONGEST_VALUE for value in given.values()):
            raise Invalid(f"No field of a channel takes more than {LONGEST_VALUE} characters.")
        return given


class ChannelForm(ConfigForm):
    """The form of a new channel; `scope` is `project` or `instance`."""

    instance_id: str = Field(max_length=36)
    scope: str = "project"
    kind: str = Field(max_length=20)
    minimum_severity: Severity = Severity.INFO


class ChangeForm(ConfigForm):
    """The form of a channel that is there.

    A field whose value is not shown stays as it is when it is left empty; a `-` takes it away.
    """

    instance: str = Field("", max_length=64)
    enabled: str = Field("", max_length=3)
    minimum_severity: Severity | None = Field(None, alias="minimum_severity")
    mute: str = Field("", max_length=6, pattern=r"[0-9]*")
    mute_times: str = Field("", max_length=500)
    time_zone: str = Field("UTC", max_length=64)

    def quiet(self, now: datetime) -> dict[str, Any]:
        """When the channel is to be quiet."""
        named = self.model_fields_set & {"mute_times", "time_zone"}
        said: dict[str, Any] = {name: getattr(self, name) for name in sorted(named)}
        if self.mute:
            minutes = min(int(self.mute), LONGEST_MUTE_MINUTES)
            said["muted_until"] = now + timedelta(minutes=minutes) if minutes else None
        return said


@router.get("/channels")
def show_channels(request: Request, session: Session, project: Viewed) -> Response:
    """Who is told, and whether that works."""
    return _channels_page(request, session, project)


@router.get("/channels/target")
def show_target(request: Request, project: Written, kind: str = "") -> HTMLResponse:
    """The fields that a kind of channel needs; the form asks for them when the kind is chosen."""
    _ = project
    if kind not in KINDS:
        raise NotFound(f"There is no such kind of channel; there are {', '.join(KINDS)}.")
    shown = fragment(
        request, "alerts/target.html", name=kind, kind=KINDS[kind], config=None, masked=masked
    )
    return HTMLResponse(shown)


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
                form.config,
                name=form.name,
                minimum_severity=form.minimum_severity,
                fallback_id=form.fallback_id or "",
                per_minute=form.per_minute or 0,
                now=utc_now(),
            )
    except Problem as problem:
        return redirect_with(back, problem.detail, "critical")
    if not made.secret:
        return redirect_with(back, "Added. Send a test to see that it arrives.")
    return _channels_page(request, session, project, made=made)


@router.post("/channels/{channel_id}/change")
def change_channel(
    session: Session, project: Written, channel_id: str, form: Annotated[ChangeForm, Form()]
) -> Response:
    """Switch a channel on or off, or change where it leads and what it is told of."""
    channel = channels.get_channel(session, project.id, None, channel_id)
    return done_or_refused(
        session,
        lambda: channels.change_channel(
            session,
            channel,
            name=form.name or None,
            enabled={"on": True, "off": False}.get(form.enabled),
            minimum_severity=form.minimum_severity,
            target=_changed(channel, form.config),
            quiet=form.quiet(utc_now()),
            fallback_id=form.fallback_id,
            per_minute=form.per_minute,
            now=utc_now(),
        ),
        path=url_of(project, "alerts/channels", form.instance),
        done="Changed.",
    )


@router.post("/channels/{channel_id}/remove")
def remove_channel(
    session: Session, project: Written, channel_id: str, instance: Text = ""
) -> Response:
    """Remove a channel."""
    channel = channels.get_channel(session, project.id, None, channel_id)
    channels.remove_channel(session, channel, now=utc_now())
    return redirect_with(url_of(project, "alerts/channels", instance), "Removed.")


@router.post("/channels/{channel_id}/rotate")
def rotate_secret(
    request: Request, session: Session, project: Written, channel_id: str, instance: Text = ""
) -> Response:
    """Give a webhook another signing secret, and show it this once."""
    channel = channels.get_channel(session, project.id, None, channel_id)
    try:
        channels.rotate_secret(session, channel, now=utc_now())
    except Problem as problem:
        back = url_of(project, "alerts/channels", instance)
        return redirect_with(back, problem.detail, "critical")
    return _channels_page(request, session, project, made=channel)


@router.post("/channels/{channel_id}/test")
def send_test(project: Written, caller: Asking, channel_id: str, instance: Text = "") -> Response:
    """Send a test; the page shows what became of it."""
    path, now = url_of(project, "alerts/channels", instance), utc_now()
    try:
        with reading() as session:
            channel = channels.get_channel(session, project.id, None, channel_id)
            trials.admit_test(session, channel, caller, now=now)
    except (Forbidden, TooManyRequests) as refused:
        return redirect_with(path, refused.detail, "critical")
    with transaction() as session:
        channel = channels.get_channel(session, project.id, None, channel_id)
        return done_or_refused(
            session,
            lambda: notifications.send_test(session, channel, now=now),
            path=path,
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
        limits={channel.id: rate_limit.limit_of(channel) for channel in found},
        names={channel.id: channel.name for channel in found},
        waiting=history.count_waiting(session, [channel.id for channel in found]),
        tests=history.latest_tests(session, [channel.id for channel in found]),
    )


def _changed(channel: AlertChannel, given: Mapping[str, str]) -> dict[str, Any] | None:
    """The config with what the form changed; None when it had no field of it."""
    hidden = secret_fields(channel.type, channel.config)
    typed = {name: value for name, value in given.items() if value or name not in hidden}
    plain = {name: "" if value == TAKEN_AWAY else value for name, value in typed.items()}
    return targets.merged(channel, plain) if plain else None

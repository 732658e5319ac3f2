"""Alert channels over HTTP: list, add, change, remove, test; for an instance or a whole project."""

from collections.abc import Sequence
from typing import Annotated

from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import AlertChannel
from mainstay_server.areas.alerts.providers import KINDS, masked
from mainstay_server.areas.alerts.schemas.channels import (
    ChannelAnswer,
    ChannelChange,
    ChannelFieldAnswer,
    ChannelList,
    NewChannel,
    NewChannelAnswer,
    RotatedAnswer,
    TestAnswer,
)
from mainstay_server.areas.alerts.service import (
    channels,
    notifications,
    rate_limit,
    targets,
    trials,
)
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, page_within
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Cursor, Limit, Router, example
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef

router = Router()

Viewed = Annotated[InstanceRef, access.instance(Role.VIEWER)]
Written = Annotated[InstanceRef, access.instance(Role.MEMBER)]
Asking = Annotated[Caller, access.signed_in()]
ViewedProject = Annotated[ProjectRef, access.project(Role.VIEWER)]
WrittenProject = Annotated[ProjectRef, access.project(Role.MEMBER)]

CHANNEL = {
    "id": "0193a5c2-8f00-7a11-8b22-3c44d55e6f77",
    "instanceId": "0193a5c0-11aa-7b2c-8d3e-4f5a6b7c8d9e",
    "scope": "instance",
    "name": "webhook",
    "type": "webhook",
    "config": {"webhookUrl": "https://hooks.example/services/…"},
    "enabled": True,
    "minimumSeverity": "info",
    "perMinute": 0,
    "createdAt": "2026-03-01T12:00:00.000Z",
}
EMAIL = {
    "name": "email",
    "label": "Address",
    "hint": "Mail leaves the way that this server sends all of its mail.",
    "required": True,
    "secret": False,
    "choices": [],
}
LISTED = {
    "channels": [CHANNEL],
    "kinds": {"email": [EMAIL]},
    "nextCursor": "WyIwMTk5YjFiMi03YzNkIl0",
}
FIELDS = {
    name: [
        ChannelFieldAnswer(
            name=field.name,
            label=field.label,
            hint=field.hint,
            required=field.required,
            secret=field.secret,
            choices=[value for value, _ in field.choices],
        )
        for field in kind.FIELDS
    ]
    for name, kind in KINDS.items()
}


@router.get(
    "/api/instances/{instance_id}/alert-channels",
    summary="List alert channels",
    operation_id="list_alert_channels",
    responses=example(LISTED),
)
def list_channels(
    session: Session, instance: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> ChannelList:
    """The channels that hear of an instance: its own and the project-wide ones."""
    found = channels.list_channels(session, instance.project_id, instance.id)
    return _listed(found, limit=limit, cursor=cursor)


@router.post(
    "/api/instances/{instance_id}/alert-channels",
    status_code=201,
    summary="Add an alert channel",
    operation_id="create_alert_channel",
    responses=example(CHANNEL | {"secret": "whsec_…"}, 201),
)
def create_channel(session: Session, instance: Written, body: NewChannel) -> NewChannelAnswer:
    """Tell a webhook or an address of this instance's alerts.

    The secret that signs a webhook's messages (Standard Webhooks) is shown in this answer only.
    """
    about = (instance.organization_id, instance.project_id, instance.id)
    return _create(session, about, body)


@router.get(
    "/api/projects/{slug}/alert-channels",
    summary="List project-wide alert channels",
    operation_id="list_project_alert_channels",
    responses=example(LISTED),
)
def list_project_channels(
    session: Session, project: ViewedProject, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> ChannelList:
    """The channels that hear of all instances of a project."""
    found = channels.list_channels(session, project.id, None)
    return _listed(found, limit=limit, cursor=cursor)


@router.post(
    "/api/projects/{slug}/alert-channels",
    status_code=201,
    summary="Add a project-wide alert channel",
    operation_id="create_project_alert_channel",
    responses=example(CHANNEL | {"secret": "whsec_…", "scope": "project"}, 201),
)
def create_project_channel(
    session: Session, project: WrittenProject, body: NewChannel
) -> NewChannelAnswer:
    """Tell a webhook or an address of the alerts of every instance, also of those to come."""
    return _create(session, (project.organization_id, project.id, None), body)


@router.patch(
    "/api/instances/{instance_id}/alert-channels/{channel_id}",
    summary="Change an alert channel",
    operation_id="change_alert_channel",
    responses=example(CHANNEL),
)
def change_channel(
    session: Session, instance: Written, channel_id: str, body: ChannelChange
) -> ChannelAnswer:
    """Switch a channel on or off, or change its name, where it leads, or what it is told of.

    Fields that `config` does not name stay as they are; an empty one is taken away.
    """
    channel = channels.get_channel(session, instance.project_id, instance.id, channel_id)
    channels.change_channel(
        session,
        channel,
        name=body.name,
        target=None if body.config is None else targets.merged(channel, body.config),
        enabled=body.enabled,
        minimum_severity=body.minimum_severity,
        quiet=body.quiet,
        fallback_id=body.fallback_id,
        per_minute=body.per_minute,
        now=utc_now(),
    )
    return _channel(channel)


@router.delete(
    "/api/instances/{instance_id}/alert-channels/{channel_id}",
    status_code=204,
    summary="Remove an alert channel",
    operation_id="remove_alert_channel",
)
def remove_channel(session: Session, instance: Written, channel_id: str) -> None:
    """Remove a channel with its delivery history. A project-wide one goes for all instances."""
    channel = channels.get_channel(session, instance.project_id, instance.id, channel_id)
    channels.remove_channel(session, channel, now=utc_now())


@router.post(
    "/api/instances/{instance_id}/alert-channels/{channel_id}/test",
    status_code=202,
    summary="Send a test through an alert channel",
    operation_id="test_alert_channel",
    responses=example({"id": CHANNEL["id"], "state": "waiting"}, 202),
)
def test_channel(instance: Written, caller: Asking, channel_id: str) -> TestAnswer:
    """Send a test the way that alerts go; `GET …/alert-notifications` tells what became of it.

    Mail goes to members of the organization alone, unless an admin sends the test; five an hour to
    one address, thirty of an organization.
    """
    now = utc_now()
    with reading() as session:
        channel = channels.get_channel(session, instance.project_id, instance.id, channel_id)
        trials.admit_test(session, channel, caller, now=now)
    with transaction() as session:
        channel = channels.get_channel(session, instance.project_id, instance.id, channel_id)
        return TestAnswer.model_validate(notifications.send_test(session, channel, now=now))


@router.post(
    "/api/instances/{instance_id}/alert-channels/{channel_id}/rotate-secret",
    summary="Rotate the signing secret of a webhook",
    operation_id="rotate_alert_channel_secret",
    responses=example({"secret": "whsec_…", "previousSecretUntil": "2026-03-02T12:00:00.000Z"}),
)
def rotate_secret(session: Session, instance: Written, channel_id: str) -> RotatedAnswer:
    """Give a webhook another secret, shown this once. Both sign its messages for a day.

    The receiver sees two signatures with a space between and accepts the message if one is right,
    as Standard Webhooks says; so it can change its secret at any moment of that day.
    """
    channel = channels.get_channel(session, instance.project_id, instance.id, channel_id)
    until = channels.rotate_secret(session, channel, now=utc_now())
    return RotatedAnswer(secret=channel.secret, previous_secret_until=until)


def _listed(found: Sequence[AlertChannel], *, limit: int, cursor: str) -> ChannelList:
    page = page_within(
        found,
        limit=limit,
        cursor=cursor,
        key=lambda channel: (channel.created_at.isoformat(), channel.id),
    )
    return ChannelList(
        channels=[_channel(channel) for channel in page.items],
        kinds=FIELDS,
        next_cursor=page.next_cursor,
    )


def _create(
    session: Session, about: tuple[str, str, str | None], body: NewChannel
) -> NewChannelAnswer:
    made = channels.create_channel(
        session,
        about,
        body.type,
        body.config,
        name=body.name,
        minimum_severity=body.minimum_severity,
        fallback_id=body.fallback_id,
        per_minute=body.per_minute,
        now=utc_now(),
    )
    return NewChannelAnswer(**_channel(made).model_dump(), secret=made.secret or None)


def _channel(channel: AlertChannel) -> ChannelAnswer:
    return ChannelAnswer(
        id=channel.id,
        instance_id=channel.instance_id,
        scope="project" if channel.instance_id is None else "instance",
        name=channel.name,
        type=channel.type,
        config=masked(channel.type, channel.config),
        enabled=channel.enabled,
        minimum_severity=channel.minimum_severity,
        fallback_id=channel.fallback_id or None,
        per_minute=rate_limit.limit_of(channel),
        created_at=channel.created_at,
        last_delivered_at=channel.last_delivered_at,
        failing_since=channel.failing_since,
        last_error=channel.last_error or None,
        disabled_reason=channel.disabled_reason or None,
        previous_secret_until=channel.previous_secret_until,
        not_ready=KINDS[channel.type].not_ready() or None,
        muted_until=channel.muted_until,
        mute_times=channel.mute_times or None,
        time_zone=channel.time_zone if channel.mute_times else None,
    )

"""Channels: who is told of alerts, for one instance or a whole project."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import AlertChannel, AlertNotification, Severity
from mainstay_server.areas.alerts.providers import KINDS, ChannelKind, known_fields, masked
from mainstay_server.contracts.alerts import (
    AlertChannelChanged,
    AlertChannelCreated,
    AlertChannelRemoved,
    AlertChannelSecretRotated,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.kernel.standard_webhooks import is_well_formed, new_secret

from .routing.checking import checked_quiet
from .routing.routes import forget_channel
from .targets import refuse_secrets_of_another_server

MOST_CHANNELS = 20
MOST_OF_ORGANIZATION = 1_000
PREVIOUS_SECRET_HOLDS = timedelta(hours=24)
QUIET = ("muted_until", "mute_times", "time_zone")
LONGEST_NAME = 100


class ChannelNames(TypedDict):
    """What every event of a channel carries."""

    organization_id: str
    project_id: str
    instance_id: str
    channel_id: str
    type: str
    shown: str


def create_channel(  # noqa: PLR0913 - a channel, all that can be said of it
    session: Session,
    about: tuple[str, str, str | None],
    kind: str,
    config: Mapping[str, Any],
    *,
    name: str = "",
    secret: str = "",
    minimum_severity: Severity = Severity.INFO,
    fallback_id: str = "",
    per_minute: int = 0,
    now: datetime,
) -> AlertChannel:
    """Add a channel for `(organization id, project id, instance id or None for project-wide)`.

    The same target twice for the same instance is one too many: people would hear all of it twice.
    Without a name it is called after its kind; without a secret a kind that signs makes one.

    Raises:
        Invalid: an unknown kind, a config that its kind refuses, or a strange fallback.
        Conflict: the name or target is there, or twenty channels are, or the organization's 1,000.
    """
    organization_id, project_id, instance_id = about
    provider, checked = _checked(kind, config)
    present = list_channels(session, project_id, instance_id)
    beside = [c for c in present if c.instance_id == instance_id]
    if any(c.type == kind and c.config == checked for c in present):
        raise Conflict("That target is told already; change the channel it has.")
    _refuse_too_many(session, organization_id, beside)
    channel = AlertChannel(
        id=new_id(),
        organization_id=organization_id,
        project_id=project_id,
        instance_id=instance_id,
        name=_free_name(name, kind, {c.name for c in beside}),
        type=kind,
        config=checked,
        secret=checked_secret(secret) or (new_secret() if provider.SIGNED else ""),
        enabled=True,
        minimum_severity=minimum_severity,
        per_minute=per_minute,
        created_at=now,
    )
    channel.fallback_id = _checked_fallback(session, channel, fallback_id)
    session.add(channel)
    session.flush()
    changes = changes_between({}, settings_of(channel))
    say(session, AlertChannelCreated(**about_channel(channel), changes=changes), now=now)
    return channel


def _refuse_too_many(
    session: Session, organization_id: str, beside: Sequence[AlertChannel]
) -> None:
    """Make no channel that forms could not offer: routes and policies name any of all there are."""
    if len(beside) >= MOST_CHANNELS:
        raise Conflict(f"There are {MOST_CHANNELS} channels already; remove one first.")
    present = session.scalar(
        sa.select(sa.func.count()).where(AlertChannel.organization_id == organization_id)
    )
    if (present or 0) >= MOST_OF_ORGANIZATION:
        raise Conflict(
            f"Your organization has {present:,} alert channels, and {MOST_OF_ORGANIZATION:,} is the"
            " most: remove one that nobody needs, or let a route lead to one that is there."
        )


def _checked(kind: str, config: Mapping[str, Any]) -> tuple[ChannelKind, dict[str, str]]:
    """The kind of a name, and its config as it is kept."""
    provider = KINDS.get(kind)
    if provider is None:
        raise Invalid.of_field("type", f"type must be one of {', '.join(KINDS)}.")
    return provider, provider.checked(known_fields(kind, config))


def _free_name(name: str, kind: str, taken: set[str]) -> str:
    """The name as given, or one after the kind that no other has."""
    wanted = name.strip()
    if len(wanted) > LONGEST_NAME:
        raise Invalid.of_field("name", f"name has at most {LONGEST_NAME} characters.")
    if wanted in taken:
        raise Conflict(f"There is a channel {wanted!r}; give this one another name.")
    if wanted:
        return wanted
    numbered = (f"{kind}-{number}" for number in range(2, len(taken) + 3))
    return next(free for free in (kind, *numbered) if free not in taken)


def _names_beside(session: Session, channel: AlertChannel) -> set[str]:
    present = list_channels(session, channel.project_id, channel.instance_id)
    return {c.name for c in present if c.instance_id == channel.instance_id}


def list_channels(
    session: Session, project_id: str, instance_id: str | None
) -> Sequence[AlertChannel]:
    """The channels that hear of an instance: its own and the project-wide ones, oldest first.

    Without an instance: only the project-wide ones. At most 40, by the limit on making them.
    """
    scope: sa.ColumnElement[bool] = AlertChannel.instance_id.is_(None)
    if instance_id is not None:
        scope = sa.or_(scope, AlertChannel.instance_id == instance_id)
    return session.scalars(
        sa.select(AlertChannel)
        .where(AlertChannel.project_id == project_id, scope)
        .order_by(AlertChannel.created_at, AlertChannel.id)
        .limit(2 * MOST_CHANNELS)
    ).all()


def channels_of_project(session: Session, project_id: str) -> Sequence[AlertChannel]:
    """All channels of a project and its instances, oldest first; at most 1,000."""
    return session.scalars(
        sa.select(AlertChannel)
        .where(AlertChannel.project_id == project_id)
        .order_by(AlertChannel.created_at, AlertChannel.id)
        .limit(MOST_OF_ORGANIZATION)
    ).all()


def get_channel(
    session: Session, project_id: str, instance_id: str | None, channel_id: str
) -> AlertChannel:
    """A channel that hears of an instance, or without one any of the project's. Or `NotFound`."""
    channel = session.get(AlertChannel, channel_id)
    hears = channel is not None and channel.project_id == project_id
    if (
        channel is None
        or not hears
        or (instance_id is not None and channel.instance_id not in (None, instance_id))
    ):
        raise NotFound("There is no such channel; GET …/alert-channels lists them.")
    return channel


def change_channel(  # noqa: PLR0913 - what can be changed
    session: Session,
    channel: AlertChannel,
    *,
    name: str | None = None,
    enabled: bool | None = None,
    minimum_severity: Severity | None = None,
    target: Mapping[str, Any] | None = None,
    secret: str = "",
    fallback_id: str | None = None,
    per_minute: int | None = None,
    quiet: Mapping[str, Any] | None = None,
    now: datetime,
) -> None:
    """Switch a channel on or off, mute it, or change where it leads and how it is told of what.

    `quiet` may hold `muted_until`, and `mute_times` of the week on the clock of a `time_zone`.

    Switching it on forgets why it was off and that it failed: it gets a new chance. So does
    another target, which gets what still waits for the one before. An empty `fallback_id` leaves
    it without one; `per_minute` of 0 is what its kind takes.

    Raises:
        Invalid: a target that its kind refuses, or a fallback that is none of the same reach.
        Conflict: another channel of the same reach has the name.
    """
    before = settings_of(channel)
    if name is not None and name.strip() != channel.name:
        channel.name = _free_name(name, channel.type, _names_beside(session, channel))
    if target is not None:
        _lead_elsewhere(session, channel, target)
    if secret and secret != channel.secret:
        _take_secret(channel, checked_secret(secret), now=now)
    if fallback_id is not None:
        channel.fallback_id = _checked_fallback(session, channel, fallback_id)
    _tell_otherwise(channel, enabled, minimum_severity, per_minute)
    for field, value in checked_quiet(quiet or {}).items():
        setattr(channel, field, value)
    changes = changes_between(before, settings_of(channel))
    say(session, AlertChannelChanged(**about_channel(channel), changes=changes), now=now)


def _lead_elsewhere(session: Session, channel: AlertChannel, target: Mapping[str, Any]) -> None:
    """Another target knows nothing of the messages that the one before received."""
    _, checked = _checked(channel.type, target)
    refuse_secrets_of_another_server(channel, checked)
    if checked != channel.config:
        channel.config = checked
        session.execute(
            sa.update(AlertNotification)
            .where(AlertNotification.channel_id == channel.id, AlertNotification.receipt != "")
            .values(receipt="")
        )
        channel.disabled_reason, channel.failing_since, channel.last_error = "", None, ""


def _tell_otherwise(
    channel: AlertChannel,
    enabled: bool | None,  # noqa: FBT001 - as it was given
    minimum_severity: Severity | None,
    per_minute: int | None,
) -> None:
    if enabled is not None:
        channel.enabled = enabled
    if enabled:
        channel.disabled_reason, channel.failing_since, channel.last_error = "", None, ""
    if minimum_severity is not None:
        channel.minimum_severity = minimum_severity
    if per_minute is not None:
        channel.per_minute = per_minute


def rotate_secret(session: Session, channel: AlertChannel, *, now: datetime) -> datetime:
    """Give a signed channel another secret; the one before signs its messages too for a day.

    Returns until when it does.

    Raises:
        Conflict: channels of this kind do not sign.
    """
    if not KINDS[channel.type].SIGNED:
        raise Conflict(f"A {channel.type} does not sign its messages; only webhooks do.")
    _take_secret(channel, new_secret(), now=now)
    say(session, AlertChannelSecretRotated(**about_channel(channel)), now=now)
    return now + PREVIOUS_SECRET_HOLDS


def secrets_of(channel: AlertChannel, *, now: datetime) -> tuple[str, ...]:
    """What a channel signs with, the newest first: nothing, one secret, or two for a while."""
    holds = channel.previous_secret_until is not None and now < channel.previous_secret_until
    found = (channel.secret, channel.previous_secret if holds else "")
    return tuple(secret for secret in found if secret)


def find_fallback(session: Session, channel: AlertChannel) -> AlertChannel | None:
    """Who is told in a channel's stead, if anybody who still is there and switched on.

    One whose own receiver is gone passes on what it gets, if it has a fallback.
    """
    found = session.get(AlertChannel, channel.fallback_id) if channel.fallback_id else None
    return found if found is not None and is_told(found) else None


def is_told(channel: AlertChannel) -> bool:
    """Whether a channel takes messages: it is on, or its fallback does since its own is gone."""
    return channel.enabled or bool(channel.disabled_reason and channel.fallback_id)


def _checked_fallback(session: Session, channel: AlertChannel, fallback_id: str) -> str:
    present = list_channels(session, channel.project_id, channel.instance_id)
    if fallback_id and fallback_id not in {c.id for c in present if c.id != channel.id}:
        raise Invalid.of_field(
            "fallbackId", "fallbackId must be another channel that hears of the same instances."
        )
    return fallback_id


def _take_secret(channel: AlertChannel, secret: str, *, now: datetime) -> None:
    channel.previous_secret, channel.secret = channel.secret, secret
    channel.previous_secret_until = now + PREVIOUS_SECRET_HOLDS


def remove_channel(session: Session, channel: AlertChannel, *, now: datetime) -> None:
    """Remove a channel with its delivery history; what waits for it is not sent any more."""
    changes = changes_between(settings_of(channel), {})
    say(session, AlertChannelRemoved(**about_channel(channel), changes=changes), now=now)
    session.execute(
        sa.update(AlertChannel)
        .where(
            AlertChannel.project_id == channel.project_id, AlertChannel.fallback_id == channel.id
        )
        .values(fallback_id="")
    )
    forget_channel(session, channel)
    session.delete(channel)


def about_channel(channel: AlertChannel) -> ChannelNames:
    """Whose a channel is and what it is called, for what is said of it; nothing secret."""
    return {
        "organization_id": channel.organization_id,
        "project_id": channel.project_id,
        "instance_id": channel.instance_id or "",
        "channel_id": channel.id,
        "type": channel.type,
        "shown": KINDS[channel.type].shown(channel.config),
    }


def settings_of(channel: AlertChannel) -> dict[str, object]:
    """What of a channel can be set, as the audit log tells it."""
    kind = KINDS[channel.type]
    return {
        "target": kind.shown(channel.config),
        **{
            name: value
            for name, value in masked(channel.type, channel.config).items()
            if name != kind.FIELDS[0].name
        },
        **facts_of(
            channel,
            ("name", "enabled", "minimum_severity", "fallback_id", "per_minute", *QUIET),
        ),
    }


def checked_secret(secret: str) -> str:
    """A signing secret that somebody gives; empty stays empty. Raises `Invalid`."""
    if secret and not is_well_formed(secret):
        raise Invalid.of_field(
            "signingSecret",
            "signingSecret is whsec_ and 24 to 64 bytes in base64; leave it out to get one.",
        )
    return secret

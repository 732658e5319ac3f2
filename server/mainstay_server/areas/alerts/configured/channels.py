"""What a document may hold of channels: who is told of alerts, and how."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Self

import sqlalchemy as sa
from pydantic import Field, model_validator
from sqlalchemy.orm import Session
from typing_extensions import override

from mainstay_server.areas.alerts.models import AlertChannel, Severity
from mainstay_server.areas.alerts.providers import KINDS, known_fields, secret_fields
from mainstay_server.areas.alerts.schemas.channels import PerMinute
from mainstay_server.areas.alerts.service import channels, fallbacks
from mainstay_server.kernel.configured import KEPT, Configured, ConfiguredProject, Held, Path, Shape
from mainstay_server.kernel.problems import Invalid

MOST_CHANNELS = 2_000
SIGNING_SECRET = "signingSecret"  # noqa: S105 - the name of a field


class ChannelShape(Shape):
    """A way to tell people of alerts: of one instance, or of the whole project."""

    KEY: ClassVar[tuple[str, ...]] = ("instance", "name")

    instance: str = Field("", max_length=64, description="Empty: of every instance.")
    name: str = Field(min_length=1, max_length=100)
    type: str = Field(examples=["webhook"], description=f"One of {', '.join(KINDS)}.")
    config: dict[str, str] = Field(examples=[{"webhookUrl": "${SLACK_WEBHOOK:-kept}"}])
    signing_secret: str = Field(
        KEPT, description="Of kinds that sign: whsec_… or kept, which makes one at first."
    )
    enabled: bool = True
    minimum_severity: Severity = Severity.INFO
    fallback: str = Field(
        "", max_length=100, description="Name of the channel that is told when this one cannot be."
    )
    per_minute: PerMinute = 0

    @model_validator(mode="after")
    def _is_of_its_kind(self) -> Self:
        kind = KINDS.get(self.type)
        if kind is None:
            raise ValueError(f"type must be one of {', '.join(KINDS)}")
        try:
            known_fields(self.type, self.config)
            if KEPT not in self.config.values():
                self.config = kind.checked(self.config)
        except Invalid as problem:
            raise ValueError(problem.detail) from None
        if not kind.SIGNED:
            self.signing_secret = KEPT
        return self

    @override
    def secret_paths(self) -> Sequence[Path]:
        of_config: tuple[Path, ...] = tuple(
            ("config", name) for name in secret_fields(self.type, self.config)
        )
        return (*of_config, (SIGNING_SECRET,)) if KINDS[self.type].SIGNED else of_config


def export_channels(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """Every channel of the project and its instances, with its secrets."""
    found = session.scalars(
        sa.select(AlertChannel).where(AlertChannel.project_id == project.id).limit(MOST_CHANNELS)
    ).all()
    names = {channel.id: channel.name for channel in found}
    return [
        Held(
            id=channel.id,
            shape=ChannelShape.model_construct(
                instance=project.environment_of(channel.instance_id),
                name=channel.name,
                type=channel.type,
                config=channel.config,
                signing_secret=channel.secret or KEPT,
                enabled=channel.enabled,
                minimum_severity=Severity(channel.minimum_severity),
                fallback=names.get(channel.fallback_id, ""),
                per_minute=channel.per_minute,
            ),
        )
        for channel in found
    ]


def write_channel(
    session: Session,
    project: ConfiguredProject,
    wanted: ChannelShape,
    channel_id: str | None,
    now: datetime,
) -> str:
    """Add a channel, or change where it leads and what it is told of."""
    instance = project.instance(wanted.instance) if wanted.instance else None
    secret = "" if wanted.signing_secret == KEPT else wanted.signing_secret
    if channel_id is None:
        made = channels.create_channel(
            session,
            (project.organization_id, project.id, instance.id if instance else None),
            wanted.type,
            wanted.config,
            name=wanted.name,
            secret=secret,
            minimum_severity=wanted.minimum_severity,
            per_minute=wanted.per_minute,
            now=now,
        )
        if not wanted.enabled:
            channels.change_channel(session, made, enabled=False, now=now)
        return made.id
    channel = channels.get_channel(session, project.id, None, channel_id)
    if channel.type != wanted.type:
        channels.remove_channel(session, channel, now=now)
        session.flush()
        return write_channel(session, project, wanted, None, now)
    channels.change_channel(
        session,
        channel,
        enabled=wanted.enabled if wanted.enabled != channel.enabled else None,
        minimum_severity=wanted.minimum_severity,
        target=wanted.config,
        secret=secret,
        per_minute=wanted.per_minute,
        now=now,
    )
    return channel.id


def set_fallbacks(
    session: Session, project: ConfiguredProject, wrote: Sequence[Held], now: datetime
) -> None:
    """Let each channel have the fallback that it names; all that it could name is there by now."""
    for held in wrote:
        assert isinstance(held.shape, ChannelShape), "of this kind"
        channel = channels.get_channel(session, project.id, None, held.id)
        fallbacks.set_fallback(session, channel, held.shape.fallback, now=now)


def remove_channel(session: Session, project: ConfiguredProject, held: Held, now: datetime) -> None:
    """Remove a channel with its delivery history."""
    channel = channels.get_channel(session, project.id, None, held.id)
    channels.remove_channel(session, channel, now=now)


CHANNELS = Configured(
    name="alertChannels",
    title="alert channel",
    order=60,
    shape=ChannelShape,
    export=export_channels,
    write=write_channel,
    remove=remove_channel,
    finish=set_fallbacks,
)

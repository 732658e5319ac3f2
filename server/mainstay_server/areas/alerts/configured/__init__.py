"""What a document may hold of alerts: who is told, and when alerts fire."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Self

import sqlalchemy as sa
from pydantic import Field, model_validator
from sqlalchemy.orm import Session
from typing_extensions import override

from mainstay_server.areas.alerts.models import AlertChannel, AlertType, Severity
from mainstay_server.areas.alerts.providers import KINDS, known_fields, secret_fields
from mainstay_server.areas.alerts.schemas import WindowSeconds
from mainstay_server.areas.alerts.schemas.channels import PerMinute
from mainstay_server.areas.alerts.schemas.event_rules import EventRuleValue
from mainstay_server.areas.alerts.schemas.measure_rules import MeasureRuleValue
from mainstay_server.areas.alerts.schemas.runbooks import NewRunbook
from mainstay_server.areas.alerts.service import (
    channels,
    event_rules,
    fallbacks,
    rules,
    runbooks,
)
from mainstay_server.areas.alerts.service.measures import measure_rules
from mainstay_server.kernel.configured import KEPT, Configured, ConfiguredProject, Held, Path, Shape
from mainstay_server.kernel.problems import Invalid
from mainstay_server.tenancy.subjects import ProjectRef, find_project

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


class RuleShape(Shape):
    """When a type of alert fires; what is no longer in a document has its default again."""

    KEY: ClassVar[tuple[str, ...]] = ("instance", "type")

    instance: str = Field("", max_length=64, description="Empty: where no instance has its own.")
    type: AlertType
    enabled: bool = True
    severity: Severity | None = Field(None, description="Default: that of the type.")
    threshold: float | None = Field(
        None, ge=0, le=1_000_000, description="Default: that of the type."
    )
    window_seconds: WindowSeconds = 300
    minimum_count: int | None = Field(
        None, ge=0, le=1_000_000, description="Default: that of the type."
    )
    runbook: str = Field("", max_length=500)

    @model_validator(mode="after")
    def _has_the_values_of_its_type(self) -> Self:
        default = rules.DEFAULTS[self.type]
        self.severity = self.severity or default.severity
        self.threshold = default.threshold if self.threshold is None else self.threshold
        if self.minimum_count is None:
            self.minimum_count = default.minimum_count
        return self


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


def export_rules(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """What was changed about the rules; the defaults are none of it."""
    return [
        Held(
            id=row.id,
            shape=RuleShape(
                instance=project.environment_of(row.instance_id),
                type=AlertType(row.type),
                enabled=row.enabled,
                severity=Severity(row.severity),
                threshold=row.threshold,
                window_seconds=row.window_seconds,
                minimum_count=row.minimum_count,
                runbook=row.runbook,
            ),
        )
        for row in rules.changed_rules(session, project.id)
    ]


def write_rule(
    session: Session,
    project: ConfiguredProject,
    wanted: RuleShape,
    rule_id: str | None,
    now: datetime,
) -> str:
    """Let a rule be exactly so."""
    _ = rule_id  # there is one of its type and reach, whose row stays
    changes = wanted.model_dump(exclude={"instance", "type"})
    about = _about(project, wanted.instance)
    rules.change_rule(session, about, wanted.type, changes, now=now)
    return rules.id_of(session, about, wanted.type)


def remove_rule(session: Session, project: ConfiguredProject, held: Held, now: datetime) -> None:
    """Let the default hold again."""
    instance, kind = held.shape.key
    rules.reset_rule(session, _about(project, instance), AlertType(kind), now=now)


class MeasureRuleShape(Shape, MeasureRuleValue):
    """A rule over a measure: of one instance, or of the whole project."""

    instance: str = Field("", max_length=64, description="Empty: of every instance.")
    default: str = Field(
        "", max_length=40, description="The key of the default that it changes; empty: of its own."
    )


def export_measure_rules(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """The rules that the project wrote, and what it changed about defaults."""
    return [
        Held(
            id=rule.id,
            shape=MeasureRuleShape(
                **rule.value.model_dump(),
                instance=project.environment_of(rule.instance_id),
                default=rule.default.key if rule.default else "",
            ),
        )
        for rule in measure_rules.list_rules(session, project.id)
        if rule.changed_at is not None
    ]


def write_measure_rule(
    session: Session,
    project: ConfiguredProject,
    wanted: MeasureRuleShape,
    rule_id: str | None,
    now: datetime,
) -> str:
    """Let a rule be exactly so."""
    value = MeasureRuleValue(**wanted.model_dump(exclude={"instance", "default"}))
    about = _ref(session, project)
    instance_id = project.instance(wanted.instance).id if wanted.instance else None
    if rule_id is None and not wanted.default:
        return measure_rules.create_rule(session, about, instance_id, value, now=now).id
    before = measure_rules.get_rule(session, project.id, rule_id or wanted.default)
    return measure_rules.write_rule(
        session, about, before, value, instance_id=instance_id, now=now
    ).id


def remove_measure_rule(
    session: Session, project: ConfiguredProject, held: Held, now: datetime
) -> None:
    """Remove a rule, or take a default as it ships again."""
    measure_rules.remove_rule(session, _ref(session, project), held.id, now=now)


class EventRuleShape(Shape, EventRuleValue):
    """A rule over what people administer in the project."""


def export_event_rules(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """The rules that the project wrote."""
    return [
        Held(id=rule.id, shape=EventRuleShape(**event_rules.value_of(rule).model_dump()))
        for rule in event_rules.list_rules(session, project.id)
    ]


def write_event_rule(
    session: Session,
    project: ConfiguredProject,
    wanted: EventRuleShape,
    rule_id: str | None,
    now: datetime,
) -> str:
    """Let a rule be exactly so."""
    value = EventRuleValue(**wanted.model_dump())
    about = _ref(session, project)
    return event_rules.write_rule(session, about, rule_id, value, now=now).id


def remove_event_rule(
    session: Session, project: ConfiguredProject, held: Held, now: datetime
) -> None:
    """Remove a rule."""
    event_rules.remove_rule(session, _ref(session, project), held.id, now=now)


class RunbookShape(Shape, NewRunbook):
    """What to do when an alert fires, in Markdown."""


def export_runbooks(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """The runbooks that the project wrote."""
    return [
        Held(id=each.id, shape=RunbookShape(name=each.name, body=each.body))
        for each in runbooks.list_runbooks(session, project.id)
    ]


def write_runbook(
    session: Session,
    project: ConfiguredProject,
    wanted: RunbookShape,
    runbook_id: str | None,
    now: datetime,
) -> str:
    """Let a runbook be exactly so."""
    about = _ref(session, project)
    return runbooks.write_runbook(
        session, about, runbook_id, name=wanted.name, body=wanted.body, now=now
    ).id


def remove_runbook(session: Session, project: ConfiguredProject, held: Held, now: datetime) -> None:
    """Remove a runbook."""
    runbooks.remove_runbook(session, _ref(session, project), held.id, now=now)


def _ref(session: Session, project: ConfiguredProject) -> ProjectRef:
    found = find_project(session, project.id)
    assert found is not None, "a document is applied to a project that is there"
    return found


def _about(project: ConfiguredProject, environment: str) -> tuple[str, str, str | None]:
    instance_id = project.instance(environment).id if environment else None
    return (project.organization_id, project.id, instance_id)


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
RULES = Configured(
    name="alertRules",
    title="alert rule",
    order=70,
    shape=RuleShape,
    export=export_rules,
    write=write_rule,
    remove=remove_rule,
)
MEASURE_RULES = Configured(
    name="measureRules",
    title="rule over a measure",
    order=75,
    shape=MeasureRuleShape,
    export=export_measure_rules,
    write=write_measure_rule,
    remove=remove_measure_rule,
)
EVENT_RULES = Configured(
    name="eventRules",
    title="rule over what people administer",
    order=76,
    shape=EventRuleShape,
    export=export_event_rules,
    write=write_event_rule,
    remove=remove_event_rule,
)
RUNBOOKS = Configured(
    name="runbooks",
    title="runbook",
    order=65,
    shape=RunbookShape,
    export=export_runbooks,
    write=write_runbook,
    remove=remove_runbook,
)

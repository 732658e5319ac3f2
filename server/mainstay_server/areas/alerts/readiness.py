"""What the scorecard asks of alerts: would anybody hear if this instance broke tonight?"""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.kernel.readiness import (
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Weight,
    readiness_check,
)
from mainstay_server.kernel.subjects import InstanceRef

from .models import AlertChannel, AlertType, Severity
from .providers import KINDS
from .service import channels, rules

EVIDENCE_IS_FRESH = timedelta(days=30)


@readiness_check("alerts.has_channel", "Is anybody told when this instance goes down?")
def somebody_is_told(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Passes when a channel that is on hears of the alert that the instance is down."""
    rule = rules.rule_for(session, instance.project_id, instance.id, AlertType.INSTANCE_DOWN)
    if not rule.enabled:
        return Finding(
            problem="The alert that this instance is down is switched off.",
            fix="Switch the rule instance_down on again.",
            fix_url=instance.page("alerts/rules"),
        )
    told = _channels_told(session, instance, rule.severity)
    if not told:
        return Finding(
            problem="Nobody is told when this instance goes down.",
            fix="Add a webhook or an e-mail address as alert channel.",
            fix_url=instance.page("alerts/channels"),
        )
    count = f"{len(told)} channels are" if len(told) > 1 else "1 channel is"
    return Passed(evidence=f"{count} told: {', '.join(_shown(c) for c in told[:3])}.")


@readiness_check("alerts.channel_delivers", "Do alerts really arrive?")
def a_channel_delivers(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Passes when an alert or a test really arrived through a channel in the last 30 days."""
    rule = rules.rule_for(session, instance.project_id, instance.id, AlertType.INSTANCE_DOWN)
    told = _channels_told(session, instance, rule.severity)
    if not told:
        return NotApplicable(reason="There is no channel yet that could deliver.")
    working = [
        (channel.last_delivered_at, channel)
        for channel in told
        if channel.failing_since is None
        and channel.last_delivered_at is not None
        and now - channel.last_delivered_at <= EVIDENCE_IS_FRESH
    ]
    if working:
        at, channel = max(working, key=lambda pair: pair[0])
        return Passed(evidence=f"{_shown(channel)} took a message on {at:%-d %b %Y, %H:%M} UTC.")
    why = next((c.last_error for c in told if c.last_error), "")
    return Finding(
        problem="No channel has delivered anything in the last 30 days."
        + (f" The last try said: {why}" if why else ""),
        fix="Press “Send test” beside a channel and see that the message arrives.",
        fix_url=instance.page("alerts/channels"),
    )


@readiness_check("alerts.no_channel_fails", "Does every alert channel work?", weight=Weight.SHOULD)
def no_channel_fails(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Passes when no channel of the instance is failing or was switched off by its receiver."""
    found = channels.list_channels(session, instance.project_id, instance.id)
    if not found:
        return NotApplicable(reason="There is no channel yet that could fail.")
    for channel in found:
        why = channel.disabled_reason or (channel.last_error if channel.failing_since else "")
        why = why or (KINDS[channel.type].not_ready() if channel.enabled else "")
        if why:
            return Finding(
                problem=f"{_shown(channel)} does not deliver: {why}",
                fix="Repair the receiver and send a test, or remove the channel.",
                fix_url=instance.page("alerts/channels"),
            )
    return Passed(evidence=f"{len(found)} of {len(found)} channels show no fault.")


def _channels_told(
    session: Session, instance: InstanceRef, severity: Severity
) -> list[AlertChannel]:
    return [
        channel
        for channel in channels.list_channels(session, instance.project_id, instance.id)
        if channel.enabled and Severity(channel.minimum_severity).rank <= severity.rank
    ]


def _shown(channel: AlertChannel) -> str:
    return KINDS[channel.type].shown(channel.config)

"""What one step of a policy does when its turn comes, and what is written of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.areas.on_call.models import Escalation, NoticeChange, OnCallSchedule
from mainstay_server.areas.on_call.schemas.policies import StepBody
from mainstay_server.contracts.on_call import tell_channel
from mainstay_server.contracts.remediation import start_remediation

from .channels import find_channel
from .people import members_of
from .schedules import find_person_on_call
from .telling import tell


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a step did, in words; one that reached nobody is not waited for."""

    text: str
    reached: bool


def take_step(session: Session, escalation: Escalation, step: StepBody, *, now: datetime) -> Done:
    """Do what a step says."""
    return _KINDS[step.kind](session, escalation, step, now)


def _start_action(session: Session, escalation: Escalation, step: StepBody, now: datetime) -> Done:
    what = f"the action {step.action}" if step.action else "an automatic action"
    if not start_remediation.is_answered:
        return Done(text=f"skipped, for nothing here can start {what}.", reached=False)
    if not start_remediation(session, escalation.alert_id, action=step.action, now=now):
        return Done(text=f"{what} was not started: none fits, or it may not now.", reached=False)
    return Done(text=f"started {what}.", reached=True)


def _tell_schedule(session: Session, escalation: Escalation, step: StepBody, now: datetime) -> Done:
    schedule = session.get(OnCallSchedule, step.schedule_id)
    if schedule is None or schedule.organization_id != escalation.organization_id:
        return Done(text="skipped, for its schedule was removed.", reached=False)
    person_id = find_person_on_call(session, schedule, at=now)
    if not person_id:
        return Done(text=f"skipped, for nobody is on call in {schedule.name}.", reached=False)
    return _told(session, escalation, person_id, f", who is on call in {schedule.name}", now)


def _tell_person(session: Session, escalation: Escalation, step: StepBody, now: datetime) -> Done:
    return _told(session, escalation, step.person_id, "", now)


def _told(
    session: Session, escalation: Escalation, person_id: str, why: str, now: datetime
) -> Done:
    person = members_of(session, escalation.organization_id).get(person_id)
    if person is None:
        return Done(text="skipped, for its person is no member any more.", reached=False)
    tell(session, escalation, person_id, NoticeChange.OPENED, now=now)
    return Done(text=f"told {person.name}{why}.", reached=True)


def _tell_channel(session: Session, escalation: Escalation, step: StepBody, now: datetime) -> Done:
    if not tell_channel.is_answered:
        return Done(text="skipped, for nothing here can tell a channel.", reached=False)
    if not tell_channel(session, escalation.alert_id, step.channel_id, now=now):
        return Done(text="skipped, for its channel is off or was removed.", reached=False)
    channel = find_channel(session, escalation.organization_id, step.channel_id)
    return Done(text=f"told {channel.name if channel else 'an alert channel'}.", reached=True)


_KINDS: dict[str, Callable[[Session, Escalation, StepBody, datetime], Done]] = {
    "action": _start_action,
    "schedule": _tell_schedule,
    "person": _tell_person,
    "channel": _tell_channel,
}

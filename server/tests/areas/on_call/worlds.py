"""Schedules, policies and nights of alerts, as tests of this area make them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from mainstay_server.areas.on_call import jobs
from mainstay_server.areas.on_call.models import Escalation, EscalationPolicy, OnCallSchedule
from mainstay_server.areas.on_call.schemas.schedules import LayerBody
from mainstay_server.areas.on_call.service import escalating, policies, schedules
from mainstay_server.areas.on_call.service.people import Member
from mainstay_server.contracts.alerts import (
    AlertChannelSeen,
    AlertOpened,
    AlertResolved,
)
from mainstay_server.kernel.database import new_id, reading, transaction
from mainstay_server.kernel.events import Event, run_waiting, say
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.models import Membership, Person, Role
from sqlalchemy.orm import Session
from tests.servers.smtp import ReceivedMail, SmtpServer

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def at(text: str) -> datetime:
    """A moment in UTC: `2026-03-29 07:00`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def a_layer(*people: str, **values: Any) -> LayerBody:
    """People who hand over every week, on Mondays at nine."""
    return LayerBody(
        **{"name": "Turns", "person_ids": list(people), "starts_at": "2026-01-05T09:00"} | values
    )


def a_member(session: Session, organization_id: str, name: str) -> Member:
    person = Person(
        id=new_id(),
        email=f"{name.lower()}@ships.example",
        name=name,
        password_hash="",
        created_at=NOON,
    )
    session.add(person)
    session.flush()
    session.add(
        Membership(
            id=new_id(),
            organization_id=organization_id,
            person_id=person.id,
            role=Role.MEMBER,
            created_at=NOON,
        )
    )
    session.flush()
    return Member(id=person.id, name=name, email=person.email)


def a_schedule(
    session: Session, organization_id: str, *layers: LayerBody, **values: Any
) -> OnCallSchedule:
    wanted = {
        "name": "Primary",
        "time_zone": "UTC",
        "layers": [each.model_dump() for each in layers],
    }
    return schedules.make_schedule(session, organization_id, wanted | values, now=NOON)


def a_policy(
    session: Session, organization_id: str, *steps: dict[str, Any], **values: Any
) -> EscalationPolicy:
    wanted: dict[str, Any] = {
        "name": "Wake somebody",
        "enabled": True,
        "minimum_severity": "warning",
        "steps": list(steps),
        "repeat": 0,
        "acknowledge_timeout_minutes": 0,
    }
    return policies.make_policy(session, organization_id, wanted | values, now=NOON - DAY)


def tells(person: Member, wait: int = 5) -> dict[str, Any]:
    return {"kind": "person", "person_id": person.id, "wait_minutes": wait}


def tells_schedule(schedule: OnCallSchedule, wait: int = 5) -> dict[str, Any]:
    return {"kind": "schedule", "schedule_id": schedule.id, "wait_minutes": wait}


OPS = AlertChannelSeen(id="ops", kind="slack", name="Inspections: ops (#ops)")


@dataclass
class Night:
    """A night with three people, three mailboxes, and a clock that is moved by hand."""

    instance: InstanceRef
    anna: Member
    ben: Member
    cara: Member
    smtp: SmtpServer
    now: datetime = NOON
    alert_id: str = field(default_factory=new_id)

    def happens(self, *events: Event) -> None:
        """Say the events, and let every reaction and due mail run."""
        with transaction() as session:
            for event in events:
                say(session, event, now=self.now)
        self.deliver()

    def deliver(self) -> None:
        run_waiting(now=self.now)

    def later(self, span: timedelta) -> None:
        """Let time pass, as the job sees it: minute by minute, an hour in steps of five."""
        end = self.now + span
        tick = MINUTE if span < HOUR else 5 * MINUTE
        while self.now < end:
            self.now = min(self.now + tick, end)
            with transaction() as session:
                jobs.advance_escalations.function(session, now=self.now)
            self.deliver()

    def alert(self, **values: Any) -> dict[str, Any]:
        return {
            **self.instance.ids,
            "alert_id": self.alert_id,
            "type": "instance_down",
            "severity": "critical",
            "title": "inspections production is down",
        } | values

    def opens(self, **values: Any) -> None:
        said: dict[str, Any] = {"message": "It answered 500.", "opened_at": self.now} | values
        self.happens(AlertOpened(**self.alert(), **said))

    def resolves(self, **values: Any) -> None:
        self.happens(AlertResolved(**self.alert(), resolved_at=self.now, **values))

    def mails(self, person: Member) -> list[ReceivedMail]:
        """What lies in somebody's mailbox."""
        return [mail for mail in self.smtp.messages if person.email in mail.recipients]

    def counts(self) -> tuple[int, int, int]:
        """How many mails Anna, Ben and Cara have."""
        anna, ben, cara = (len(self.mails(each)) for each in (self.anna, self.ben, self.cara))
        return anna, ben, cara

    def escalation(self) -> Escalation:
        with reading() as session:
            (found,) = escalating.list_escalations(session, self.instance.organization_id).items
            return found

    def log(self) -> list[str]:
        with reading() as session:
            return [line.text for line in escalating.list_lines(session, self.escalation())]

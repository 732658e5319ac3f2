"""Rules over what people administer: any audited action of a project can be an alert."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import FLOOD, Alert, AlertType, Severity
from mainstay_server.areas.alerts.models.rules import EventRule
from mainstay_server.areas.alerts.schemas.event_rules import EventRuleValue
from mainstay_server.contracts.alerts.rules import (
    EventRuleChanged,
    EventRuleCreated,
    EventRuleRemoved,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import Audited, Heard, audited_actions, changes_between, say
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import ProjectRef, find_default_instance, find_instance

from .firing import Firing, fire, identity_of
from .runbook_names import check_runbook

KIND = AlertType.EVENT_SAID
MOST_RULES = 50
MOST_AN_HOUR = 10
MOST_CHANGES_TOLD = 10
HOUR = timedelta(hours=1)
FACTS = tuple(EventRuleValue.model_fields)


def write_rule(
    session: Session,
    project: ProjectRef,
    rule_id: str | None,
    value: EventRuleValue,
    *,
    now: datetime,
) -> EventRule:
    """Write a rule, or let one be exactly so.

    Raises:
        NotFound: the project has no such rule.
        Conflict: the name is taken, or there are fifty already.
        Invalid: it names a runbook or an action that is not there.
    """
    check_runbook(session, project.id, value.runbook)
    if not any(fnmatchcase(action, value.action) for action in audited_actions()):
        message = f"action: nothing is called {value.action!r}; the audit log shows what is."
        raise Invalid(message, errors=[{"field": "action", "message": message}])
    present = list_rules(session, project.id)
    found = None if rule_id is None else get_rule(session, project.id, rule_id)
    if any(rule.name == value.name and rule is not found for rule in present):
        raise Conflict(f"There is a rule {value.name!r}; give this one another name.")
    if found is None and len(present) >= MOST_RULES:
        raise Conflict(f"There are {MOST_RULES} such rules already; remove one first.")
    before = {} if found is None else value_of(found).model_dump(mode="json")
    kind = EventRuleCreated if found is None else EventRuleChanged
    if found is None:
        found = EventRule(
            id=new_id(),
            organization_id=project.organization_id,
            project_id=project.id,
            created_at=now,
        )
        session.add(found)
    for name in FACTS:
        setattr(found, name, getattr(value, name))
    found.changed_at = now
    session.flush()
    changes = changes_between(before, value.model_dump(mode="json"))
    say(session, kind(**_named(found), changes=changes), now=now)
    return found


def remove_rule(session: Session, project: ProjectRef, rule_id: str, *, now: datetime) -> None:
    """Remove a rule; its alerts stay until somebody resolves them, or a day has passed."""
    found = get_rule(session, project.id, rule_id)
    changes = changes_between(value_of(found).model_dump(mode="json"), {})
    say(session, EventRuleRemoved(**_named(found), changes=changes), now=now)
    session.delete(found)
    session.flush()


def get_rule(session: Session, project_id: str, rule_id: str) -> EventRule:
    """One rule of a project. Raises `NotFound`."""
    found = session.get(EventRule, rule_id)
    if found is None or found.project_id != project_id:
        raise NotFound(f"This project has no rule {rule_id!r}; GET …/event-rules lists them.")
    return found


def list_rules(session: Session, project_id: str) -> Sequence[EventRule]:
    """The rules of a project by name; at most 50."""
    return session.scalars(
        sa.select(EventRule)
        .where(EventRule.project_id == project_id)
        .order_by(EventRule.name)
        .limit(MOST_RULES)
    ).all()


def value_of(rule: EventRule) -> EventRuleValue:
    """A rule as somebody would write it."""
    return EventRuleValue.model_validate({name: getattr(rule, name) for name in FACTS})


def hear(session: Session, heard: Sequence[Heard], *, now: datetime) -> None:
    """Fire for each audited action of a project that one of its rules is about.

    What concerns the whole organization is of no project and heard by no rule: members of a
    project need not see it.
    """
    projects = {each.event.project_id for each in heard if each.event.project_id}
    if not projects:
        return
    rules = session.scalars(
        sa.select(EventRule)
        .where(EventRule.project_id.in_(projects), EventRule.enabled)
        .order_by(EventRule.id)
    ).all()
    for each in heard:
        for rule in rules:
            if rule.project_id == each.event.project_id and matches(rule, each):
                _fire(session, rule, each, now=now)


def matches(rule: EventRule, heard: Heard) -> bool:
    """Whether an audited action is one that a rule is about, whatever the case of letters."""
    if not fnmatchcase(heard.event.action(), rule.action):
        return False
    values = facts_of(heard)
    return all(
        name in values and fnmatchcase(values[name].lower(), str(pattern).lower())
        for name, pattern in rule.fields.items()
    )


def facts_of(heard: Heard) -> dict[str, str]:
    """What a rule can look at: who, what, and how what was changed is now."""
    event: Audited = heard.event
    told: dict[str, Any] = dict(event.details)
    told |= {f"changes.{name}": after for name, (_, after) in event.changes.items()}
    told |= {
        "target": event.target.name,
        "actor": heard.origin.name,
        "email": heard.origin.email,
    }
    return {name: _text(value) for name, value in told.items()}


def _fire(session: Session, rule: EventRule, heard: Heard, *, now: datetime) -> None:
    event = heard.event
    instance = _instance_of(session, event)
    if instance is None:
        return
    who = heard.origin.name or heard.origin.email or "Mainstay"
    about = hashlib.sha256(event.target.id.encode()).hexdigest()[:16]
    where = f"{instance.project_slug} {instance.environment}"
    title, message = f"{where}: {rule.name}", _message(who, event)
    if _opened(session, rule, instance, now=now) >= MOST_AN_HOUR:
        about, title = FLOOD, f"{where}: {rule.name}, again and again"
        message = f"More than {MOST_AN_HOUR} in an hour; the audit log has them all. {message}"
    firing = Firing(
        type=KIND,
        about=f"{rule.id}:{about}",
        title=title,
        message=message,
        severity=Severity(rule.severity),
        labels={"rule": rule.name, "action": event.action()},
        annotations={"runbook": rule.runbook} if rule.runbook else {},
    )
    fire(session, instance, firing, now=now)


def _instance_of(session: Session, event: Audited) -> InstanceRef | None:
    if event.instance_id:
        return find_instance(session, event.instance_id)
    return find_default_instance(session, event.project_id)


def _message(who: str, event: Audited) -> str:
    lines = [f"{who}: {event.action()} of {event.target.name}."]
    for name, (before, after) in list(event.changes.items())[:MOST_CHANGES_TOLD]:
        lines.append(f"{name}: {_text(before) or 'nothing'} → {_text(after) or 'nothing'}"[:200])
    return "\n".join(lines)


def _opened(session: Session, rule: EventRule, instance: InstanceRef, *, now: datetime) -> int:
    opened = sa.select(sa.func.count()).where(
        Alert.project_id == instance.project_id,
        Alert.type == KIND,
        Alert.opened_at > now - HOUR,
        Alert.identity.startswith(f"{identity_of(KIND, rule.id)}:"),
        Alert.identity != identity_of(KIND, f"{rule.id}:{FLOOD}"),
    )
    return session.scalar(opened) or 0


def _text(value: object) -> str:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _named(rule: EventRule) -> Mapping[str, str]:
    return {
        "organization_id": rule.organization_id,
        "project_id": rule.project_id,
        "rule_id": rule.id,
        "name": rule.name,
    }

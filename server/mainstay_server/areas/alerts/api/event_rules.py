"""Rules over what people administer, through HTTP."""

from typing import Annotated

from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.schemas.event_rules import (
    EventRuleAnswer,
    EventRuleChange,
    EventRuleList,
    EventRuleValue,
)
from mainstay_server.areas.alerts.service import event_rules
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, page_within
from mainstay_server.kernel.web import Cursor, Limit, Router, example
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef

router = Router()

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]

RULE = {
    "id": "0193a5c2-7d1e-7c6b-9a3f-2f7d4c1b8e90",
    "name": "A backup target was removed",
    "action": "backup_target.removed",
    "fields": {"target": "orders*"},
    "severity": "high",
    "enabled": True,
    "runbook": "",
    "changedAt": "2026-03-01T12:00:00.000Z",
}


@router.get(
    "/api/projects/{slug}/event-rules",
    summary="List rules over what people administer",
    operation_id="list_event_rules",
    responses=example({"rules": [RULE], "nextCursor": None}),
)
def list_rules(
    session: Session, project: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> EventRuleList:
    """Which audited actions of the project open an alert."""
    found = event_rules.list_rules(session, project.id)
    page = page_within(found, limit=limit, cursor=cursor, key=lambda rule: (rule.name,))
    return EventRuleList(
        rules=[EventRuleAnswer.model_validate(rule) for rule in page.items],
        next_cursor=page.next_cursor,
    )


@router.post(
    "/api/projects/{slug}/event-rules",
    status_code=201,
    summary="Write a rule over what people administer",
    operation_id="create_event_rule",
    responses=example(RULE, 201),
)
def create_rule(session: Session, project: Written, body: EventRuleValue) -> EventRuleAnswer:
    """Open an alert whenever somebody does such a thing in the project."""
    made = event_rules.write_rule(session, project, None, body, now=utc_now())
    return EventRuleAnswer.model_validate(made)


@router.patch(
    "/api/projects/{slug}/event-rules/{rule_id}",
    summary="Change a rule over what people administer",
    operation_id="change_event_rule",
    responses=example(RULE),
)
def change_rule(
    session: Session, project: Written, rule_id: str, body: EventRuleChange
) -> EventRuleAnswer:
    """Change a rule; what is left out stays."""
    found = event_rules.get_rule(session, project.id, rule_id)
    value = EventRuleValue(**event_rules.value_of(found).model_dump() | body.given())
    changed = event_rules.write_rule(session, project, rule_id, value, now=utc_now())
    return EventRuleAnswer.model_validate(changed)


@router.delete(
    "/api/projects/{slug}/event-rules/{rule_id}",
    status_code=204,
    summary="Remove a rule over what people administer",
    operation_id="remove_event_rule",
)
def remove_rule(session: Session, project: Written, rule_id: str) -> None:
    """Remove a rule; its alerts stay until somebody resolves them, or a day has passed."""
    event_rules.remove_rule(session, project, rule_id, now=utc_now())

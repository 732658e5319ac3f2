"""Alert rules over HTTP: what holds, and changing it for an instance or a project."""

from typing import Annotated

from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import AlertType
from mainstay_server.areas.alerts.schemas.rules import (
    Rule,
    RuleAnswer,
    RuleChange,
    RuleList,
)
from mainstay_server.areas.alerts.service import rules
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router, example
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef

router = Router()

RULE = {
    "type": "high_error_rate",
    "enabled": True,
    "severity": "critical",
    "threshold": 5,
    "windowSeconds": 300,
    "minimumCount": 20,
    "runbook": "",
}


@router.get(
    "/api/instances/{instance_id}/alert-rules",
    summary="List alert rules",
    operation_id="list_alert_rules",
    responses=example({"rules": [RULE]}),
)
def list_rules(
    session: Session, instance: Annotated[InstanceRef, access.instance(Role.VIEWER)]
) -> RuleList:
    """The rules that hold for an instance: the defaults, and what was changed about them."""
    found = rules.rules_for(session, instance.project_id, instance.id)
    return RuleList(rules=[_rule(rule) for rule in found.values()])


@router.patch(
    "/api/instances/{instance_id}/alert-rules/{type}",
    summary="Change an alert rule of an instance",
    operation_id="change_alert_rule",
    responses=example(RULE | {"changed": "instance"}),
)
def change_rule(
    session: Session,
    instance: Annotated[InstanceRef, access.instance(Role.MEMBER)],
    type: AlertType,  # noqa: A002 - the parameter's name in the API
    body: RuleChange,
) -> RuleAnswer:
    """Change when a type of alert fires for one instance; what is left out stays."""
    about = (instance.organization_id, instance.project_id, instance.id)
    changes = body.model_dump(exclude_none=True)
    return _rule(rules.change_rule(session, about, type, changes, now=utc_now()))


@router.patch(
    "/api/projects/{slug}/alert-rules/{type}",
    summary="Change an alert rule of a project",
    operation_id="change_project_alert_rule",
    responses=example(RULE | {"changed": "project"}),
)
def change_project_rule(
    session: Session,
    project: Annotated[ProjectRef, access.project(Role.MEMBER)],
    type: AlertType,  # noqa: A002 - the parameter's name in the API
    body: RuleChange,
) -> RuleAnswer:
    """Change when a type of alert fires for all instances without a rule of their own."""
    about = (project.organization_id, project.id, None)
    changes = body.model_dump(exclude_none=True)
    return _rule(rules.change_rule(session, about, type, changes, now=utc_now()))


def _rule(rule: Rule) -> RuleAnswer:
    return RuleAnswer(
        type=rule.type,
        enabled=rule.enabled,
        severity=rule.severity,
        threshold=rule.threshold,
        window_seconds=rule.window_seconds,
        minimum_count=rule.minimum_count,
        runbook=rule.runbook,
        changed=rule.changed or None,
    )

"""When alerts fire: defaults for every instance, and what somebody changed about them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import (
    ONE_INSTANCE,
    PROJECT_WIDE,
    AlertRule,
    AlertType,
    Severity,
)
from mainstay_server.areas.alerts.schemas.rules import Rule
from mainstay_server.contracts.alerts.rules import AlertRuleChanged
from mainstay_server.kernel.database import insert, new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.problems import Invalid

from .runbook_names import check_runbook

# They hold for every instance without a row being written. Percent, alerts per hour, refusals, or
# a score of CVSS.
DEFAULTS = {
    rule.type: rule
    for rule in (
        Rule(type=AlertType.INSTANCE_DOWN, severity=Severity.CRITICAL),
        Rule(type=AlertType.INSTANCE_DEGRADED, severity=Severity.WARNING),
        Rule(type=AlertType.HEARTBEAT_MISSED, severity=Severity.CRITICAL),
        Rule(type=AlertType.ERROR_BUDGET_BURNING, severity=Severity.CRITICAL),
        Rule(type=AlertType.CERTIFICATE_EXPIRING, severity=Severity.WARNING),
        Rule(type=AlertType.DOMAIN_EXPIRING, severity=Severity.WARNING),
        Rule(type=AlertType.PROBE_SILENT, severity=Severity.WARNING),
        Rule(type=AlertType.BACKUP_FAILED, severity=Severity.CRITICAL),
        Rule(
            type=AlertType.HIGH_ERROR_RATE,
            severity=Severity.CRITICAL,
            threshold=5,
            minimum_count=20,
        ),
        Rule(type=AlertType.STORAGE_LIMIT, severity=Severity.WARNING),
        Rule(type=AlertType.RATE_LIMIT_EXCEEDED, severity=Severity.WARNING, threshold=100),
        Rule(type=AlertType.NEW_ISSUE, severity=Severity.INFO, threshold=10),
        Rule(type=AlertType.ISSUE_REGRESSED, severity=Severity.WARNING, threshold=10),
        Rule(type=AlertType.API_KEY_LEAKED, severity=Severity.CRITICAL),
        Rule(type=AlertType.API_KEY_ROTATION, severity=Severity.INFO),
        Rule(type=AlertType.ABUSE_DETECTED, severity=Severity.WARNING),
        Rule(type=AlertType.QUOTA_REACHED, severity=Severity.WARNING),
        Rule(type=AlertType.VULNERABILITY_FOUND, severity=Severity.WARNING, threshold=7),
        Rule(type=AlertType.THRESHOLD_PASSED, severity=Severity.WARNING),
        Rule(type=AlertType.NO_DATA, severity=Severity.WARNING),
        Rule(type=AlertType.EVENT_SAID, severity=Severity.INFO),
        Rule(type=AlertType.EXTERNAL_ALERT, severity=Severity.WARNING),
        Rule(type=AlertType.APP_ALERT, severity=Severity.WARNING, threshold=20),
    )
}
RATES = (AlertType.HIGH_ERROR_RATE,)
PER_HOUR = (AlertType.NEW_ISSUE, AlertType.ISSUE_REGRESSED, AlertType.APP_ALERT)
MOST_PERCENT = 100
HIGHEST_SCORE = 10
SETTABLE = ("enabled", "severity", "threshold", "window_seconds", "minimum_count", "runbook")


def rules_for(session: Session, project_id: str, instance_id: str | None) -> dict[AlertType, Rule]:
    """The rules that hold for an instance, or without one for its project, by type."""
    scope: sa.ColumnElement[bool] = AlertRule.instance_id.is_(None)
    if instance_id is not None:
        scope = sa.or_(scope, AlertRule.instance_id == instance_id)
    rows = session.scalars(
        sa.select(AlertRule)
        .where(AlertRule.project_id == project_id, scope)
        # Project-wide first, so that an instance's own row is laid over it.
        .order_by(AlertRule.instance_id.is_not(None))
    )
    return DEFAULTS | {AlertType(row.type): _rule(row) for row in rows}


def rule_for(session: Session, project_id: str, instance_id: str, kind: AlertType) -> Rule:
    """The rule of one type that holds for an instance."""
    return rules_for(session, project_id, instance_id)[kind]


def windows_in_use(session: Session) -> set[int]:
    """The windows in seconds over which some rule looks at a rate; at most the four offered."""
    changed = session.scalars(
        sa.select(AlertRule.window_seconds).where(AlertRule.type.in_(RATES)).distinct()
    )
    return {DEFAULTS[AlertType.HIGH_ERROR_RATE].window_seconds, *changed}


def change_rule(
    session: Session,
    about: tuple[str, str, str | None],
    kind: AlertType,
    changes: Mapping[str, Any],
    *,
    now: datetime,
) -> Rule:
    """Change a rule for `(organization id, project id, instance id or None for project-wide)`.

    Raises:
        Invalid: a threshold that makes no sense for the type.
    """
    _, project_id, instance_id = about
    before = rules_for(session, project_id, instance_id)[kind]
    rule = replace(before, **changes, changed="project" if instance_id is None else "instance")
    _refuse_nonsense(rule)
    check_runbook(session, project_id, rule.runbook)
    values = {**{name: getattr(rule, name) for name in SETTABLE}, "changed_at": now}
    wide = instance_id is None
    row = {"id": new_id(), "project_id": project_id, "instance_id": instance_id, "type": kind}
    session.execute(
        insert(AlertRule)
        .values(**row, **values)
        .on_conflict_do_update(
            index_elements=["project_id" if wide else "instance_id", "type"],
            index_where=PROJECT_WIDE if wide else ONE_INSTANCE,
            set_=values,
        )
    )
    _say_changed(session, about, before, rule, now=now)
    return rule


def reset_rule(
    session: Session, about: tuple[str, str, str | None], kind: AlertType, *, now: datetime
) -> Rule:
    """Forget what was changed about a rule: what is above it holds again. Twice is once."""
    _, project_id, instance_id = about
    before = rules_for(session, project_id, instance_id)[kind]
    own = AlertRule.project_id == project_id, AlertRule.type == kind, _of(instance_id)
    session.execute(sa.delete(AlertRule).where(*own))
    rule = rules_for(session, project_id, instance_id)[kind]
    _say_changed(session, about, before, rule, now=now)
    return rule


def id_of(session: Session, about: tuple[str, str, str | None], kind: AlertType) -> str:
    """The id of the row that holds what was changed about a rule."""
    _, project_id, instance_id = about
    own = AlertRule.project_id == project_id, AlertRule.type == kind, _of(instance_id)
    return session.scalars(sa.select(AlertRule.id).where(*own)).one()


def changed_rules(session: Session, project_id: str) -> Sequence[AlertRule]:
    """What was changed about the rules of a project and its instances, in one order."""
    return session.scalars(
        sa.select(AlertRule)
        .where(AlertRule.project_id == project_id)
        .order_by(AlertRule.instance_id, AlertRule.type)
    ).all()


def _of(instance_id: str | None) -> sa.ColumnElement[bool]:
    if instance_id is None:
        return AlertRule.instance_id.is_(None)
    return AlertRule.instance_id == instance_id


def _say_changed(
    session: Session,
    about: tuple[str, str, str | None],
    before: Rule,
    rule: Rule,
    *,
    now: datetime,
) -> None:
    organization_id, project_id, instance_id = about
    say(
        session,
        AlertRuleChanged(
            organization_id=organization_id,
            project_id=project_id,
            instance_id=instance_id or "",
            type=rule.type,
            changes=changes_between(facts_of(before, SETTABLE), facts_of(rule, SETTABLE)),
        ),
        now=now,
    )


def _refuse_nonsense(rule: Rule) -> None:
    if rule.type in RATES and not 0 < rule.threshold <= MOST_PERCENT:
        raise _invalid("must be above 0 and at most 100 percent")
    if rule.type in PER_HOUR and rule.threshold < 1:
        raise _invalid("must be at least 1 per hour; switch the rule off to hear nothing")
    if rule.type is AlertType.VULNERABILITY_FOUND and rule.threshold > HIGHEST_SCORE:
        raise _invalid("is a score of CVSS, from 0 to 10")


def _invalid(what: str) -> Invalid:
    return Invalid.of_field("threshold", f"threshold {what}.")


def _rule(row: AlertRule) -> Rule:
    return Rule(
        type=AlertType(row.type),
        severity=Severity(row.severity),
        enabled=row.enabled,
        threshold=row.threshold,
        window_seconds=row.window_seconds,
        minimum_count=row.minimum_count,
        runbook=row.runbook,
        changed="project" if row.instance_id is None else "instance",
    )

"""Rules over what people administer as people write them."""

from typing import Annotated

from fastapi import Form
from fastapi.responses import Response
from pydantic import Field, ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.alerts.models import Severity
from mainstay_server.areas.alerts.schemas.event_rules import EventRuleValue
from mainstay_server.areas.alerts.service import event_rules, runbooks
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.events import audited_actions
from mainstay_server.kernel.problems import Invalid, Problem
from mainstay_server.kernel.web import Body, Router
from mainstay_server.tenancy.frame import done_or_refused, redirect_with

from .frame import PREFIX, Text, Viewed, Written, frame_of, page_of, url_of

router = Router(prefix=PREFIX, include_in_schema=False)


class EventRuleForm(Body):
    """The form of a rule; `conditions` are lines such as `actor: ann*`."""

    csrf_token: str = Field("", alias="csrf_token")
    instance: str = Field("", max_length=64)
    rule_id: str = Field("", max_length=36)
    name: str = Field("", max_length=100)
    action: str = Field("", max_length=100)
    conditions: str = Field("", max_length=2000)
    severity: Severity = Severity.WARNING
    switch: str = ""
    runbook: str = Field("", max_length=500)

    def value(self) -> EventRuleValue:
        """The rule that the form describes. Raises `Invalid`."""
        lines = [line for line in self.conditions.splitlines() if line.strip()]
        if any(":" not in line for line in lines):
            raise Invalid("Each condition is a name, a colon and a pattern, such as actor: ann*.")
        pairs = [line.partition(":") for line in lines]
        try:
            return EventRuleValue(
                name=self.name.strip(),
                action=self.action.strip(),
                fields={name.strip(): pattern.strip() for name, _, pattern in pairs},
                severity=self.severity,
                enabled=self.switch == "on",
                runbook=self.runbook.strip(),
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise Invalid(f"{first['loc'][0]}: {first['msg']}.") from error


@router.get("/event-rules/{rule_id}")
def show_form(request: Request, session: Session, project: Viewed, rule_id: str) -> Response:
    """The form of a rule, or of a `new` one."""
    found = None if rule_id == "new" else event_rules.get_rule(session, project.id, rule_id)
    return page_of(
        request,
        session,
        frame_of(request, session, project),
        "event_rule",
        rule=found,
        actions=audited_actions(),
        runbooks=runbooks.list_runbooks(session, project.id),
    )


@router.post("/event-rules")
def save_rule(
    session: Session, project: Written, form: Annotated[EventRuleForm, Form()]
) -> Response:
    """Write a rule, or let one be as the form says."""
    try:
        with session.begin_nested():
            event_rules.write_rule(
                session, project, form.rule_id or None, form.value(), now=utc_now()
            )
    except Problem as problem:
        page = url_of(project, f"alerts/event-rules/{form.rule_id or 'new'}", form.instance)
        return redirect_with(page, problem.detail, "critical")
    return redirect_with(url_of(project, "alerts/rules", form.instance), f"{form.name}: saved.")


@router.post("/event-rules/{rule_id}/remove")
def remove_rule(session: Session, project: Written, rule_id: str, instance: Text = "") -> Response:
    """Remove a rule."""
    return done_or_refused(
        session,
        lambda: event_rules.remove_rule(session, project, rule_id, now=utc_now()),
        path=url_of(project, "alerts/rules", instance),
        done="Removed.",
    )

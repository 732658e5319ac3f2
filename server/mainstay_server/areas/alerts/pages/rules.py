"""When alerts fire: the rules that hold, and changing them."""

from typing import Annotated

from fastapi import Form
from fastapi.responses import Response
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.alerts.models import AlertType
from mainstay_server.areas.alerts.schemas.rules import RuleChange
from mainstay_server.areas.alerts.service import event_rules, rules
from mainstay_server.areas.alerts.service.measures import effective, measure_rules
from mainstay_server.areas.alerts.service.measures.measuring import shown_span
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.frame import done_or_refused

from .frame import PREFIX, WORDS, Viewed, Written, chosen_of, frame_of, instance_of, page_of, url_of

router = Router(prefix=PREFIX, include_in_schema=False)

WINDOWS = (("60", "1 min"), ("300", "5 min"), ("900", "15 min"), ("3600", "1 h"))

# How the number of a level is read with the unit of its measure.
UNITS = {"percent": " %", "count": "", "per hour": " an hour", "hours": " h"}


class RuleForm(RuleChange):
    """The form of one rule; a switch that is off is not sent, which is how it is told."""

    csrf_token: str = Field("", alias="csrf_token")
    instance_id: str
    scope: str = "project"
    switch: str = ""

    def change(self) -> RuleChange:
        """What the form says about the rule itself."""
        said = self.model_dump(exclude={"csrf_token", "instance_id", "scope", "switch"})
        return RuleChange(**(said | {"enabled": self.switch == "on"}))


@router.get("/rules")
def show_rules(request: Request, session: Session, project: Viewed) -> Response:
    """When alerts fire."""
    frame = frame_of(request, session, project)
    found = rules.rules_for(session, project.id, frame["instance"].id)
    edited = chosen_of(request, "edit", AlertType)
    return page_of(
        request,
        session,
        frame,
        "rules",
        rules=list(found.values()),
        edited=found.get(edited) if edited else None,
        windows=WINDOWS,
        event_rules=event_rules.list_rules(session, project.id),
        measure_rules=measure_rules.list_rules(session, project.id),
        titles={measure.name: measure.title for measure, _ in effective.measures()},
        units={m.name: UNITS.get(m.unit, f" {m.unit}") for m, _ in effective.measures()},
        windowed={m.name for m, family in effective.measures() if family.windowed},
        shown_span=shown_span,
        environments={each.id: each.environment for each in frame["instances"]},
    )


@router.post("/rules/{kind}")
def change_rule(
    session: Session,
    project: Written,
    kind: AlertType,
    form: Annotated[RuleForm, Form()],
) -> Response:
    """Change a rule for one instance, or for the whole project."""
    instance = instance_of(session, project, form.instance_id)
    scope = instance.id if form.scope == "instance" else None
    about = (project.organization_id, project.id, scope)
    changes = form.change().model_dump(exclude_none=True)
    return done_or_refused(
        session,
        lambda: rules.change_rule(session, about, kind, changes, now=utc_now()),
        path=url_of(project, "alerts/rules", instance),
        done=f"{WORDS[kind]}: saved.",
    )

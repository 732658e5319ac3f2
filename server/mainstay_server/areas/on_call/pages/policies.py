"""The page of an escalation policy: its steps in order, what it is for, and how often they come."""

from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.on_call.models import EscalationPolicy
from mainstay_server.areas.on_call.schemas.policies import PolicyBody, StepBody
from mainstay_server.areas.on_call.service import policies, schedules
from mainstay_server.areas.on_call.service.channels import channels_of
from mainstay_server.areas.on_call.service.people import members_of
from mainstay_server.contracts.alerts.severities import Severity
from mainstay_server.contracts.remediation import start_remediation
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid, Problem
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.frame import done_or_refused, redirect_with

from .frame import PATH, POLICIES, Form, Seen, Written, number_of, page_of, text_of, texts_of
from .reaches import reach_of, reaches_of

ONE = POLICIES + "/{policy_id:id}"
EMPTY_STEPS = 3
ACTION = "action:"

router = Router()


@router.get(POLICIES + "/new")
def show_new(request: Request, session: Session, caller: Written) -> Response:
    """The form, empty."""
    first = schedules.list_schedules(session, caller.organization_id, limit=1).items
    target = f"schedule:{first[0].id}" if first else f"person:{caller.person_id}"
    values = {
        "name": "",
        "reach": "",
        "minimum_severity": "critical",
        "enabled": True,
        "steps": [(target, 5)],
        "repeat": 1,
        "acknowledge_timeout_minutes": 0,
    }
    return _form(request, session, caller, values)


@router.post(POLICIES + "/new")
def make_policy(request: Request, session: Session, caller: Written, form: Form) -> Response:
    """Make what the form says."""
    try:
        wanted = _wanted_from(form)
        with session.begin_nested():
            policies.make_policy(
                session, caller.organization_id, wanted.model_dump(), now=utc_now()
            )
    except Problem as refused:
        return _form(request, session, caller, _again(form), problem=refused.detail)
    return redirect_with(PATH, f"{wanted.name} holds for alerts that open from now on.")


@router.get(ONE)
def show_policy(request: Request, session: Session, caller: Seen, policy_id: str) -> Response:
    """A policy and its form."""
    found = policies.get_policy(session, caller.organization_id, policy_id)
    return _form(request, session, caller, _values_of(found), policy=found)


@router.post(ONE + "/change")
def change_policy(
    request: Request, session: Session, caller: Written, policy_id: str, form: Form
) -> Response:
    """Change it for alerts that open from now on."""
    found = policies.get_policy(session, caller.organization_id, policy_id)
    try:
        wanted = _wanted_from(form).model_dump(exclude={"project_id", "instance_id"})
        with session.begin_nested():
            policies.change_policy(session, found, wanted, now=utc_now())
    except Problem as refused:
        session.refresh(found)
        return _form(request, session, caller, _again(form), policy=found, problem=refused.detail)
    return redirect_with(f"{POLICIES}/{policy_id}", "Changed, for alerts that open from now on.")


@router.post(ONE + "/remove")
def remove_policy(session: Session, caller: Written, policy_id: str) -> Response:
    """Escalate no further alert by it."""

    def remove() -> None:
        found = policies.get_policy(session, caller.organization_id, policy_id)
        policies.remove_policy(session, found, now=utc_now())

    return done_or_refused(
        session, remove, path=PATH, done="It was removed; what is being escalated goes on."
    )


def _form(
    request: Request,
    session: Session,
    caller: Caller,
    values: dict[str, Any],
    *,
    policy: EscalationPolicy | None = None,
    problem: str = "",
) -> Response:
    members = members_of(session, caller.organization_id)
    page = schedules.list_schedules(session, caller.organization_id, limit=schedules.MOST_SCHEDULES)
    channels = channels_of(session, caller.organization_id)
    targets = [
        ("", "Nothing"),
        *((f"schedule:{one.id}", f"Who is on call in {one.name}") for one in page.items),
        *((f"person:{one.id}", one.name) for one in members.values()),
        *((f"channel:{one.id}", f"The channel {one.name}") for one in channels),
        (ACTION, "An automatic action, whichever fits"),
    ]
    known = {target for target, _ in targets}
    targets += [
        (target, f"{target[:60]} (gone, or set by the API)")
        for target, _ in values["steps"]
        if target not in known
    ]
    return page_of(
        request,
        session,
        caller,
        "policy",
        values=values,
        policy=policy,
        problem=problem,
        targets=targets,
        reaches=reaches_of(session, caller.organization_id),
        severities=[(each, each.capitalize()) for each in Severity],
        rows=[*values["steps"], *[("", 5)] * EMPTY_STEPS],
        can_act=start_remediation.is_answered,
        here=f"{POLICIES}/{policy.id}" if policy else f"{POLICIES}/new",
    )


def _wanted_from(form: FormData) -> PolicyBody:
    """The policy that a form describes. Raises `Invalid`."""
    project_id, _, instance_id = text_of(form, "reach").partition("/")
    steps = [
        _step_of(target, wait)
        for target, wait in zip(
            texts_of(form, "target"), texts_of(form, "wait_minutes"), strict=False
        )
        if target
    ]
    if not steps:
        raise Invalid("Choose what happens in the first step.")
    wanted = {
        "name": text_of(form, "name"),
        "project_id": project_id or None,
        "instance_id": instance_id or None,
        "enabled": bool(text_of(form, "enabled")),
        "minimum_severity": text_of(form, "minimum_severity"),
        "steps": steps,
        "repeat": number_of(form, "repeat", otherwise=0),
        "acknowledge_timeout_minutes": number_of(form, "acknowledge_timeout_minutes", otherwise=0),
    }
    try:
        return PolicyBody.model_validate(wanted)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]).replace("_", " ").capitalize() if first["loc"] else "It"
        raise Invalid(f"{field}: {first['msg'].removeprefix('Value error, ')}.") from None


def _step_of(target: str, wait: str) -> dict[str, Any]:
    kind, _, id_ = target.partition(":")
    if not (wait.isascii() and wait.isdigit()):
        raise Invalid("A step waits for a whole number of minutes.")
    names = {"action": "action", "person": "person_id", "channel": "channel_id"}
    return {"kind": kind, names.get(kind, "schedule_id"): id_, "wait_minutes": int(wait[:9])}


def _values_of(policy: EscalationPolicy) -> dict[str, Any]:
    steps = [StepBody.model_validate(each) for each in policy.steps]
    return {
        "name": policy.name,
        "reach": reach_of(policy.project_id, policy.instance_id),
        "minimum_severity": policy.minimum_severity,
        "enabled": policy.enabled,
        "steps": [(f"{step.kind}:{step.target}", step.wait_minutes) for step in steps],
        "repeat": policy.repeat,
        "acknowledge_timeout_minutes": policy.acknowledge_timeout_minutes,
    }


def _again(form: FormData) -> dict[str, Any]:
    names = ("name", "reach", "minimum_severity", "repeat", "acknowledge_timeout_minutes")
    rows = zip(texts_of(form, "target"), texts_of(form, "wait_minutes"), strict=False)
    return {
        **{name: text_of(form, name) for name in names},
        "enabled": bool(text_of(form, "enabled")),
        "steps": [(target[:60], wait[:9]) for target, wait in rows if target][:20],
    }

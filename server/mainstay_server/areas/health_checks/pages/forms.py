"""Making and changing a health check of any kind, and trying it out before it is kept."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.health_checks.models import HERE, HealthCheck
from mainstay_server.areas.health_checks.providers import PROVIDERS
from mainstay_server.areas.health_checks.schemas.bodies import HealthCheckChanges
from mainstay_server.areas.health_checks.service import checks, listing, plans, probes, trying
from mainstay_server.areas.health_checks.service.details import read_result
from mainstay_server.areas.health_checks.service.kinds import DEFAULT_KIND, NewCheckOfAnyKind
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.problems import Invalid, NotFound, Problem
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.frame import project_frame, redirect_with
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef, instances_of_project
from mainstay_server.ui import fragment, render

from .fields import config_in, lines_in
from .filling import PLACE, answers_of, asked_apart, blank, form_of
from .words import LIGHTS

PREFIX = "/dashboard/projects/{slug}/health-checks"
ONE = PREFIX + "/{check_id:id}"
WHOLE_NUMBERS = (
    *("interval_seconds", "timeout_seconds", "degraded_after_ms", "fail_after", "recover_after"),
    "tell_after_seconds",
)
FOLLOWED = ("interval_seconds", "timeout_seconds", "degraded_after_ms")
NEW_CHECK: TypeAdapter[Any] = TypeAdapter(NewCheckOfAnyKind)

router = Router(include_in_schema=False)


async def _sent(request: Request) -> dict[str, str]:
    """What a form sent, by name."""
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


Written = Annotated[ProjectRef, access.project(Role.MEMBER)]
Sent = Annotated[dict[str, str], Depends(_sent)]


@router.get(PREFIX + "/new")
def show_new(request: Request, session: Session, project: Written) -> Response:
    """An empty form for a check of one kind."""
    asked = request.query_params
    kind = asked.get("kind", DEFAULT_KIND)
    kind = kind if kind in PROVIDERS else DEFAULT_KIND
    given = {name: asked[name] for name in ("name", "url", "environment") if asked.get(name)}
    begun = blank(kind)
    if "quorum" in asked:  # another kind was chosen: what was ticked stays as it is
        del begun[PLACE + HERE]
        given |= {n: value for n, value in asked.items() if n.startswith(PLACE) or n == "quorum"}
    return _page(request, session, project, begun | given | {"kind": kind})


@router.post(PREFIX + "/new")
def make(request: Request, session: Session, project: Written, sent: Sent) -> Response:
    """Make the check, or show the form again with what is wrong with it."""
    now = utc_now()
    try:
        with session.begin_nested():
            wanted = _new(sent)
            instance = _instance(session, project, sent.get("environment", ""))
            check = checks.add_check(session, instance, wanted, now=now)
    except Problem as problem:
        return _page(request, session, project, sent, problem=problem)
    return redirect_with(
        f"{_base(project)}/{check.id}", f"{check.name} is being asked now, and from now on."
    )


@router.get(ONE + "/change")
def show_change(request: Request, session: Session, project: Written, check_id: str) -> Response:
    """The form of a check as it is; secrets are only said to be set."""
    check = listing.get_check_of_project(session, project.id, check_id)
    return _page(request, session, project, answers_of(check), check=check)


@router.post(ONE + "/change")
def change(
    request: Request, session: Session, project: Written, check_id: str, sent: Sent
) -> Response:
    """Change what was changed; a secret that is left empty stays."""
    check = listing.get_check_of_project(session, project.id, check_id)
    try:
        with session.begin_nested():
            checks.change_check(session, check, _changes(check, sent), now=utc_now())
    except Problem as problem:
        session.expire(check)
        return _page(request, session, project, sent, check=check, problem=problem)
    return redirect_with(f"{_base(project)}/{check.id}", "Changed: it is asked that way from now.")


@router.post(PREFIX + "/try")
def try_out(request: Request, project: Written, sent: Sent) -> Response:
    """Ask once as the form says, keep nothing, and show what came back."""
    try:
        with reading() as session:
            order = _order(session, project, sent, now=utc_now())
        found = trying.try_out(order, clock=utc_now)
    except Problem as problem:
        shown = fragment(request, "health_checks/tried.html", problem=problem, found=None)
    else:
        shown = fragment(
            request,
            "health_checks/tried.html",
            problem=None,
            found=found,
            detail=read_result(found.result) if found.result else None,
            lights=LIGHTS,
        )
    return Response(shown, media_type="text/html")


def _order(session: Session, project: ProjectRef, sent: Mapping[str, str], *, now: datetime) -> Any:  # noqa: ANN401 - an order
    """What to ask, for a new check or for one that is there, whose secrets stay where it asks."""
    if not sent.get("check"):
        instance = _instance(session, project, sent.get("environment", ""))
        return trying.order_of_new(_new(sent), instance_id=instance.id, now=now)
    check = listing.get_check_of_project(session, project.id, sent["check"])
    return trying.order_of_changed(check, _changes(check, sent), now=now)


def _page(
    request: Request,
    session: Session,
    project: ProjectRef,
    given: Mapping[str, str],
    *,
    check: HealthCheck | None = None,
    problem: Problem | None = None,
) -> Response:
    frame = project_frame(request, session, project, page="health-checks", now=utc_now())
    base = _base(project)
    kind = check.kind if check else given.get("kind", DEFAULT_KIND)
    return render(
        request,
        "health_checks/form.html",
        **frame,
        status_code=problem.status if problem else 200,
        base=base,
        action=f"{base}/{check.id}/change" if check else f"{base}/new",
        check=check,
        kind=kind if kind in PROVIDERS else DEFAULT_KIND,
        kinds=[(name, provider.LABEL) for name, provider in PROVIDERS.items()],
        given=given,
        problem=problem,
        faults={fault["field"]: fault["message"] for fault in problem.errors} if problem else {},
        fields=form_of(kind, given, check),
        values=sorted(PROVIDERS[kind].VALUES) if kind in PROVIDERS else [],
        places=_places(session, project, kind),
        environments=[(each.environment, each.environment) for each in frame["instances"]],
        parents=[
            ("", "nothing"),
            *(
                (each.id, f"{each.name} ({each.target[:60]})")
                for each in listing.find_parents(session, project.id)
                if check is None or each.id != check.id
            ),
        ],
    )


def _places(session: Session, project: ProjectRef, kind: str) -> list[tuple[str, str]]:
    """Where a check of this kind may be asked from; none where there is nothing to choose."""
    if kind in plans.ELSEWHERE_NEVER:
        return []
    found = probes.list_probes(session, project.organization_id)
    elsewhere = [(probe.location, probe.location) for probe in found]
    return [(HERE, "here"), *elsewhere] if elsewhere else []


def _new(sent: Mapping[str, str]) -> Any:  # noqa: ANN401 - a new check of any kind
    kind = sent.get("kind", "")
    if kind not in PROVIDERS:
        raise Invalid("Choose a kind of health check from the list.")
    body = _common(sent) | {
        "kind": kind,
        "config": config_in(PROVIDERS[kind].Config, sent, without=asked_apart(kind)),
    }
    if kind == DEFAULT_KIND:
        body["url"] = sent.get("url", "")
    return _validated(NEW_CHECK, body, kind=kind)


def _changes(check: HealthCheck, sent: Mapping[str, str]) -> HealthCheckChanges:
    body = _common(sent)
    body["config"] = config_in(PROVIDERS[check.kind].Config, sent, without=asked_apart(check.kind))
    if check.default_of:
        for name in FOLLOWED:
            body.pop(_alias(name), None)
    elif check.kind == DEFAULT_KIND:
        body["url"] = sent.get("url", "")
    changes: HealthCheckChanges = _validated(TypeAdapter(HealthCheckChanges), body, kind="")
    return changes


def _common(sent: Mapping[str, str]) -> dict[str, Any]:
    """What a check of any kind has, as the API takes it."""
    body: dict[str, Any] = {
        "name": sent.get("name", "").strip(),
        "conditions": lines_in(sent.get("conditions", "")),
        "tags": [tag for each in sent.get("tags", "").split(",") if (tag := each.strip())],
        "parentId": sent.get("parent_id") or None,
    }
    if "quorum" in sent:  # only a form that has places to choose from has one
        body["quorum"] = sent["quorum"]
        body["locations"] = [n.removeprefix(PLACE) for n in sent if n.startswith(PLACE)]
    for name in WHOLE_NUMBERS:
        text = sent.get(name, "").strip()
        if text:
            body[_alias(name)] = int(text) if text.isdecimal() else text
    return body


def _validated(shape: TypeAdapter[Any], body: Mapping[str, Any], *, kind: str) -> Any:  # noqa: ANN401 - what the shape makes
    try:
        return shape.validate_python(body)
    except ValidationError as error:
        faults = []
        for one in error.errors(include_input=False, include_url=False):
            path = [str(part) for part in one["loc"] if part != kind]
            message = one["msg"].removeprefix("Value error, ")
            faults.append({"field": ".".join(path), "message": message})
        first = faults[0]
        raise Invalid(f"{first['field']}: {first['message']}.", errors=faults) from None


def _alias(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _instance(session: Session, project: ProjectRef, environment: str) -> InstanceRef:
    instances = instances_of_project(session, project.id)
    if not environment:
        return instances[0]
    found = next((each for each in instances if each.environment == environment), None)
    if found is None:
        raise NotFound(f"{project.name} has no environment {environment[:50]!r}.")
    return found


def _base(project: ProjectRef) -> str:
    return f"/dashboard/projects/{project.slug}/health-checks"

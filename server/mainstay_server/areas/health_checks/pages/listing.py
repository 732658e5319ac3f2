"""The list of a project's health checks: found, filtered, sorted, and acted on many at once."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Form
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.providers import PROVIDERS
from mainstay_server.areas.health_checks.schemas.bodies import HealthCheckChanges
from mainstay_server.areas.health_checks.service import checks, listing
from mainstay_server.areas.health_checks.service.listing import CheckFilter, Order, Record
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.watching import State
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.frame import done_or_refused, project_frame
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import render
from mainstay_server.ui.formats import plural

from .words import LIGHTS, SLOT_WIDTH, Run, every, strip_of, tone_of_uptime

PREFIX = "/dashboard/projects/{slug}/health-checks"
ORDERS: dict[str, Order] = {
    "state": "state",
    "name": "name",
    "response": "response",
    "changed": "changed",
}
LONGEST_TAG = 50
MOST_TAGS = 20
LONGEST_NUMBER = 6

router = Router(include_in_schema=False)

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One check as the list shows it."""

    check: HealthCheck
    environment: str
    every: str
    record: Record
    strip: list[Run]
    day_tone: str
    month_tone: str


@router.get(PREFIX)
def show_checks(request: Request, session: Session, project: Viewed) -> Response:
    """The checks of a project, those in trouble first, with how each did."""
    frame = project_frame(request, session, project, page="health-checks", now=utc_now())
    wanted, environment = _wanted(request, frame)
    order = ORDERS.get(request.query_params.get("sort", ""), "state")
    found = listing.find_checks(
        session, project.id, wanted, order=order, page=_number(request.query_params.get("page"))
    )
    records = listing.records_of(session, found.checks, now=frame["now"])
    environments = {each.id: each.environment for each in frame["instances"]}
    return render(
        request,
        "health_checks/list.html",
        **frame,
        base=f"/dashboard/projects/{project.slug}/health-checks",
        server=base_url(request),
        lines=[
            _line(check, environments[check.instance_id], records[check.id], frame)
            for check in found.checks
        ],
        found=found,
        chosen=wanted,
        environment=environment,
        order=order,
        choices=listing.choices_of(session, project.id),
        kinds={kind: provider.LABEL for kind, provider in PROVIDERS.items()},
        lights=LIGHTS,
        strip_width=listing.SLOTS * SLOT_WIDTH,
    )


@router.post(PREFIX + "/bulk")
def act_on_many(
    request: Request,
    session: Session,
    project: Written,
    *,
    action: Annotated[str, Form(max_length=10)],
    check: Annotated[list[str], Form(max_length=listing.PER_PAGE)] = [],  # noqa: B006 - FastAPI copies it
    tag: Annotated[str, Form(max_length=LONGEST_TAG)] = "",
) -> Response:
    """Pause, resume or tag the checks that were ticked."""
    chosen = listing.get_checks(session, project.id, check)

    def act() -> None:
        if not chosen:
            raise Invalid("Tick the health checks first.")
        for one in chosen:
            _act(session, one, action, tag.strip())

    done = {"pause": "paused", "resume": "resumed", "tag": "tagged", "untag": "changed"}
    return done_or_refused(
        session,
        act,
        path=_back(request, project),
        done=f"{plural(len(chosen), 'health check')} {done.get(action, '')}.",
    )


def _act(session: Session, check: HealthCheck, action: str, tag: str) -> None:
    now = utc_now()
    if action == "pause":
        checks.pause_check(session, check, now=now)
    elif action == "resume":
        checks.resume_check(session, check, now=now)
    elif action in ("tag", "untag"):
        if not tag:
            raise Invalid("Write the tag first.")
        kept = [each for each in check.tags if each != tag]
        changed = [*kept, tag] if action == "tag" else kept
        if len(changed) > MOST_TAGS:
            raise Invalid(f"{check.name} has {MOST_TAGS} tags, which is the most.")
        checks.change_check(session, check, HealthCheckChanges(tags=changed), now=now)
    else:
        raise Invalid("Choose pause, resume, tag or untag.")


def _back(request: Request, project: ProjectRef) -> str:
    """The list as it was when the button was pressed."""
    query = request.url.query
    return f"/dashboard/projects/{project.slug}/health-checks{f'?{query}' if query else ''}"


def _wanted(request: Request, frame: dict[str, Any]) -> tuple[CheckFilter, str]:
    """What the query asks for, and the environment in it as far as there is such a one."""
    asked = request.query_params
    environments = {each.environment: each.id for each in frame["instances"]}
    environment = asked.get("environment", "")
    wanted = CheckFilter(
        text=asked.get("q", "")[: listing.LONGEST_SEARCH],
        state=next((state for state in State if state == asked.get("state")), None),
        kind=asked.get("kind", "") if asked.get("kind") in PROVIDERS else "",
        tag=asked.get("tag", "")[:LONGEST_TAG],
        instance_id=environments.get(environment, ""),
    )
    return wanted, environment if environment in environments else ""


def _line(check: HealthCheck, environment: str, record: Record, frame: dict[str, Any]) -> Line:
    return Line(
        check=check,
        environment=environment,
        every=every(check.interval_seconds),
        record=record,
        strip=strip_of(record.slots, until=frame["now"]),
        day_tone=tone_of_uptime(record.day),
        month_tone=tone_of_uptime(record.month),
    )


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < LONGEST_NUMBER else 1

"""The page of the probes that run elsewhere: list, add with the exact command, remove."""

from typing import Annotated, Any

from fastapi import Form
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.health_checks.schemas.probes import LONGEST_LOCATION, NewProbe
from mainstay_server.areas.health_checks.service import probes
from mainstay_server.kernel.area import OrganizationEntry
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.frame import done_or_refused, organization_frame
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.service.sessions import list_organizations
from mainstay_server.ui import render

PATH = "/dashboard/organization/probes"
LIGHTS = {"new": "unknown", "connected": "up", "silent": "down"}

router = Router(include_in_schema=False)

Seen = Annotated[Caller, access.organization(Role.MEMBER, about="project")]
Administered = Annotated[Caller, access.organization(Role.ADMIN)]
entry = OrganizationEntry(
    label="Probes", page="organization/probes", icon="globe", order=5, role=Role.MEMBER
)


@router.get(PATH)
def show_probes(request: Request, session: Session, caller: Seen) -> Response:
    """The probes of the organization, and how to start one."""
    return _page(request, session, caller)


@router.post(PATH)
def add_probe(
    request: Request,
    session: Session,
    caller: Administered,
    name: Annotated[str, Form(max_length=100)] = "",
    location: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Add a probe and show its command on the answering page, the only one that ever does."""
    try:
        wanted = NewProbe(name=name.strip() or location.strip(), location=location.strip())
        _, token = probes.add_probe(session, caller.organization_id, wanted, now=utc_now())
    except ValidationError:
        problem = (
            f"Name another place than here, with 1 to {LONGEST_LOCATION} letters, digits, blanks"
            " or .:/()-_."
        )
        return _page(request, session, caller, problem=problem, asked=(name, location))
    except Problem as refused:
        return _page(request, session, caller, problem=refused.detail, asked=(name, location))
    return _page(request, session, caller, command=probes.command_of(base_url(request), token))


@router.post(f"{PATH}/{{probe_id}}/remove")
def remove_probe(session: Session, caller: Administered, probe_id: str) -> Response:
    """Refuse the probe from now on."""
    return done_or_refused(
        session,
        lambda: probes.remove_probe(
            session, probes.get_probe(session, caller.organization_id, probe_id), now=utc_now()
        ),
        path=PATH,
        done="The probe is refused from now on; what only it asked is asked from here.",
    )


def _page(
    request: Request,
    session: Session,
    caller: Caller,
    *,
    command: str = "",
    problem: str = "",
    asked: tuple[str, str] = ("", ""),
) -> Response:
    now = utc_now()
    counts = probes.count_checks(session, caller.organization_id)
    lines: list[dict[str, Any]] = [
        {
            "probe": probe,
            "state": (state := probes.state_of(probe, now=now)),
            "light": LIGHTS[state],
            "checks": counts.get(probe.location, 0),
        }
        for probe in probes.list_probes(session, caller.organization_id)
    ]
    return render(
        request,
        "health_checks/probes.html",
        **organization_frame(request, page="organization/probes", now=now),
        organizations=list_organizations(session, caller),
        lines=lines,
        command=command,
        problem=problem,
        asked=asked,
        may_add=caller.role.covers(Role.ADMIN),
        path=PATH,
        example="pip install mainstay-server\n"
        + probes.command_of(base_url(request), "mst_probe_…"),
    )

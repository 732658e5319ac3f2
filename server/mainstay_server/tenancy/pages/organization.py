"""The organization's page: its name, its people, and who is invited."""

from typing import Annotated

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid, Problem
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.frame import done_or_refused, organization_frame, redirect_with
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.service import links, members, sessions
from mainstay_server.ui import render

from .forms import Text

router = Router()

PATH = "/dashboard/organization"

Viewer = Annotated[Caller, access.organization(Role.VIEWER)]
Admin = Annotated[Caller, access.organization(Role.ADMIN)]


@router.get(PATH)
def show_organization(
    request: Request, session: Session, caller: Viewer, member: str = ""
) -> Response:
    """Who belongs to the organization, and who may join; `member` opens one's form."""
    return _page(request, session, caller, edited=member)


@router.post(f"{PATH}/name")
def rename(session: Session, caller: Admin, name: Text = "") -> Response:
    """Give the organization another name."""
    return done_or_refused(
        session,
        lambda: members.rename_organization(session, caller, name, now=utc_now()),
        path=PATH,
        done="The name was changed.",
    )


@router.post(f"{PATH}/members/{{person_id}}/role")
def change_role(session: Session, caller: Admin, person_id: str, role: Text = "") -> Response:
    """Give a member another role."""
    return done_or_refused(
        session,
        lambda: members.change_role(session, caller, person_id, _role(role), now=utc_now()),
        path=PATH,
        done="The role was changed.",
    )


@router.post(f"{PATH}/members/{{person_id}}/remove")
def remove_member(session: Session, caller: Admin, person_id: str) -> Response:
    """End a membership."""
    return done_or_refused(
        session,
        lambda: members.remove_member(session, caller, person_id, now=utc_now()),
        path=PATH,
        done="The member was removed.",
    )


@router.post(f"{PATH}/invitations")
def invite(request: Request, session: Session, caller: Admin, role: Text = "") -> Response:
    """Make an invitation and show its link on the answering page, the only one that ever does."""
    try:
        with session.begin_nested():
            _, path = links.invite(session, caller, _role(role), now=utc_now())
    except Problem as problem:
        return redirect_with(PATH, problem.detail, "critical")
    return _page(request, session, caller, new_link=base_url(request) + path)


@router.post(f"{PATH}/invitations/{{invitation_id}}/revoke")
def revoke_invitation(session: Session, caller: Admin, invitation_id: str) -> Response:
    """Let an open invitation open nothing."""
    return done_or_refused(
        session,
        lambda: links.revoke_invitation(session, caller, invitation_id, now=utc_now()),
        path=PATH,
        done="The invitation was revoked.",
    )


def _page(
    request: Request, session: Session, caller: Caller, *, new_link: str = "", edited: str = ""
) -> Response:
    now = utc_now()
    may_administer = caller.role.covers(Role.ADMIN)
    asked, organization_id = request.query_params, caller.organization_id
    cursor = asked.get("invitations", "")
    invitations = links.list_invitations(session, organization_id, cursor=cursor, now=now)
    found = members.list_members(session, organization_id, cursor=asked.get("cursor", ""))
    return render(
        request,
        "tenancy/organization.html",
        **organization_frame(request, page="organization", now=now),
        organizations=sessions.list_organizations(session, caller),
        members=found.items,
        more_members=found.next_cursor,
        members_in_all=members.count_members(session, organization_id),
        edited=members.find_member(session, organization_id, edited) if edited else None,
        invitations=invitations.items if may_administer else (),
        more_invitations=invitations.next_cursor,
        new_link=new_link,
        roles=[(str(role), str(role)) for role in Role if caller.role.covers(role)],
        may_administer=may_administer,
    )


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise Invalid("role must be owner, admin, member or viewer; choose one.") from None

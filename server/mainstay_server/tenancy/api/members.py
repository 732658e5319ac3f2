"""The organization: its people and who is invited."""

from typing import Annotated

from fastapi import Request
from sqlalchemy.orm import Session

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.web import Cursor, Limit, Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.service import links, members

from . import schemas

router = Router()

Viewer = Annotated[Caller, access.organization(Role.VIEWER)]
Admin = Annotated[Caller, access.organization(Role.ADMIN)]


@router.get("/api/members", summary="List the members")
def list_members(
    session: Session, caller: Viewer, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> schemas.MembersAnswer:
    """Everybody in the caller's organization, by name."""
    page = members.list_members(session, caller.organization_id, limit=limit, cursor=cursor)
    return schemas.MembersAnswer(
        members=[
            schemas.MemberAnswer(
                person_id=person.id,
                name=person.name,
                email=person.email,
                role=Role(membership.role),
                joined_at=membership.created_at,
            )
            for membership, person in page.items
        ],
        next_cursor=page.next_cursor,
    )


@router.patch(
    "/api/members/{person_id}",
    summary="Change a member's role",
    operation_id="change_member_role",
    status_code=204,
)
def change_role(session: Session, caller: Admin, person_id: str, body: schemas.RoleBody) -> None:
    """Give a member another role; an organization always keeps an owner."""
    members.change_role(session, caller, person_id, body.role, now=utc_now())


@router.delete("/api/members/{person_id}", summary="Remove a member", status_code=204)
def remove_member(session: Session, caller: Admin, person_id: str) -> None:
    """End a membership, with its sessions and tokens; an organization always keeps an owner."""
    members.remove_member(session, caller, person_id, now=utc_now())


@router.get("/api/invitations", summary="List open invitations")
def list_invitations(
    session: Session, caller: Admin, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> schemas.InvitationsAnswer:
    """The invitations that nobody has used yet, newest first."""
    page = links.list_invitations(
        session, caller.organization_id, limit=limit, cursor=cursor, now=utc_now()
    )
    return schemas.InvitationsAnswer(
        invitations=[schemas.InvitationAnswer.model_validate(link) for link, _ in page.items],
        next_cursor=page.next_cursor,
    )


@router.post(
    "/api/invitations", summary="Invite somebody", operation_id="create_invitation", status_code=201
)
def invite(
    request: Request, session: Session, caller: Admin, body: schemas.RoleBody
) -> schemas.NewInvitationAnswer:
    """Make a link by which one person may join within 7 days; it is shown in this answer only."""
    link, path = links.invite(session, caller, body.role, now=utc_now())
    return schemas.invitation_answer(link, base_url(request) + path)


@router.delete("/api/invitations/{invitation_id}", summary="Revoke an invitation", status_code=204)
def revoke_invitation(session: Session, caller: Admin, invitation_id: str) -> None:
    """Let an open invitation open nothing."""
    links.revoke_invitation(session, caller, invitation_id, now=utc_now())

"""About oneself: who am I, my sessions, my access tokens."""

from typing import Annotated, Any

from fastapi import Request
from sqlalchemy.orm import Session

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.problems import Forbidden
from mainstay_server.kernel.web import Cursor, Limit, Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role, SignInSession
from mainstay_server.tenancy.scopes import Scope
from mainstay_server.tenancy.service import people, sessions, tokens

from . import schemas

router = Router()

SignedIn = Annotated[Caller, access.signed_in()]
BROWSERS_ONLY: dict[str, Any] = {"security": [{"session": []}]}


@router.get("/api/me", summary="Who am I")
def get_me(session: Session, caller: SignedIn) -> schemas.MeAnswer:
    """The caller, the organization they act in, and all they are in."""
    organizations = [
        schemas.OrganizationAnswer(id=id_, name=name, role=Role(role))
        for id_, name, role in sessions.list_organizations(session, caller)
    ]
    return schemas.MeAnswer(
        id=caller.person_id,
        name=caller.person_name,
        email=caller.person_email,
        organization=schemas.OrganizationAnswer(
            id=caller.organization_id, name=caller.organization_name, role=caller.role
        ),
        organizations=organizations,
        scopes=list(caller.scopes) if caller.token_id else None,
    )


@router.post(
    "/api/me/organization",
    summary="Act in another organization",
    status_code=204,
    openapi_extra=BROWSERS_ONLY,
)
def switch_organization(session: Session, caller: SignedIn, body: schemas.SwitchBody) -> None:
    """Let this session act in another organization of the same person."""
    sessions.switch_organization(session, caller, body.organization_id, now=utc_now())


@router.post(
    "/api/me/password", summary="Change my password", status_code=204, openapi_extra=BROWSERS_ONLY
)
def change_password(request: Request, caller: SignedIn, body: schemas.PasswordBody) -> None:
    """Set a new password; every other session of the person ends."""
    _refuse_token(caller)
    address = request.client.host if request.client else ""
    # Hashing takes long on purpose: it happens before the transaction that writes.
    with reading() as session:
        new_hash = people.new_password_hash(
            session,
            caller,
            current=body.current_password,
            new=body.new_password,
            address=address,
            now=utc_now(),
        )
    with transaction() as session:
        people.change_password(session, caller, new_hash, now=utc_now())


@router.get("/api/sessions", summary="List my sessions")
def list_sessions(
    session: Session, caller: SignedIn, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> schemas.SessionsAnswer:
    """The caller's signed-in browsers, last seen first (to the minute)."""
    page = sessions.list_sessions(session, caller, limit=limit, cursor=cursor, now=utc_now())
    return schemas.SessionsAnswer(
        sessions=[_session(each, caller) for each in page.items], next_cursor=page.next_cursor
    )


@router.delete(
    "/api/sessions/{session_id}",
    summary="End one of my sessions",
    status_code=204,
    openapi_extra=BROWSERS_ONLY,
)
def end_session(session: Session, caller: SignedIn, session_id: str) -> None:
    """Sign one browser out."""
    _refuse_token(caller)
    sessions.end_session(session, caller, session_id, now=utc_now())


@router.delete("/api/sessions", summary="End all my other sessions", openapi_extra=BROWSERS_ONLY)
def end_other_sessions(session: Session, caller: SignedIn) -> schemas.EndedAnswer:
    """Sign every browser out but this one."""
    _refuse_token(caller)
    ended = sessions.end_other_sessions(session, caller, now=utc_now())
    return schemas.EndedAnswer(ended=ended)


@router.get("/api/tokens", summary="List my access tokens")
def list_tokens(
    session: Session, caller: SignedIn, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> schemas.TokensAnswer:
    """The caller's access tokens of this organization, newest first; never the tokens themselves.

    `lastUsedAt` is written once a minute.
    """
    page = tokens.list_tokens(session, caller, limit=limit, cursor=cursor)
    return schemas.TokensAnswer(
        tokens=[schemas.TokenAnswer.model_validate(token) for token in page.items],
        next_cursor=page.next_cursor,
    )


@router.post("/api/tokens", summary="Make an access token", status_code=201)
def create_token(
    session: Session, caller: SignedIn, body: schemas.TokenBody
) -> schemas.NewTokenAnswer:
    """Make a token that acts within the caller's role; it is shown in this answer only."""
    _refuse_weak_token(caller)
    made, token = tokens.create_token(
        session,
        caller,
        name=body.name,
        scopes=body.scopes,
        expires_at=body.expires_at,
        now=utc_now(),
    )
    known = schemas.TokenAnswer.model_validate(made)
    return schemas.NewTokenAnswer(**known.model_dump(), token=token)


@router.delete("/api/tokens/{token_id}", summary="Revoke an access token", status_code=204)
def revoke_token(session: Session, caller: SignedIn, token_id: str) -> None:
    """Make a token open nothing, at once."""
    _refuse_weak_token(caller)
    tokens.revoke_token(session, caller, token_id, now=utc_now())


def _refuse_token(caller: Caller) -> None:
    if caller.token_id:
        raise Forbidden("A token cannot do this; sign in with a browser.")


def _refuse_weak_token(caller: Caller) -> None:
    if not caller.may(Role.VIEWER, Scope.ORG_WRITE):
        raise Forbidden(f"The access token lacks the scope {Scope.ORG_WRITE}; make one with it.")


def _session(found: SignInSession, caller: Caller) -> schemas.SessionAnswer:
    return schemas.SessionAnswer(
        id=found.id,
        current=found.id == caller.session_id,
        address=found.address,
        client=found.client,
        created_at=found.created_at,
        last_seen_at=found.last_seen_at,
        expires_at=found.expires_at,
    )

"""A person's own page: password, signed-in browsers, access tokens."""

from typing import Annotated

from fastapi import Form
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.frame import done_or_refused, organization_frame, redirect_with
from mainstay_server.tenancy.scopes import Scope
from mainstay_server.tenancy.service import people, sessions, tokens
from mainstay_server.ui import render

from .cookies import client_of
from .forms import Text

router = Router()

PATH = "/dashboard/account"

SignedIn = Annotated[Caller, access.in_browser()]


@router.get(PATH)
def show_account(request: Request, session: Session, caller: SignedIn) -> Response:
    """The person's own password, browsers and tokens."""
    return _page(request, session, caller)


@router.post(f"{PATH}/password")
def change_password(
    request: Request, caller: SignedIn, current_password: Text = "", new_password: Text = ""
) -> Response:
    """Set a new password, hashed before the transaction that writes it."""
    try:
        with reading() as session:
            new_hash = people.new_password_hash(
                session,
                caller,
                current=current_password,
                new=new_password,
                address=client_of(request)["address"],
                now=utc_now(),
            )
        with transaction() as session:
            people.change_password(session, caller, new_hash, now=utc_now())
    except Problem as problem:
        return redirect_with(PATH, problem.detail, "critical")
    return redirect_with(PATH, "The password was changed; your other browsers were signed out.")


@router.post(f"{PATH}/sessions/{{session_id}}/end")
def end_session(session: Session, caller: SignedIn, session_id: str) -> Response:
    """Sign one browser out."""
    return done_or_refused(
        session,
        lambda: sessions.end_session(session, caller, session_id, now=utc_now()),
        path=PATH,
        done="The browser was signed out.",
    )


@router.post(f"{PATH}/sessions/end-others")
def end_other_sessions(session: Session, caller: SignedIn) -> Response:
    """Sign every other browser out."""
    return done_or_refused(
        session,
        lambda: sessions.end_other_sessions(session, caller, now=utc_now()),
        path=PATH,
        done="All your other browsers were signed out.",
    )


@router.post(f"{PATH}/tokens")
def create_token(
    request: Request,
    session: Session,
    caller: SignedIn,
    name: Text = "",
    scopes: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """Make a token and show it on the answering page, the only one that ever does."""
    try:
        with session.begin_nested():
            _, token = tokens.create_token(
                session, caller, name=name, scopes=scopes or (), expires_at=None, now=utc_now()
            )
    except Problem as problem:
        return redirect_with(PATH, problem.detail, "critical")
    return _page(request, session, caller, new_token=token)


@router.post(f"{PATH}/tokens/{{token_id}}/revoke")
def revoke_token(session: Session, caller: SignedIn, token_id: str) -> Response:
    """Make a token open nothing."""
    return done_or_refused(
        session,
        lambda: tokens.revoke_token(session, caller, token_id, now=utc_now()),
        path=PATH,
        done="The token was revoked.",
    )


@router.post(f"{PATH}/organization")
def switch_organization(session: Session, caller: SignedIn, organization_id: Text = "") -> Response:
    """Act in another organization of the same person."""
    return done_or_refused(
        session,
        lambda: sessions.switch_organization(session, caller, organization_id, now=utc_now()),
        path="/dashboard",
        done="You see another organization now.",
    )


def _page(request: Request, session: Session, caller: Caller, *, new_token: str = "") -> Response:
    now, asked = utc_now(), request.query_params
    browsers = sessions.list_sessions(session, caller, cursor=asked.get("sessions", ""), now=now)
    made = tokens.list_tokens(session, caller, cursor=asked.get("tokens", ""))
    return render(
        request,
        "tenancy/account.html",
        **organization_frame(request, page="account", now=now),
        organizations=sessions.list_organizations(session, caller),
        sessions=browsers.items,
        more_sessions=browsers.next_cursor,
        tokens=made.items,
        more_tokens=made.next_cursor,
        new_token=new_token,
        scopes=list(Scope),
    )

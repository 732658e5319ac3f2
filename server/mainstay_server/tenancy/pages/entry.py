"""The ways in and out: sign in, first set-up, joining by invitation, signing out."""

from typing import Annotated

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.web import Router, csrf_token, refuse_foreign
from mainstay_server.tenancy import access
from mainstay_server.tenancy.access import SESSION_COOKIE
from mainstay_server.tenancy.callers import Caller, find_caller
from mainstay_server.tenancy.frame import redirect_with
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.service import links, people, sessions, setup
from mainstay_server.tenancy.service.backing import INVITATION
from mainstay_server.tenancy.service.passwords import hash_password, refuse_weak
from mainstay_server.tenancy.service.people import Checked, Newcomer
from mainstay_server.ui import render

from .cookies import client_of, drop_session_cookie, local_path, set_session_cookie
from .forms import Text, faults

router = Router()

WRONG = "The address or the password is wrong."


@router.get("/", dependencies=[access.public("leads to the overview")])
def go_in() -> Response:
    """Lead to the overview."""
    return RedirectResponse("/dashboard", status_code=303)


@router.get("/login", dependencies=[access.public("the way in")])
def show_login(request: Request, next: str = "/dashboard") -> Response:  # noqa: A002 - the URL's word
    """The sign-in form."""
    return render(request, "tenancy/login.html", next=local_path(next), email="", error="")


@router.post("/login", dependencies=[access.public("the way in; tries are counted")])
def sign_in(
    request: Request,
    email: Text = "",
    password: Text = "",
    next: Text = "/dashboard",  # noqa: A002 - the form's word
) -> Response:
    """Check the password outside any transaction, since it takes long; then open a session."""
    refuse_foreign(request)
    client = client_of(request)
    error, status = WRONG, 401
    checked = None
    try:
        with reading() as session:
            checked = people.check_password(
                session,
                email=email,
                password=password,
                address=client["address"],
                now=utc_now(),
            )
        if checked is not None:
            return _signed_in(checked, client, local_path(next))
        with transaction() as session:
            people.refuse_sign_in(session, email=email, now=utc_now())
    except Problem as problem:
        error, status = problem.detail, problem.status
        if problem.retry_after_seconds is not None:
            minutes = max(1, round(problem.retry_after_seconds / 60))
            error = f"Too many tries; try again in {minutes} min."
    return render(
        request,
        "tenancy/login.html",
        status_code=status,
        next=local_path(next),
        email=email,
        error=error,
    )


@router.post("/logout")
def sign_out(session: Session, caller: Annotated[Caller, access.in_browser()]) -> Response:
    """End this session."""
    sessions.sign_out(session, caller, now=utc_now())
    answer = RedirectResponse("/login", status_code=303)
    drop_session_cookie(answer)
    return answer


@router.get("/set-up/{token}", dependencies=[access.public("opened by a one-time link")])
def show_set_up(request: Request, session: Session, token: str) -> Response:
    """The form of the first owner."""
    links.get_link(session, token, links.SET_UP, now=utc_now())
    empty = {"email": "", "name": "", "organization_name": ""}
    return render(request, "tenancy/set_up.html", values=empty, errors={}, error="")


@router.post("/set-up/{token}", dependencies=[access.public("opened by a one-time link")])
def set_up(
    request: Request,
    token: str,
    email: Text = "",
    name: Text = "",
    password: Text = "",
    organization_name: Text = "",
) -> Response:
    """Make the first owner and sign them in."""
    refuse_foreign(request)
    with reading() as session:
        links.get_link(session, token, links.SET_UP, now=utc_now())
    try:
        refuse_weak(password, email=email)
        owner = Newcomer(email=email, name=name, password_hash=hash_password(password))
        with transaction() as session:
            person_id = setup.finish_set_up(
                session, token, owner, organization_name=organization_name, now=utc_now()
            )
    except Problem as problem:
        values = {"email": email, "name": name, "organization_name": organization_name}
        return render(
            request,
            "tenancy/set_up.html",
            status_code=problem.status,
            values=values,
            errors=faults(problem),
            error="" if problem.errors else problem.detail,
        )
    checked = Checked(person_id=person_id, way="set-up link")
    return _signed_in(checked, client_of(request), "/dashboard")


@router.get("/join/{token}", dependencies=[access.public("opened by a one-time link")])
def show_join(request: Request, session: Session, token: str) -> Response:
    """The form of somebody who was invited; one who is signed in only has to agree."""
    return _join_page(request, session, token)


@router.post("/join/{token}", dependencies=[access.public("opened by a one-time link")])
def join(
    request: Request, token: str, email: Text = "", name: Text = "", password: Text = ""
) -> Response:
    """Make an account, become a member, and sign in."""
    refuse_foreign(request)
    with reading() as session:
        links.get_link(session, token, INVITATION, now=utc_now())
    try:
        refuse_weak(password, email=email)
        newcomer = Newcomer(email=email, name=name, password_hash=hash_password(password))
        with transaction() as session:
            person = links.join_as_new(session, token, INVITATION, newcomer, now=utc_now())
            person_id = person.id
    except Problem as problem:
        with reading() as session:
            return _join_page(
                request, session, token, values={"email": email, "name": name}, problem=problem
            )
    checked = Checked(person_id=person_id, way="invitation")
    return _signed_in(checked, client_of(request), "/dashboard")


@router.post("/join/{token}/agree")
def agree(session: Session, caller: Annotated[Caller, access.in_browser()], token: str) -> Response:
    """Let somebody with an account into one more organization, and show it to them."""
    organization_id = links.join_as_known(session, token, person_id=caller.person_id, now=utc_now())
    sessions.switch_organization(session, caller, organization_id, now=utc_now())
    return redirect_with("/dashboard", "You are a member now.")


def _join_page(
    request: Request,
    session: Session,
    token: str,
    *,
    values: dict[str, str] | None = None,
    problem: Problem | None = None,
) -> Response:
    link, organization = links.get_link(session, token, INVITATION, now=utc_now())
    cookie = request.cookies.get(SESSION_COOKIE, "")
    known = find_caller(session, authorization="", cookie=cookie, now=utc_now())
    return render(
        request,
        "tenancy/join.html",
        status_code=problem.status if problem else 200,
        organization=organization,
        role=Role(link.role),
        token=token,
        known=known,
        csrf_token=csrf_token(known.session_id) if known else "",
        values=values or {"email": "", "name": ""},
        errors=faults(problem) if problem else {},
        error=problem.detail if problem and not problem.errors else "",
    )


def _signed_in(checked: Checked, client: dict[str, str], path: str) -> Response:
    with transaction() as session:
        signed_in = people.sign_in(session, checked, now=utc_now(), **client)
    answer = RedirectResponse(path, status_code=303)
    set_session_cookie(answer, signed_in.cookie)
    return answer

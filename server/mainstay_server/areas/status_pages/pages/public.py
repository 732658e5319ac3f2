"""What everybody sees: the page in all its forms, badges, and the forms that strangers fill in."""

from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import Form
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.status_pages.models import StatusPage, SubscriberKind, Visibility
from mainstay_server.areas.status_pages.service import (
    badges,
    entering,
    keeping,
    rendering,
    subscribers,
)
from mainstay_server.areas.status_pages.service.answering import (
    BASE,
    chosen,
    headers_of,
    matches,
)
from mainstay_server.areas.status_pages.service.keeping import NOT_HERE, Document, Kept
from mainstay_server.areas.status_pages.service.subscribers import CONFIRM, SUBSCRIPTION
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import NotFound, Problem, TooManyRequests
from mainstay_server.kernel.web import Router, problem_response, refuse_foreign
from mainstay_server.tenancy import access
from mainstay_server.tenancy.access import SESSION_COOKIE, is_secure

router = Router(include_in_schema=False)
FOR_READERS = access.public("a status page is for its readers; a private one asks for itself")
BY_LINK = access.public("who has the signed link of a subscription may change it")
BY_SIGNATURE = access.public("the signature in its path opens a badge")
FOR_MACHINES = (".json", ".rss", ".atom")
ASSET_SECONDS = 60
FORBIDDEN = 403


@router.get("/status/{slug}", dependencies=[FOR_READERS])
def show_page(request: Request, slug: str) -> Response:
    """The page itself."""
    return _shown(request, slug, "")


@router.get("/status/{slug}/badge/{signature}/{kind}/{one}/{file}", dependencies=[BY_SIGNATURE])
def show_badge(slug: str, signature: str, kind: str, one: str, file: str) -> Response:
    """A badge; 404 for a path that nobody was given, whatever is wrong with it."""
    page = keeping.get(slug, now=utc_now())
    known = next((each for each in badges.KINDS if each == kind), None)
    about, _, form = file.partition(".")
    if known is None or form not in badges.FORMS or about not in badges.ABOUT:
        raise NotFound(NOT_HERE)
    facts = page.facts
    if not badges.is_signed(signature, facts.id, known, one, facts.badge_version):
        raise NotFound(NOT_HERE)
    badge = badges.badge_of(facts, known, one, about)
    if badge is None:
        raise NotFound(NOT_HERE)
    return Response(
        badges.drawn(badge, form),
        media_type=badges.FORMS[form],
        headers={
            "cache-control": f"public, max-age={ASSET_SECONDS}",
            "content-security-policy": "default-src 'none'; sandbox",
            "cross-origin-resource-policy": "cross-origin",
            "access-control-allow-origin": "*",
        },
    )


@router.get("/status/{slug}/confirm/{token}", dependencies=[BY_LINK])
def show_confirm(request: Request, session: Session, slug: str, token: str) -> Response:
    """A button, since programs that look into mails follow links, but press no buttons."""
    page, kept = _page_of(session, slug)
    found = subscribers.find_by_token(session, page, token, CONFIRM)
    if found is None:
        return _message(request, kept, "gone", status_code=404)
    action = f"{_base(request, slug)}/confirm/{token}"
    return _message(request, kept, "confirm", address=subscribers.shown(found), action=action)


@router.post("/status/{slug}/confirm/{token}", dependencies=[BY_LINK])
def confirm(request: Request, session: Session, slug: str, token: str) -> Response:
    """The subscriber wants it."""
    page, kept = _page_of(session, slug)
    found = subscribers.find_by_token(session, page, token, CONFIRM)
    if found is None:
        return _message(request, kept, "gone", status_code=404)
    subscribers.confirm(session, found, now=utc_now())
    return _message(request, kept, "confirmed", address=subscribers.shown(found))


@router.get("/status/{slug}/subscription/{token}", dependencies=[BY_LINK])
def show_subscription(request: Request, session: Session, slug: str, token: str) -> Response:
    """What somebody is told of, to be changed or ended."""
    page, kept = _page_of(session, slug)
    return _subscription(request, session, page, kept, token)


@router.post("/status/{slug}/subscription/{token}", dependencies=[BY_LINK])
def unsubscribe(request: Request, session: Session, slug: str, token: str) -> Response:
    """End a subscription: by the button of its page, or by a mailbox's one click (RFC 8058)."""
    page, kept = _page_of(session, slug)
    found = subscribers.find_by_token(session, page, token, SUBSCRIPTION)
    if found is None:  # ended before: who asks twice gets what they want
        return _message(request, kept, "gone")
    address = subscribers.shown(found)
    subscribers.unsubscribe(session, found)
    return _message(request, kept, "unsubscribed", address=address)


@router.post("/status/{slug}/subscription/{token}/scope", dependencies=[BY_LINK])
def choose_scope(
    request: Request,
    session: Session,
    slug: str,
    token: str,
    component: Annotated[list[str], Form(max_length=200)] = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """Be told of some components only, or of all."""
    page, kept = _page_of(session, slug)
    found = subscribers.find_by_token(session, page, token, SUBSCRIPTION)
    if found is not None:
        subscribers.choose_components(session, page, found, component)
    return _subscription(request, session, page, kept, token, saved=True)


@router.post("/status/{slug}/enter", dependencies=[FOR_READERS])
def enter(
    request: Request, slug: str, password: Annotated[str, Form(max_length=200)] = ""
) -> Response:
    """Let somebody in who knows the password, for 30 days or until there is another one."""
    refuse_foreign(request)
    now = utc_now()
    page = keeping.get(slug, now=now)
    if page.facts.access.visibility != Visibility.PASSWORD:
        raise NotFound(NOT_HERE)
    if not entering.may_try(page.facts, address=_address(request), now=now):
        return _message(request, page, "password", problem="too_often", status_code=429)
    with reading() as session:
        row, _ = _page_of(session, slug)
    if not entering.knows_password(row, password):
        return _message(request, page, "password", problem="wrong_password", status_code=FORBIDDEN)
    answer = RedirectResponse(_base(request, slug) or "/", status_code=303)
    answer.set_cookie(
        entering.cookie_name(page.facts),
        entering.cookie_for(page.facts),
        max_age=entering.REMEMBERED_SECONDS,
        path=_base(request, slug) or "/",
        httponly=True,
        samesite="lax",
        secure=is_secure() or BASE in request.scope,
    )
    return answer


@router.post("/status/{slug}/subscribe", dependencies=[FOR_READERS])
def subscribe(
    request: Request,
    slug: str,
    email: Annotated[str, Form(max_length=300)] = "",
    webhook: Annotated[str, Form(max_length=2000)] = "",
    component: Annotated[list[str], Form(max_length=200)] = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """Ask to be told. What comes back tells nobody who is subscribed already."""
    refuse_foreign(request)
    now = utc_now()
    page = keeping.get(slug, now=now)
    _refuse_strangers(request, page)
    kind = SubscriberKind.WEBHOOK if webhook else SubscriberKind.EMAIL
    if not (page.facts.takes_webhooks if webhook else page.facts.takes_emails):
        raise NotFound(NOT_HERE)
    address = subscribers.checked_webhook(webhook) if webhook else subscribers.checked_email(email)
    if not entering.may_sign_up(address=_address(request), now=now):
        raise TooManyRequests("Too many sign-ups from your network; try again in an hour.")
    hashed = subscribers.hash_address(kind, address)
    if not entering.may_be_mailed(hashed, now=now):
        return _message(request, page, "asked")
    with transaction() as session:
        row, _ = _page_of(session, slug)
        secret = subscribers.subscribe(session, row, kind, address, component, now=now)
    if kind is SubscriberKind.WEBHOOK:
        return _message(request, page, "asked_webhook", secret=secret)
    return _message(request, page, "asked")


@router.get("/status/{slug}/{name:path}", dependencies=[FOR_READERS])
def show_document(request: Request, slug: str, name: str) -> Response:
    """Whatever else a page has: its history, an incident, a feed, its API."""
    try:
        return _shown(request, slug, name.rstrip("/"))
    except Problem as problem:
        if name.endswith(FOR_MACHINES):
            return problem_response(problem, request.url.path)
        raise


def _shown(request: Request, slug: str, name: str) -> Response:
    now = utc_now()
    page = keeping.get(slug, now=now)
    refused = _refusal(request, page, name)
    if refused is not None:
        return refused
    document = page.document(name, _base(request, slug), now=now)
    if document is None:
        raise NotFound(NOT_HERE)
    return _answer(request, page, document)


def _refusal(request: Request, page: Kept, name: str) -> Response | None:
    """The form for a password, where one is asked for; None for who may see the page."""
    if page.facts.access.visibility == Visibility.PASSWORD:
        cookie = request.cookies.get(entering.cookie_name(page.facts), "")
        if entering.has_entered(page.facts, cookie):
            return None
        if not name:
            return _message(request, page, "password", problem="", status_code=FORBIDDEN)
        raise NotFound(NOT_HERE)
    _refuse_strangers(request, page)
    return None


def _refuse_strangers(request: Request, page: Kept) -> None:
    """A page that is not for somebody is as absent as one that never was."""
    visibility = page.facts.access.visibility
    if visibility == Visibility.PASSWORD:
        cookie = request.cookies.get(entering.cookie_name(page.facts), "")
        if not entering.has_entered(page.facts, cookie):
            raise NotFound(NOT_HERE)
        return
    if visibility == Visibility.MEMBERS:
        with reading() as session:
            known = entering.is_member(
                session,
                page.facts,
                authorization=request.headers.get("authorization", ""),
                cookie=request.cookies.get(SESSION_COOKIE, ""),
                now=utc_now(),
            )
        if not known:
            raise NotFound(NOT_HERE)
        return
    if not entering.is_open_to(page.facts, address=_address(request)):
        raise NotFound(NOT_HERE)


def _answer(request: Request, page: Kept, document: Document) -> Response:
    form = chosen(document, request.headers.get("accept-encoding", "").encode())
    headers = headers_of(page, document, form)
    is_same = matches(form.etag, request.headers.get("if-none-match", "").encode())
    answer = Response(b"" if is_same else form.body, status_code=304 if is_same else 200)
    length = [pair for pair in answer.raw_headers if pair[0] == b"content-length" and not is_same]
    answer.raw_headers = [*headers, *length]
    return answer


def _message(
    request: Request,
    page: Kept,
    kind: str,
    *,
    status_code: int = 200,
    **context: Any,  # noqa: ANN401 - whatever the template shows
) -> Response:
    made = rendering.message(page.facts, kind, base=_base(request, page.facts.slug), **context)
    return Response(
        made.body,
        status_code=status_code,
        media_type=made.media_type,
        headers={**made.headers, "cache-control": "no-store", "referrer-policy": "no-referrer"},
    )


def _subscription(
    request: Request,
    session: Session,
    page: StatusPage,
    kept: Kept,
    token: str,
    *,
    saved: bool = False,
) -> Response:
    found = subscribers.find_by_token(session, page, token, SUBSCRIPTION)
    if found is None:
        return _message(request, kept, "gone", status_code=404)
    return _message(
        request,
        kept,
        "subscription",
        address=subscribers.shown(found),
        action=f"{_base(request, page.slug)}/subscription/{token}",
        chosen=found.component_ids,
        saved=saved,
    )


def _page_of(session: Session, slug: str) -> tuple[StatusPage, Kept]:
    """A published page as it lies in the database, and as it is kept."""
    kept = keeping.get(slug, now=utc_now())
    row = session.scalar(
        sa.select(StatusPage).where(StatusPage.id == kept.facts.id, StatusPage.published)
    )
    if row is None:
        raise NotFound(NOT_HERE)
    return row, kept


def _base(request: Request, slug: str) -> str:
    base: str = request.scope.get(BASE, f"/status/{slug}")
    return base


def _address(request: Request) -> str:
    return request.client.host if request.client else ""

"""Subscribers: who asked to be told, whether they confirmed it, and what of it concerns them."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.status_pages.models import (
    StatusNotice,
    StatusPage,
    StatusSubscriber,
    SubscriberKind,
)
from mainstay_server.areas.status_pages.schemas.events import StatusConfirmationDue
from mainstay_server.areas.status_pages.settings import StatusPageSettings
from mainstay_server.contracts.status_pages import StatusSubscriberRemoved
from mainstay_server.kernel.database import new_id, rows_changed
from mainstay_server.kernel.events import say
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.kernel.settings import of, secret_key
from mainstay_server.kernel.standard_webhooks import new_secret
from mainstay_server.kernel.web.signing import sign, unsign

from .components import list_components

MOST_SUBSCRIBERS = 10_000
MOST_UNCONFIRMED = 1_000
MOST_REMOVED_AT_ONCE = 1_000
MOST_NOTICES_AT_ONCE = 20_000
NOTICES_KEPT = timedelta(days=90)
LONGEST_EMAIL = 254
LONGEST_URL = 2_000
TOO_MANY_FAILURES = 10
ASK_AGAIN_AFTER = timedelta(hours=1)
CONFIRM = "status-confirm"
SUBSCRIPTION = "status-subscription"
YEARS = 20 * 366 * 86_400  # a link at the end of an old mail has to work

_EMAIL = re.compile(r"[^\s@,;:<>()\[\]\"\\]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


def checked_email(email: str) -> str:
    """An address in lower case. Raises `Invalid` for what is none."""
    email = email.strip().lower()
    if len(email) > LONGEST_EMAIL or not email.isascii() or not _EMAIL.fullmatch(email):
        raise Invalid.of_field("email", "email must be one address, such as me@example.com.")
    return email


def checked_webhook(url: str) -> str:
    """An http or https URL without credentials. Raises `Invalid` for anything else."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and not (parts.username or parts.password)
        _ = parts.port
    except ValueError:
        parts, sound = urlsplit(""), False
    long = len(url) > LONGEST_URL or not url.isprintable() or " " in url
    if not sound or long or parts.scheme not in ("http", "https"):
        raise Invalid.of_field(
            "webhook",
            "webhook must be a URL with https:// or http:// and without a password in it.",
        )
    return url


def subscribe(
    session: Session,
    page: StatusPage,
    kind: SubscriberKind,
    address: str,
    component_ids: Iterable[str],
    *,
    now: datetime,
) -> str:
    """Note that somebody asked to be told, and order the message by which they confirm it.

    The answer is the same whether or not the address is subscribed already: who asks need not be
    whose it is. One that asked within the hour is not sent another message. Returns the secret that
    signs what a new webhook is sent, "" otherwise.

    Raises:
        Conflict: the page takes no more.
    """
    known = session.scalar(
        sa.select(StatusSubscriber).where(
            StatusSubscriber.page_id == page.id,
            StatusSubscriber.address_hash == hash_address(kind, address),
        )
    )
    if known is not None:
        if now - known.asked_at >= ASK_AGAIN_AFTER and kind is SubscriberKind.EMAIL:
            known.asked_at = now
            say(session, StatusConfirmationDue(subscriber_id=known.id), now=now)
        return new_secret() if kind is SubscriberKind.WEBHOOK else ""
    _refuse_too_many(session, page)
    secret = new_secret() if kind is SubscriberKind.WEBHOOK else ""
    subscriber = StatusSubscriber(
        id=new_id(),
        page_id=page.id,
        kind=kind,
        address=address,
        address_hash=hash_address(kind, address),
        secret=secret,
        component_ids=known_components(session, page, component_ids),
        created_at=now,
        asked_at=now,
    )
    session.add(subscriber)
    session.flush()
    say(session, StatusConfirmationDue(subscriber_id=subscriber.id), now=now)
    return secret


def confirm(session: Session, subscriber: StatusSubscriber, *, now: datetime) -> None:
    """Take down that the subscriber wants it; a second time changes nothing."""
    subscriber.confirmed_at = subscriber.confirmed_at or now
    session.flush()


def choose_components(
    session: Session, page: StatusPage, subscriber: StatusSubscriber, wanted: Iterable[str]
) -> None:
    """Say which components a subscriber is told of; none is all."""
    subscriber.component_ids = known_components(session, page, wanted)
    session.flush()


def unsubscribe(session: Session, subscriber: StatusSubscriber) -> None:
    """End a subscription, as the subscriber wished: nothing of it is kept."""
    session.delete(subscriber)
    session.flush()


def remove_subscriber(
    session: Session, page: StatusPage, subscriber_id: str, *, now: datetime
) -> None:
    """End the subscription of somebody else.

    Raises:
        NotFound: the page has no such subscriber.
    """
    found = session.get(StatusSubscriber, subscriber_id)
    if found is None or found.page_id != page.id:
        raise NotFound("The page has no such subscriber; its list has the ids of all.")
    removed = StatusSubscriberRemoved(
        organization_id=page.organization_id,
        page_id=page.id,
        subscriber_id=found.id,
        shown=shown(found),
    )
    say(session, removed, now=now)
    session.delete(found)
    session.flush()


def list_subscribers(
    session: Session, page_id: str, *, limit: int, after: str = ""
) -> Sequence[StatusSubscriber]:
    """The subscribers of a page in the order they came; `after` is the id of the one before."""
    return session.scalars(
        sa.select(StatusSubscriber)
        .where(StatusSubscriber.page_id == page_id, StatusSubscriber.id > after)
        .order_by(StatusSubscriber.id)
        .limit(limit)
    ).all()


def count_subscribers(session: Session, page_id: str) -> int:
    """How many confirmed that they want to be told."""
    return (
        session.scalar(
            sa.select(sa.func.count()).where(
                StatusSubscriber.page_id == page_id, StatusSubscriber.confirmed_at.is_not(None)
            )
        )
        or 0
    )


def token_for(subscriber: StatusSubscriber, purpose: str) -> str:
    """What stands in a link to confirm, or to change and end a subscription."""
    return sign(subscriber.id, purpose=purpose)


def find_by_token(
    session: Session, page: StatusPage, token: str, purpose: str
) -> StatusSubscriber | None:
    """Whose link it is; None when it was changed, is too old, or the subscription is gone."""
    oldest = of(StatusPageSettings).status_keep_unconfirmed_hours * 3600
    found = unsign(token, purpose=purpose, max_age_seconds=oldest if purpose == CONFIRM else YEARS)
    subscriber = session.get(StatusSubscriber, found) if isinstance(found, str) else None
    return subscriber if subscriber is not None and subscriber.page_id == page.id else None


def remove_unconfirmed(session: Session, *, now: datetime) -> int:
    """Forget those who never confirmed, and webhooks that failed again and again; how many."""
    hours = of(StatusPageSettings).status_keep_unconfirmed_hours
    gone = (
        sa.select(StatusSubscriber.id)
        .where(
            sa.or_(
                sa.and_(
                    StatusSubscriber.confirmed_at.is_(None),
                    StatusSubscriber.asked_at < now - timedelta(hours=hours),
                ),
                StatusSubscriber.failures >= TOO_MANY_FAILURES,
            )
        )
        .limit(MOST_REMOVED_AT_ONCE)
    )
    return rows_changed(session, sa.delete(StatusSubscriber).where(StatusSubscriber.id.in_(gone)))


def remove_old_notices(session: Session, *, now: datetime) -> int:
    """Forget what was told more than 90 days ago, so that notices do not pile up; how many."""
    old = (
        sa.select(StatusNotice.id)
        .where(StatusNotice.created_at < now - NOTICES_KEPT)
        .limit(MOST_NOTICES_AT_ONCE)
    )
    return rows_changed(session, sa.delete(StatusNotice).where(StatusNotice.id.in_(old)))


def shown(subscriber: StatusSubscriber) -> str:
    """A subscriber as others may see it: the beginning of the name, or the host of a webhook."""
    if subscriber.kind == SubscriberKind.WEBHOOK:
        return f"{urlsplit(subscriber.address).hostname}/…"
    name, _, domain = subscriber.address.rpartition("@")
    return f"{name[:2]}…@{domain}"


def concerns(subscriber: StatusSubscriber, component_ids: Iterable[str]) -> bool:
    """Whether what affects some components is for a subscriber; what names none is for all."""
    affected = set(component_ids)
    chosen = set(subscriber.component_ids)
    return not chosen or not affected or bool(chosen & affected)


def known_components(session: Session, page: StatusPage, wanted: Iterable[str]) -> list[str]:
    """Those of the ids that are on the page, in its order."""
    ids = set(wanted)
    return [each.id for each in list_components(session, page.id) if each.id in ids]


def hash_address(kind: SubscriberKind, address: str) -> str:
    """What an address is found by, since it lies sealed; of use to nobody without our key."""
    text = f"status subscriber:{kind}:{address}".encode()
    return hmac.new(secret_key(), text, hashlib.sha256).hexdigest()


def _refuse_too_many(session: Session, page: StatusPage) -> None:
    total, confirmed = session.execute(
        sa.select(
            sa.func.count(StatusSubscriber.id), sa.func.count(StatusSubscriber.confirmed_at)
        ).where(StatusSubscriber.page_id == page.id)
    ).one()
    if confirmed >= MOST_SUBSCRIBERS or total - confirmed >= MOST_UNCONFIRMED:
        raise Conflict("The page takes no more subscribers at the moment; use its feed, please.")

"""Telling: which subscribers an update goes to, and what the message to each of them says."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from html import escape

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.status_pages.models import (
    StatusComponent,
    StatusMaintenance,
    StatusNotice,
    StatusPage,
    StatusReport,
    StatusReportComponent,
    StatusSubscriber,
    StatusUpdate,
    SubscriberKind,
)
from mainstay_server.areas.status_pages.schemas.events import StatusNoticeDue, StatusUpdateSaid
from mainstay_server.areas.status_pages.schemas.parcels import Parcel
from mainstay_server.kernel.clock import rfc3339
from mainstay_server.kernel.database import insert, new_id
from mainstay_server.kernel.events import say
from mainstay_server.kernel.markdown import to_html
from mainstay_server.ui.mail import Brand, Written, write_mail

from .reading import page_url
from .subscribers import CONFIRM, SUBSCRIPTION, concerns, confirm, token_for
from .words import Words

MOST_AT_ONCE = 500
LONGEST_ERROR = 500


def spread(session: Session, event: StatusUpdateSaid, *, now: datetime) -> None:
    """Write down to whom an update goes: 500 subscribers, and then say who comes after them.

    A subscriber gets one notice per update, also when this is heard again.
    """
    update = session.get(StatusUpdate, event.update_id)
    page = session.get(StatusPage, event.page_id)
    if update is None or page is None or not page.published:
        return
    found = session.scalars(
        sa.select(StatusSubscriber)
        .where(
            StatusSubscriber.page_id == page.id,
            StatusSubscriber.confirmed_at.is_not(None),
            StatusSubscriber.id > event.after,
        )
        .order_by(StatusSubscriber.id)
        .limit(MOST_AT_ONCE)
    ).all()
    affected = _affected(session, update)
    for subscriber in found:
        if concerns(subscriber, affected):
            _put(session, update, subscriber, now=now)
    if len(found) == MOST_AT_ONCE:
        rest = StatusUpdateSaid(page_id=page.id, update_id=update.id, after=found[-1].id)
        say(session, rest, now=now)


def find_notice_parcel(session: Session, notice_id: str) -> Parcel | None:
    """What a sender has to carry; None when the subscriber or the update is gone, or has it."""
    notice = session.get(StatusNotice, notice_id)
    if notice is None or notice.delivered_at is not None:
        return None
    subscriber = session.get_one(StatusSubscriber, notice.subscriber_id)
    update = session.get_one(StatusUpdate, notice.update_id)
    page = session.get_one(StatusPage, subscriber.page_id)
    if update.report_id is not None:
        return _of_report(session, page, subscriber, update)
    return _of_maintenance(session, page, subscriber, update)


def find_confirmation_parcel(session: Session, subscriber_id: str) -> Parcel | None:
    """The message by which a subscriber confirms; None when there is no such one any more."""
    subscriber = session.get(StatusSubscriber, subscriber_id)
    if subscriber is None:
        return None
    page = session.get_one(StatusPage, subscriber.page_id)
    if subscriber.kind == SubscriberKind.WEBHOOK:
        return None if subscriber.confirmed_at else _challenge(page, subscriber)
    words = Words(page.language, page.time_zone)
    again = subscriber.confirmed_at is not None
    kind = "already" if again else "confirm"
    url = subscription_url(page, subscriber) if again else confirmation_url(page, subscriber)
    text = words(f"{kind}_text", name=page.name)
    closing = "" if again else words("confirm_else")
    return _mail(
        page,
        subscriber,
        subject=words(f"{kind}_subject", name=page.name),
        lines=[],
        html=f"<p>{escape(text)}</p>",
        url=url,
        button=words("manage" if again else "confirm"),
        foot=closing,
        thread=f"confirm-{subscriber.id}",
        at=subscriber.asked_at,
        may_end=again,
    )


def record_told(session: Session, notice_id: str, *, now: datetime) -> None:
    """A subscriber has the notice."""
    notice = session.get(StatusNotice, notice_id)
    if notice is None:
        return
    notice.delivered_at, notice.last_error = now, ""
    subscriber = session.get_one(StatusSubscriber, notice.subscriber_id)
    subscriber.last_delivered_at, subscriber.failures, subscriber.last_error = now, 0, ""


def record_not_told(session: Session, notice_id: str, *, reason: str) -> None:
    """No try is left for a notice; who fails again and again is forgotten by the next clearing."""
    notice = session.get(StatusNotice, notice_id)
    if notice is None:
        return
    notice.last_error = reason[:LONGEST_ERROR]
    subscriber = session.get_one(StatusSubscriber, notice.subscriber_id)
    subscriber.failures += 1
    subscriber.last_error = notice.last_error


def record_proven(session: Session, subscriber_id: str, *, now: datetime) -> None:
    """A webhook answered with the challenge: whoever runs it wants to be told."""
    subscriber = session.get(StatusSubscriber, subscriber_id)
    if subscriber is not None and subscriber.kind == SubscriberKind.WEBHOOK:
        confirm(session, subscriber, now=now)


def record_unproven(session: Session, subscriber_id: str, *, reason: str) -> None:
    """No message to confirm reached a subscriber."""
    subscriber = session.get(StatusSubscriber, subscriber_id)
    if subscriber is not None:
        subscriber.last_error = reason[:LONGEST_ERROR]


def confirmation_url(page: StatusPage, subscriber: StatusSubscriber) -> str:
    """Where a subscriber confirms: a page with a button, since scanners follow links in mails."""
    return f"{page_url(page)}/confirm/{token_for(subscriber, CONFIRM)}"


def subscription_url(page: StatusPage, subscriber: StatusSubscriber) -> str:
    """Where a subscriber changes or ends the subscription; a POST to it ends it (RFC 8058)."""
    return f"{page_url(page)}/subscription/{token_for(subscriber, SUBSCRIPTION)}"


def _put(
    session: Session, update: StatusUpdate, subscriber: StatusSubscriber, *, now: datetime
) -> None:
    notice_id = session.scalar(
        insert(StatusNotice)
        .values(
            id=new_id(),
            update_id=update.id,
            subscriber_id=subscriber.id,
            last_error="",
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(StatusNotice.id)
    )
    if notice_id is not None:
        due = StatusNoticeDue(notice_id=notice_id, subscriber_id=subscriber.id)
        say(session, due, now=now)


def _affected(session: Session, update: StatusUpdate) -> Sequence[str]:
    if update.maintenance_id is not None:
        return session.get_one(StatusMaintenance, update.maintenance_id).component_ids
    return session.scalars(
        sa.select(StatusReportComponent.component_id).where(
            StatusReportComponent.report_id == update.report_id
        )
    ).all()


def _names(session: Session, ids: Sequence[str]) -> list[str]:
    return list(
        session.scalars(
            sa.select(StatusComponent.name)
            .where(StatusComponent.id.in_(ids))
            .order_by(StatusComponent.position)
        )
    )


def _of_report(
    session: Session, page: StatusPage, subscriber: StatusSubscriber, update: StatusUpdate
) -> Parcel:
    report = session.get_one(StatusReport, update.report_id)
    words = Words(page.language, page.time_zone)
    names = _names(session, _affected(session, update))
    lines = [f"{words(update.status)} · {words(report.impact)} · {words.moment(update.said_at)}"]
    if names:
        lines.append(f"{words('affected')}: {', '.join(names)}")
    url = f"{page_url(page)}/incidents/{report.id}"
    incident = {
        "id": report.id,
        "title": report.title,
        "status": update.status,
        "impact": report.impact,
        "startedAt": rfc3339(report.started_at),
        "url": url,
    }
    return _mail(
        page,
        subscriber,
        subject=f"[{page.name}] {words(update.status)}: {report.title}",
        lines=lines,
        html=to_html(update.body),
        url=url,
        button=words("see_page"),
        foot=words("mail_foot", name=page.name),
        thread=report.id,
        at=update.said_at,
        may_end=True,
        document=_document(page, update, names, incident=incident),
    )


def _of_maintenance(
    session: Session, page: StatusPage, subscriber: StatusSubscriber, update: StatusUpdate
) -> Parcel:
    maintenance = session.get_one(StatusMaintenance, update.maintenance_id)
    words = Words(page.language, page.time_zone)
    names = _names(session, maintenance.component_ids)
    start, end = words.moment(maintenance.starts_at), words.moment(maintenance.ends_at)
    lines = [words("from_to", start=start, end=end)]
    if names:
        lines.append(f"{words('affected')}: {', '.join(names)}")
    told = {
        "id": maintenance.id,
        "title": maintenance.title,
        "startsAt": rfc3339(maintenance.starts_at),
        "endsAt": rfc3339(maintenance.ends_at),
    }
    return _mail(
        page,
        subscriber,
        subject=f"[{page.name}] {words('maintenance')}: {maintenance.title}",
        lines=lines,
        html=to_html(update.body),
        url=page_url(page),
        button=words("see_page"),
        foot=words("mail_foot", name=page.name),
        thread=maintenance.id,
        at=update.said_at,
        may_end=True,
        document=_document(page, update, names, maintenance=told),
    )


def _document(
    page: StatusPage, update: StatusUpdate, names: list[str], **about: dict[str, str]
) -> dict[str, object]:
    """The JSON that webhooks read; stable, and only ever extended."""
    return {
        "type": "incident.updated" if "incident" in about else "maintenance.updated",
        "timestamp": rfc3339(update.said_at),
        "page": {"id": page.id, "name": page.name, "url": page_url(page)},
        "components": names,
        "update": {"id": update.id, "status": update.status, "body": update.body},
        **about,
    }


def _challenge(page: StatusPage, subscriber: StatusSubscriber) -> Parcel:
    challenge = secrets.token_urlsafe(24)
    return Parcel(
        kind=subscriber.kind,
        address=subscriber.address,
        secret=subscriber.secret,
        sender_name=page.name,
        at=subscriber.asked_at,
        subject="",
        text="",
        html="",
        thread=subscriber.id,
        unsubscribe_url="",
        document={"type": "subscription.challenge", "challenge": challenge},
        challenge=challenge,
    )


def _mail(  # noqa: PLR0913 - one message, all that it says
    page: StatusPage,
    subscriber: StatusSubscriber,
    *,
    subject: str,
    lines: list[str],
    html: str,
    url: str,
    button: str,
    foot: str,
    thread: str,
    at: datetime,
    may_end: bool,
    document: dict[str, object] | None = None,
) -> Parcel:
    words = Words(page.language, page.time_zone)
    manage_url = subscription_url(page, subscriber) if may_end else ""
    written = Written(html="", text="")  # a webhook reads the document alone
    if subscriber.kind == SubscriberKind.EMAIL:
        written = write_mail(
            "status_pages/mail/email.html",
            brand=Brand(name=page.name, colour=page.accent),
            subject=subject,
            words=words,
            headline=subject.removeprefix(f"[{page.name}] "),
            facts=lines,
            html=html,
            url=url,
            button=button,
            foot=foot,
            manage_url=manage_url,
        )
    return Parcel(
        kind=subscriber.kind,
        address=subscriber.address,
        secret=subscriber.secret,
        sender_name=page.name,
        at=at,
        subject=subject,
        text=written.text,
        html=written.html,
        thread=thread,
        unsubscribe_url=manage_url,
        document={**(document or {}), "unsubscribeUrl": manage_url},
    )

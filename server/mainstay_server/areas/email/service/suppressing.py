"""Addresses that an organization's mails are kept from: why, since when, and letting them go."""

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.email.models import EmailKind, EmailSuppression, Reason
from mainstay_server.contracts.email import EmailSuppressionCreated, EmailSuppressionRemoved
from mainstay_server.kernel.database import insert, new_id
from mainstay_server.kernel.events import say
from mainstay_server.kernel.pagination import Page, decode_cursor, page_of
from mainstay_server.kernel.problems import Conflict, NotFound
from mainstay_server.tenancy.models import Organization

from .addresses import checked_address, folded

MOST_SUPPRESSED = 100_000
LONGEST_NOTE = 500


def suppress(
    session: Session,
    organization_id: str,
    address: str,
    reason: Reason,
    *,
    note: str = "",
    now: datetime,
) -> None:
    """Keep an address from mail. What only held back subscriptions is made to hold back all."""
    statement = insert(EmailSuppression).values(
        id=new_id(),
        organization_id=organization_id,
        address=folded(address),
        reason=reason,
        note=note[:LONGEST_NOTE],
        created_at=now,
    )
    if reason is Reason.UNSUBSCRIBED:
        session.execute(statement.on_conflict_do_nothing())
        return
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["organization_id", "address"],
            set_={"reason": reason, "note": note[:LONGEST_NOTE]},
            where=EmailSuppression.reason == Reason.UNSUBSCRIBED,
        )
    )


def suppress_if_there(
    session: Session, organization_id: str, address: str, reason: Reason, *, now: datetime
) -> None:
    """Keep an address from the mail of an organization that may be gone."""
    if session.get(Organization, organization_id) is not None:
        suppress(session, organization_id, address, reason, now=now)


def suppress_by_hand(
    session: Session, organization_id: str, address: str, *, note: str, now: datetime
) -> EmailSuppression:
    """Keep an address from mail because somebody said so.

    Raises:
        Invalid: it is no address.
        Conflict: it is kept from mail already, or too many are.
    """
    address = checked_address(address, field="address")
    if find_suppression(session, organization_id, address) is not None:
        raise Conflict("That address is kept from mail already.", code="already-suppressed")
    count = session.scalar(
        sa.select(sa.func.count()).where(EmailSuppression.organization_id == organization_id)
    )
    if (count or 0) >= MOST_SUPPRESSED:
        raise Conflict(f"At most {MOST_SUPPRESSED:,} addresses are kept; remove some that are old.")
    suppress(session, organization_id, address, Reason.MANUAL, note=note, now=now)
    made = find_suppression(session, organization_id, address)
    assert made is not None, "it was written just now"
    say(
        session,
        EmailSuppressionCreated(
            organization_id=organization_id,
            suppression_id=made.id,
            address=made.address,
            reason=made.reason,
        ),
        now=now,
    )
    return made


def lift(session: Session, organization_id: str, suppression_id: str, *, now: datetime) -> None:
    """Let an address have mail again. Raises `NotFound` when it is not kept from any."""
    found = session.get(EmailSuppression, suppression_id)
    if found is None or found.organization_id != organization_id:
        raise NotFound("There is no such address; /api/email-suppressions lists yours.")
    said = EmailSuppressionRemoved(
        organization_id=organization_id,
        suppression_id=found.id,
        address=found.address,
        reason=found.reason,
    )
    session.delete(found)
    session.flush()
    say(session, said, now=now)


def find_suppression(
    session: Session, organization_id: str, address: str
) -> EmailSuppression | None:
    """What keeps an address from an organization's mails, or None."""
    return session.scalar(
        sa.select(EmailSuppression).where(
            EmailSuppression.organization_id == organization_id,
            EmailSuppression.address == folded(address),
        )
    )


def suppressed_among(
    session: Session, organization_id: str, addresses: Collection[str], kind: EmailKind
) -> dict[str, Reason]:
    """Those of some addresses, in lower case, that a mail of a kind must not go to, and why."""
    found = sa.select(EmailSuppression.address, EmailSuppression.reason).where(
        EmailSuppression.organization_id == organization_id,
        EmailSuppression.address.in_([folded(address) for address in addresses]),
    )
    if kind is EmailKind.TRANSACTIONAL:
        found = found.where(EmailSuppression.reason != Reason.UNSUBSCRIBED)
    return {address: Reason(reason) for address, reason in session.execute(found)}


def told(reason: str) -> str:
    """Why a mail was not sent, in one sentence; empty for no reason."""
    return f"The address is kept from mail: {reason.replace('_', ' ')}." if reason else ""


def list_suppressions(
    session: Session, organization_id: str, *, text: str = "", limit: int, cursor: str = ""
) -> Page[EmailSuppression]:
    """Addresses that are kept from mail, newest first. Raises `Invalid` for a strange cursor."""
    found = sa.select(EmailSuppression).where(EmailSuppression.organization_id == organization_id)
    if text:
        found = found.where(EmailSuppression.address.contains(folded(text), autoescape=True))
    position = decode_cursor(cursor, parts=1)
    if position is not None:
        found = found.where(EmailSuppression.id < str(position[0]))
    rows = session.scalars(found.order_by(EmailSuppression.id.desc()).limit(limit + 1)).all()
    return page_of(rows, limit=limit, key=lambda each: (each.id,))

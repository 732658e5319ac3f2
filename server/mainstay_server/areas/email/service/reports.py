"""Reports by mail: each person's own, once for every period, whatever the clocks and we do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.email.models import EmailKind, Period, ReportSent, ReportWish
from mainstay_server.contracts.alerts.severities import TONES
from mainstay_server.kernel.database import insert, reading, rows_changed, transaction
from mainstay_server.kernel.settings import ServerSettings, of
from mainstay_server.tenancy.models import Membership, Organization, Person
from mainstay_server.ui.mail import Brand, write_mail

from . import figures, looks, sending, suppressing, wishes
from .addresses import folded
from .figures import Figures
from .unsubscribing import report_name
from .wishes import Span
from .writing import UNSUBSCRIBE, Letter

MOST_AT_ONCE = 200
SENT_KEPT = timedelta(days=800)
TITLES = {Period.WEEKLY: "Your week", Period.MONTHLY: "Your month"}


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A person who is due a report."""

    wish: ReportWish
    period: Period
    person_id: str
    name: str
    address: str
    organization_name: str
    brand: Brand


def send_due(*, now: datetime) -> int:
    """Send every report that is due, each in a transaction of its own. Returns how many were.

    After a standstill the last that is due is sent, not each that was. That one was sent is written
    down in the transaction that stores the mail, so that two workers, or one that was killed and
    comes back, send it once.
    """
    sent = 0
    for period in Period:
        for reader in _readers(period, now=now):
            sent += send_one(reader, now=now)
    return sent


def send_one(reader: Reader, *, now: datetime) -> bool:
    """Send one person's report; False when it was sent before."""
    wish, period = reader.wish, reader.period
    first = due_at_of(wish, period)
    assert first is not None, "only what is wanted is due"
    due = wishes.last_due(wish, period, first=first, now=now)
    span = wishes.span_due(wish, period, due_at=due)
    with reading() as session:
        gathered = figures.gather(
            session, wish.organization_id, since=span.since, until=span.until, now=now
        )
    letter = write_report(
        period, span, gathered, brand=reader.brand, about=reader.organization_name
    )
    with transaction() as session:
        return _store(session, reader, letter, span, now=now)


def write_report(
    period: Period, span: Span, gathered: Figures, *, brand: Brand, about: str
) -> Letter:
    """The report of a span of time as a mail."""
    days = _days(span)
    subject = f"{TITLES[period]} at {about}: {days}"
    written = write_mail(
        "email/mail/report.html",
        brand=brand,
        subject=subject,
        unsubscribe_url=UNSUBSCRIBE,
        title=TITLES[period],
        about=about,
        days=days,
        told=gathered,
        TONES=TONES,
        dashboard=f"{of(ServerSettings).public_url}/dashboard",
        choices=f"{of(ServerSettings).public_url}/dashboard/reports",
    )
    return Letter(
        template=report_name(period),
        kind=EmailKind.SUBSCRIPTION,
        subject=subject[:200],
        html=written.html,
        text=written.text,
    )


def due_at_of(wish: ReportWish, period: Period) -> datetime | None:
    """When the next report of a kind is due; None where it is not wanted."""
    return wish.weekly_due_at if period is Period.WEEKLY else wish.monthly_due_at


def forget_sent(session: Session, *, now: datetime) -> int:
    """Forget which reports were sent long ago. Returns how many."""
    old = sa.delete(ReportSent).where(ReportSent.sent_at < now - SENT_KEPT)
    return rows_changed(session, old)


def _readers(period: Period, *, now: datetime) -> Iterator[Reader]:
    column = ReportWish.weekly_due_at if period is Period.WEEKLY else ReportWish.monthly_due_at
    with reading() as session:
        rows: Sequence[tuple[ReportWish, Person, Organization]] = [
            (wish, person, organization)
            for wish, person, organization in session.execute(
                sa.select(ReportWish, Person, Organization)
                .join(Person, Person.id == ReportWish.person_id)
                .join(Organization, Organization.id == ReportWish.organization_id)
                .join(
                    Membership,
                    sa.and_(
                        Membership.person_id == ReportWish.person_id,
                        Membership.organization_id == ReportWish.organization_id,
                    ),
                )
                .where(column <= now)
                .order_by(column, ReportWish.id)
                .limit(MOST_AT_ONCE)
            )
        ]
        brands = {one.id: looks.brand_of(session, one.id) for _, _, one in rows}
    for wish, person, organization in rows:
        yield Reader(
            wish=wish,
            period=period,
            person_id=person.id,
            name=person.name,
            address=person.email,
            organization_name=organization.name,
            brand=brands[organization.id],
        )


def _store(session: Session, reader: Reader, letter: Letter, span: Span, *, now: datetime) -> bool:
    """Move on to the next report, and store this one unless the period had one already."""
    wish, period = reader.wish, reader.period
    column = "weekly_due_at" if period is Period.WEEKLY else "monthly_due_at"
    following = wishes.next_due(wish, period, after=now)
    moved = rows_changed(
        session,
        sa.update(ReportWish)
        .where(ReportWish.id == wish.id, getattr(ReportWish, column) == due_at_of(wish, period))
        .values({column: following}),
    )
    claimed = moved and rows_changed(
        session,
        insert(ReportSent)
        .values(
            organization_id=wish.organization_id,
            person_id=reader.person_id,
            period=period,
            begins_on=span.begins_on,
            sent_at=now,
        )
        .on_conflict_do_nothing(),
    )
    if not claimed:
        return False
    kept = suppressing.suppressed_among(
        session, wish.organization_id, [reader.address], EmailKind.TRANSACTIONAL
    )
    sending.store_letter(
        session,
        letter,
        reader.address,
        organization_id=wish.organization_id,
        project_id=None,
        person_id=reader.person_id,
        sender_name=reader.brand.name,
        made_by="Mainstay",
        suppressed=suppressing.told(kept.get(folded(reader.address), "")),
        now=now,
    )
    return True


def _days(span: Span) -> str:
    last: date = span.ends_before - timedelta(days=1)
    first = span.begins_on
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day} to {last:%-d %B %Y}"
    return f"{first:%-d %B} to {last:%-d %B %Y}"

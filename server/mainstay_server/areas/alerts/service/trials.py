"""Whom a test may reach: mail goes to people of the organization, unless an admin sends it."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import AlertChannel
from mainstay_server.kernel.limits import Rate
from mainstay_server.kernel.limits.charging import HOUR, charge
from mainstay_server.kernel.problems import Forbidden
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Membership, Person, Role

MAIL = "email"
# One mailbox is tried rarely; all of an organization's, as often as somebody sets them up.
OF_MAILBOX, OF_ORGANIZATION = Rate(5, HOUR, 5), Rate(30, HOUR, 30)


def admit_test(session: Session, channel: AlertChannel, caller: Caller, *, now: datetime) -> None:
    """Let no test be a way to write to anybody; to be asked in a transaction that only reads.

    A member may test a channel whose address is theirs or that of another member. An address of
    nobody, such as a list, is tested by an admin, who answers for it.

    Raises:
        Forbidden: the address is nobody's in the organization, and the caller is no admin.
        QuotaExceeded: over five tests to one address within an hour, or thirty of an organization.
    """
    if channel.type != MAIL:
        return
    address = str(channel.config["email"]).lower()
    if not caller.role.covers(Role.ADMIN) and not _is_of_member(session, channel, address):
        raise Forbidden(
            f"{channel.config['email']} is the address of nobody in your organization: ask an admin"
            " to send the test, or to invite whoever reads it."
        )
    charge("test-mails-to-one", f"{channel.organization_id}|{address}", OF_MAILBOX, now=now)
    charge("test-mails", channel.organization_id, OF_ORGANIZATION, now=now)


def _is_of_member(session: Session, channel: AlertChannel, address: str) -> bool:
    found = session.scalar(
        sa.select(Person.id)
        .join(Membership, Membership.person_id == Person.id)
        .where(
            Membership.organization_id == channel.organization_id,
            sa.func.lower(Person.email) == address,
        )
        .limit(1)
    )
    return found is not None

"""The link of a message of several alerts, pressed by several people at the same moment."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import sqlalchemy as sa
from mainstay_server.areas.on_call.models import Escalation, EscalationNotice
from mainstay_server.areas.on_call.service import escalating, links
from mainstay_server.contracts.alerts import AlertOpened
from mainstay_server.contracts.on_call import EscalationAcknowledged
from mainstay_server.kernel.database import new_id, reading, transaction
from mainstay_server.kernel.events import said_events
from tests.databases import on_both_stores

from .worlds import Night, a_policy, tells

STORM, ALONE = 30, 5  # so many are mails of their own before the rest is one


def the_mail_of_several(night: Night) -> str:
    """The token in the mail that tells Anna of all that the first mails did not."""
    with transaction() as session:
        a_policy(session, night.instance.organization_id, tells(night.anna))
    for number in range(STORM):
        night.alert_id = new_id()
        facts = night.alert(title=f"part {number} is down")
        night.happens(AlertOpened(**facts, message="", opened_at=night.now))
    night.later(timedelta(minutes=1))
    with reading() as session:
        carrier = sa.select(EscalationNotice.carried_by).where(EscalationNotice.carried_by != "")
        (notice_id,) = session.scalars(carrier.distinct())
    return links.token_of_mail(notice_id)


def press(night: Night, token: str) -> int:
    with transaction() as session:
        linked = links.get_linked(session, token, locked=True, now=night.now)
        return sum(
            escalating.acknowledge(session, each, linked.hand, now=night.now)
            for each in linked.escalations
        )


@on_both_stores
def test_several_who_press_at_once_take_each_alert_once(night: Night) -> None:
    token = the_mail_of_several(night)

    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(lambda _: press(night, token), range(6)))

    assert sum(taken) == max(taken) == STORM - ALONE, "whoever is first takes all of them"
    with reading() as session:
        said = [e for _, e in said_events(session) if isinstance(e, EscalationAcknowledged)]
        hands = session.scalars(sa.select(Escalation.acknowledged_by)).all()
    assert len(said) == len({event.escalation_id for event in said}) == STORM - ALONE
    assert sorted(hands) == [""] * ALONE + ["Anna"] * (STORM - ALONE)

"""The link of a message that tells of several alerts: all of them are taken in hand at once."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from mainstay_server.areas import on_call
from mainstay_server.areas.on_call.models import Escalation, EscalationNotice, EscalationState
from mainstay_server.areas.on_call.service import escalating, links, mails, telling
from mainstay_server.areas.on_call.service.people import Hand
from mainstay_server.contracts.alerts import AlertOpened, channels_of_organization
from mainstay_server.contracts.on_call import EscalationAcknowledged, alerts_told, tell_channel
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import new_id, reading, transaction
from mainstay_server.kernel.events import run_waiting, said_events, say
from mainstay_server.kernel.ports import forget_answers, install_answers
from tests.world import World

from .worlds import DAY, OPS

MESSAGE = "the message"
HAND = Hand(person_id="", name="Bob", how="on its page")


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(on_call.area)


@pytest.fixture
def told(world: World) -> Iterator[list[str]]:
    """The alerts that a message in a chat tells of."""
    ids: list[str] = []

    def alerts_of(session: object, message_id: str) -> Sequence[str]:
        return ids if message_id == MESSAGE else ()

    install_answers(
        (
            channels_of_organization.answered_by(lambda *_: [OPS]),
            tell_channel.answered_by(lambda *_, now: bool(now)),
            alerts_told.answered_by(alerts_of),
        )
    )
    yield ids
    forget_answers()


def a_policy(world: World, target: str) -> None:
    form = {
        "name": "Wake somebody",
        "reach": "",
        "minimum_severity": "warning",
        "enabled": "on",
        "target": [target, ""],
        "wait_minutes": ["5", "5"],
        "repeat": "1",
        "acknowledge_timeout_minutes": "0",
    }
    answer = world.bob.post("/dashboard/organization/on-call/policies/new", data=form)
    assert answer.status_code == 303, answer.text


def alerts(world: World, count: int) -> list[str]:
    """Several alerts open, and the first step of each is taken."""
    ids = [new_id() for _ in range(count)]
    with transaction() as session:
        for number, alert_id in enumerate(ids):
            event = AlertOpened(
                **world.instance.ids,
                alert_id=alert_id,
                type="instance_down",
                severity="critical",
                title=f"part {number} of <b>it</b> is down",
                message="It answered 500.",
                opened_at=utc_now(),
            )
            say(session, event, now=utc_now())
    run_waiting(now=utc_now())
    return ids


def link(*, message: str = MESSAGE, channel: str = OPS.id, ago: timedelta = timedelta(0)) -> str:
    with reading() as session:
        url = links.link_of_message(session, message, channel, at=utc_now() - ago)
    return links.PREFIX + url.partition(links.PREFIX)[2] if url else ""


def states() -> list[str]:
    with reading() as session:
        return list(session.scalars(sa.select(Escalation.state).order_by(Escalation.alert_id)))


def change(place: int, **values: object) -> None:
    with transaction() as session:
        found = session.scalars(sa.select(Escalation).order_by(Escalation.alert_id)).all()[place]
        for name, value in values.items():
            setattr(found, name, value)


def test_following_the_link_takes_nothing_and_its_button_takes_all(
    world: World, told: list[str]
) -> None:
    a_policy(world, f"channel:{OPS.id}")
    told += alerts(world, 4)[:3]
    path = link()
    for method in ("GET", "HEAD", "GET"):
        assert world.stranger.request(method, path).status_code in (200, 405)
    page = world.stranger.get(path)
    assert (page.headers["cache-control"], page.headers["referrer-policy"]) == (
        "no-store",
        "no-referrer",
    )
    assert "Acknowledge all 3" in page.text
    assert page.text.count("of &lt;b&gt;it&lt;/b&gt; is down") == 3
    assert states() == ["running"] * 4

    answer = world.stranger.post(path)

    assert "3 acknowledged. Nobody else is woken." in answer.text
    assert states() == [*["acknowledged"] * 3, "running"], "no other than the message told of"
    with reading() as session:
        said = [e for _, e in said_events(session) if isinstance(e, EscalationAcknowledged)]
    assert {(e.person, e.how) for e in said} == {
        (f"Somebody in {OPS.name}", "by the link in a message")
    }
    assert len(said) == 3
    again = world.stranger.post(path).text
    assert "None acknowledged, 3 were in somebody's hands." in again


def test_what_ended_or_was_taken_meanwhile_keeps_no_other_from_being_taken(
    world: World, told: list[str]
) -> None:
    a_policy(world, f"channel:{OPS.id}")
    told += alerts(world, 4)
    path = link()
    change(0, state=EscalationState.ENDED)
    with transaction() as session:
        one = session.scalars(sa.select(Escalation).order_by(Escalation.alert_id)).all()[1]
        escalating.acknowledge(session, one, HAND, now=utc_now())
    page = world.stranger.get(path).text
    assert "1 ended since, 1 in somebody's hands." in page
    assert "Bob has it in hand" in page
    assert "Acknowledge 2" in page

    answer = world.stranger.post(path).text

    assert "2 acknowledged, 1 had ended, 1 was in somebody's hands." in answer
    assert states() == ["ended", *["acknowledged"] * 3]


def test_the_link_ends_with_its_day_its_round_its_channel_and_its_alerts(
    world: World, told: list[str]
) -> None:
    a_policy(world, f"channel:{OPS.id}")
    told += alerts(world, 3)
    path = link()
    assert "too old" in world.stranger.post(link(ago=DAY)).text
    assert "was removed" in world.stranger.post(link(channel="gone")).text
    install_answers((channels_of_organization.answered_by(lambda *_: [replace(OPS, place="x")]),))
    assert "leads elsewhere" in world.stranger.post(path).text
    install_answers((channels_of_organization.answered_by(lambda *_: [OPS]),))
    assert world.stranger.post(path[:-3] + "abc").status_code == 404
    for_one = path.replace("message.", "channel.")
    assert world.stranger.post(for_one).status_code == 404, "each kind is signed for itself"
    assert states() == ["running"] * 3

    change(0, round=2)
    page = world.stranger.get(path).text
    assert "1 alert more of this message began again since" in page
    assert "2 acknowledged." in world.stranger.post(path).text
    assert states() == ["running", "acknowledged", "acknowledged"]
    for place in (1, 2):
        change(place, round=2)
    answer = world.stranger.post(path)
    assert (answer.status_code, "began again" in answer.text) == (410, True)
    for place in range(3):
        change(place, state=EscalationState.ENDED)
    assert "The alerts are over" in world.stranger.get(path).text
    assert link() == link(message="another") == ""


def test_the_link_of_a_mail_of_several_takes_all_of_them_for_its_reader_once(world: World) -> None:
    a_policy(world, f"person:{world.alice.person_id}")
    alerts(world, 8)
    with transaction() as session:  # the first five are mails of their own
        telling.flush_gathered(session, now=utc_now() + timedelta(minutes=1))
        first = session.scalars(
            sa.select(EscalationNotice).where(
                EscalationNotice.id.in_(
                    sa.select(EscalationNotice.carried_by).where(EscalationNotice.carried_by != "")
                )
            )
        ).one()
        parcel = mails.find_parcel(session, first.id)
        assert parcel is not None
        text = mails.mail_of(parcel, delivery_id="x").get_body(("plain",))
        assert text is not None
        (path,) = re.findall(r"of this mail \(http\S+?(/on-call/[^)\s]+)", text.get_content())
        alone = f"{links.PREFIX}/{links.token_of(first.id)}"
    assert "Acknowledge all 3" in world.stranger.get(path).text
    assert states().count("acknowledged") == 0
    assert world.stranger.post(path.replace("mail.", "")).status_code == 404
    assert (
        world.stranger.post(alone.replace("acknowledge/", "acknowledge/mail.")).status_code == 404
    )

    assert "It is yours" in world.stranger.post(alone).text
    assert "Acknowledge all 2" in world.stranger.get(path).text
    assert "2 acknowledged." in world.stranger.post(path).text
    assert states() == [*["running"] * 5, *["acknowledged"] * 3]
    for method in ("GET", "POST"):
        answer = world.stranger.request(method, path)
        assert (answer.status_code, "This link was used" in answer.text) == (410, True)
    with reading() as session:
        hands = session.scalars(sa.select(Escalation.acknowledged_by).distinct()).all()
    assert sorted(hands) == ["", "Alice"]


def test_whoever_was_sent_a_link_of_several_is_never_locked_out(
    world: World, told: list[str]
) -> None:
    a_policy(world, f"channel:{OPS.id}")
    told += alerts(world, 2)
    answers = [
        world.stranger.get(f"{links.PREFIX}/{kind}x").status_code
        for kind in ("message.", "mail.")
        for _ in range(20)
    ]
    assert 429 in answers
    assert world.stranger.get(link()).status_code == 200

"""A channel that an escalation tells: at each step, beside all that routes say, and the end."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from mainstay_server.areas.alerts.models import Alert, AlertChannel, Severity
from mainstay_server.areas.alerts.service import asked, by_hand, channels
from mainstay_server.areas.alerts.service.stepping import telling
from mainstay_server.contracts.on_call import acknowledge_all_link, acknowledge_link
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.ports import forget_answers, install_answers
from sqlalchemy.orm import Session
from tests.areas.alerts.conftest import MINUTE, Harbour
from tests.servers.http import Answer, HttpReceiver
from tests.world import a_project

LINK = "https://mainstay.example/on-call/acknowledge/channel.x"
LINK_OF_ALL = "https://mainstay.example/on-call/acknowledge/message."


@pytest.fixture
def escalated() -> Iterator[None]:
    """Something escalates, and gives each message a link, and one of several another of all."""

    def of_all(session: Session, message_id: str, channel_id: str, *, at: datetime) -> str:
        _ = session, channel_id, at
        return LINK_OF_ALL + message_id

    install_answers(
        (
            acknowledge_link.answered_by(lambda *_, at: LINK if at else ""),
            acknowledge_all_link.answered_by(of_all),
        )
    )
    yield
    forget_answers()


@pytest.fixture
def ops(harbour: Harbour, http_receiver: HttpReceiver, escalated: None) -> AlertChannel:
    """A channel that hears of what is critical alone."""
    return harbour.channel(f"{http_receiver.url}/ops", minimum=Severity.CRITICAL)


def step(harbour: Harbour, channel: AlertChannel, place: int = 0) -> bool:
    alert = harbour.alerts()[place]
    with transaction() as session:
        told = telling.tell_channel(session, alert.id, channel.id, now=harbour.now)
    harbour.deliver()
    return told


def told(receiver: HttpReceiver) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in receiver.requests]


def test_each_step_tells_once_with_a_link_and_the_end_is_told_once(
    harbour: Harbour, http_receiver: HttpReceiver, ops: AlertChannel
) -> None:
    harbour.degrades()
    assert http_receiver.requests == []
    assert step(harbour, ops)
    harbour.later(MINUTE)
    assert step(harbour, ops)
    harbour.later(MINUTE)
    harbour.recovers()
    harbour.jobs_run()
    messages = told(http_receiver)
    assert [one["type"] for one in messages] == ["alert.opened", "alert.opened", "alert.resolved"]
    assert [one.get("acknowledgeUrl") for one in messages] == [LINK, LINK, None]
    assert all("repeat" not in one["alert"] for one in messages)
    assert len({r.headers["idempotency-key"] for r in http_receiver.requests}) == 3


def test_who_hears_by_routes_too_is_told_of_the_end_once_and_has_no_link_there(
    harbour: Harbour, http_receiver: HttpReceiver, ops: AlertChannel
) -> None:
    harbour.goes_down()
    assert step(harbour, ops)
    harbour.later(MINUTE)
    harbour.recovers()
    harbour.jobs_run()
    messages = told(http_receiver)
    assert [one["type"] for one in messages] == ["alert.opened", "alert.opened", "alert.resolved"]
    assert [one.get("acknowledgeUrl") for one in messages] == [None, LINK, None]


def test_a_step_that_was_never_taken_owes_no_end(
    harbour: Harbour, http_receiver: HttpReceiver, ops: AlertChannel
) -> None:
    http_receiver.answer_at("/ops", Answer(status=422))
    harbour.degrades()
    assert step(harbour, ops)
    harbour.later(MINUTE)
    harbour.recovers()
    harbour.jobs_run()
    assert [one["type"] for one in told(http_receiver)] == ["alert.opened"]


def end(session: Session, alert: Alert, harbour: Harbour) -> None:
    by_hand.resolve_alert(
        session, alert.instance_id, alert.id, person_id="", name="Bob", now=harbour.now
    )


@pytest.fixture
def storm(harbour: Harbour, ops: AlertChannel) -> list[Alert]:
    """Forty alerts at once, of which none goes to the channel by itself."""
    harbour.happens(*(harbour.new_issue(f"issue-{number}") for number in range(40)))
    return harbour.alerts()


def test_a_storm_of_steps_is_one_message_and_another_that_tells_of_all_others(
    harbour: Harbour, http_receiver: HttpReceiver, ops: AlertChannel, storm: list[Alert]
) -> None:
    assert http_receiver.requests == []
    for place in range(len(storm)):
        assert step(harbour, ops, place)
        assert step(harbour, ops, place)
    harbour.jobs_run()
    (first,) = told(http_receiver)
    harbour.later(MINUTE)
    harbour.jobs_run()
    harbour.jobs_run()

    _, others = told(http_receiver)
    alerts = others["digest"]["alerts"]
    assert others["digest"]["count"] == len(storm)
    assert {one["id"] for one in alerts} == {one.id for one in storm}
    assert {one["acknowledgeUrl"] for one in alerts} == {LINK}
    assert first["acknowledgeUrl"] == LINK
    message_id = others["acknowledgeUrl"].removeprefix(LINK_OF_ALL)
    with reading() as session:
        assert set(asked.alerts_told(session, message_id)) == {one["id"] for one in alerts}
        assert asked.alerts_told(session, "no message") == []
    assert {(n.state, n.attempts) for n in harbour.notifications()} == {("delivered", 1)}


def test_what_is_over_or_in_hand_before_it_is_told_is_left_out(
    harbour: Harbour, http_receiver: HttpReceiver, ops: AlertChannel, storm: list[Alert]
) -> None:
    for place in range(4):
        step(harbour, ops, place)
    with transaction() as session:
        by_hand.acknowledge_alert(session, storm[1].id, by="", name="Bob", now=harbour.now)
        end(session, storm[2], harbour)
    harbour.deliver()
    harbour.later(MINUTE)
    harbour.jobs_run()

    messages = told(http_receiver)
    assert [one["type"] for one in messages] == ["alert.opened", "alert.opened"]
    assert [one["alert"]["id"] for one in messages] == [storm[0].id, storm[3].id]
    assert {n.alert_id for n in harbour.notifications()} == {storm[0].id, storm[3].id}


def test_who_heard_in_a_message_of_several_is_told_of_each_end(
    harbour: Harbour, http_receiver: HttpReceiver, ops: AlertChannel, storm: list[Alert]
) -> None:
    for place in range(3):
        step(harbour, ops, place)
    harbour.later(MINUTE)
    harbour.jobs_run()
    http_receiver.clear()
    with transaction() as session:
        end(session, storm[2], harbour)
    harbour.deliver()

    (ended,) = told(http_receiver)
    assert (ended["type"], ended["alert"]["id"]) == ("alert.resolved", storm[2].id)


def test_what_could_not_be_told_together_goes_to_the_fallback_with_every_turn(
    harbour: Harbour, http_receiver: HttpReceiver, ops: AlertChannel, storm: list[Alert]
) -> None:
    http_receiver.answer_at("/ops", Answer(status=422))
    spare = harbour.channel(f"{http_receiver.url}/spare", minimum=Severity.CRITICAL)
    with transaction() as session:
        found = session.get_one(AlertChannel, ops.id)
        channels.change_channel(session, found, fallback_id=spare.id, now=harbour.now)
    for place in (0, 0, 1):  # the second of the first alert is gathered with the other alert
        step(harbour, ops, place)
    harbour.later(MINUTE)
    harbour.jobs_run()

    heard = [(n.alert_id, n.turn) for n in harbour.notifications() if n.channel_id == spare.id]
    assert heard == [(storm[0].id, -1), (storm[1].id, -1), (storm[0].id, -2)]
    assert len([one for one in http_receiver.requests if one.path == "/spare"]) == 3


def test_a_service_that_keeps_alerts_apart_is_told_of_each_at_once(
    harbour: Harbour, storm: list[Alert]
) -> None:
    pager = harbour.channel_of("pagerduty", {"routingKey": "R" * 32})
    before = len(harbour.notifications())
    with transaction() as session:
        for alert in storm[:3]:
            assert telling.tell_channel(session, alert.id, pager.id, now=harbour.now)

    steps = [n for n in harbour.notifications()[before:] if n.by_step]
    assert [(n.alert_id, n.carried_by) for n in steps] == [(one.id, "") for one in storm[:3]]


def test_a_channel_that_is_off_or_of_others_is_not_told_and_neither_of_what_is_over(
    harbour: Harbour, http_receiver: HttpReceiver, ops: AlertChannel
) -> None:
    harbour.degrades()
    with transaction() as session:
        theirs = a_project(session, now=harbour.now, organization="Other", slug="other", number=2)
        about = (theirs.organization_id, theirs.project_id, theirs.id)
        config = {"webhookUrl": f"{http_receiver.url}/theirs"}
        strange = channels.create_channel(session, about, "webhook", config, now=harbour.now)
    assert not step(harbour, strange)
    with transaction() as session:
        found = session.get_one(AlertChannel, ops.id)
        channels.change_channel(session, found, enabled=False, now=harbour.now)
    assert not step(harbour, ops)
    with transaction() as session:
        found = session.get_one(AlertChannel, ops.id)
        channels.change_channel(session, found, enabled=True, now=harbour.now)
    harbour.later(MINUTE)
    harbour.recovers()
    assert not step(harbour, ops)
    assert http_receiver.requests == []


def test_an_organization_sees_its_own_channels_that_are_on(
    harbour: Harbour, http_receiver: HttpReceiver, ops: AlertChannel
) -> None:
    with reading() as session:
        (seen,) = asked.channels_of_organization(session, harbour.instance.organization_id)
        assert asked.channels_of_organization(session, "others") == []
    assert (seen.id, seen.kind) == (ops.id, "webhook")
    assert seen.name == f"Inspections: webhook ({http_receiver.url}/ops)"


def test_a_channel_is_another_place_once_it_leads_elsewhere_and_tells_not_where(
    harbour: Harbour, http_receiver: HttpReceiver, ops: AlertChannel
) -> None:
    def place() -> str:
        with reading() as session:
            (seen,) = asked.channels_of_organization(session, harbour.instance.organization_id)
        return seen.place

    def change(**values: Any) -> None:
        with transaction() as session:
            found = session.get_one(AlertChannel, ops.id)
            channels.change_channel(session, found, now=harbour.now, **values)

    before = place()
    change(name="Renamed")
    assert place() == before
    change(target={"webhookUrl": f"{http_receiver.url}/elsewhere"})
    assert place() not in ("", before)

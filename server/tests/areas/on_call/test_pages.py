"""Pages, forms, and the link of a mail as a stranger's browser opens it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from mainstay_server.areas import on_call
from mainstay_server.areas.on_call.models import Escalation, EscalationNotice, EscalationState
from mainstay_server.areas.on_call.service import links
from mainstay_server.contracts.alerts import (
    AlertOpened,
    AlertResolved,
    channels_of_organization,
)
from mainstay_server.contracts.on_call import EscalationAcknowledged, tell_channel
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import new_id, reading, transaction
from mainstay_server.kernel.events import run_waiting, said_events, say
from mainstay_server.kernel.ports import forget_answers, install_answers
from tests.world import World

from .worlds import DAY, OPS

PATH = "/dashboard/organization/on-call"
ID = r"[0-9a-f-]{36}"


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(on_call.area)


def a_schedule(world: World) -> str:
    answer = world.bob.post(
        f"{PATH}/schedules", data={"name": "Primary", "time_zone": "Europe/Berlin"}
    )
    assert answer.status_code == 303
    return str(answer.headers["location"])


def a_policy(world: World, *targets: str, **values: str) -> None:
    form = {
        "name": "Wake somebody",
        "reach": "",
        "minimum_severity": "warning",
        "enabled": "on",
        "target": [*targets, ""],
        "wait_minutes": ["5"] * (len(targets) + 1),
        "repeat": "1",
        "acknowledge_timeout_minutes": "0",
    }
    answer = world.bob.post(f"{PATH}/policies/new", data=form | values)
    assert answer.status_code == 303, answer.text


def an_alert(world: World) -> str:
    """An alert opens, and its first step tells Alice."""
    alert_id = new_id()
    with transaction() as session:
        event = AlertOpened(
            **world.instance.ids,
            alert_id=alert_id,
            type="instance_down",
            severity="critical",
            title="inspections <b>production</b> is down",
            message="It answered 500.",
            opened_at=utc_now(),
        )
        say(session, event, now=utc_now())
    run_waiting(now=utc_now())
    return alert_id


def woken(world: World) -> str:
    """Alice is woken; the path of the link in her mail."""
    a_policy(world, f"person:{world.alice.person_id}")
    an_alert(world)
    return f"{links.PREFIX}/{links.token_of(the_notice().id)}"


def the_notice() -> EscalationNotice:
    with reading() as session:
        return session.query(EscalationNotice).one()


def state(world: World) -> str:
    with reading() as session:
        return str(session.query(Escalation).one().state)


def test_an_empty_page_says_what_would_be_there(world: World) -> None:
    page = world.bob.get(PATH)
    assert page.status_code == 200
    assert "Nobody is on call" in page.text


def test_a_schedule_is_made_and_its_fortnight_shown(world: World) -> None:
    path = a_schedule(world)
    page = world.alice.get(path).text
    assert page.count('class="on-call-date"') == 14
    assert "Week by week" in page
    overview = world.alice.get(PATH).text
    assert 'class="on-call-strip"' in overview
    assert "No policy wakes anybody yet" in overview


def test_layers_are_added_changed_and_removed_by_the_form(world: World) -> None:
    path = a_schedule(world)
    form = {
        "id": "",
        "name": "Nights",
        "people": "alice@ships.example\n\nBOB@ships.example\n",
        "rotates": "daily",
        "every": "1",
        "starts_at": "2026-01-05T20:00",
        "days": ["MO", "SU"],
        "from_time": "20:00",
        "to_time": "08:00",
    }
    assert world.bob.post(f"{path}/layers", data=form).status_code == 303
    page = world.bob.get(path).text
    assert "Alice, Bob" in page
    layer_id = re.findall(rf"/layers/({ID})/remove", page)[-1]
    changed = form | {"id": layer_id, "name": "Late"}
    assert world.bob.post(f"{path}/layers", data=changed).status_code == 303
    page = world.bob.get(path).text
    assert "<strong>Late</strong>" in page
    assert "<strong>Nights</strong>" not in page
    assert world.bob.post(f"{path}/layers/{layer_id}/remove").status_code == 303
    assert "<strong>Late</strong>" not in world.bob.get(path).text


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"people": "nobody@elsewhere.example"}, "is the address of no member"),
        ({"people": ""}, "People"),
        ({"starts_at": "soon"}, "startsAt is a time"),
        ({"every": "61"}, "every is at most 60"),
        ({"every": "x"}, "must be a whole number"),
        ({"from_time": "09:00"}, "belong together"),
    ],
)
def test_a_layer_that_cannot_be_is_refused_and_stays_in_the_form(
    world: World, wrong: dict[str, str], said: str
) -> None:
    path = a_schedule(world)
    form = {
        "name": "Kept name",
        "people": "alice@ships.example",
        "rotates": "daily",
        "every": "1",
        "starts_at": "2026-01-05T20:00",
    }
    page = world.bob.post(f"{path}/layers", data=form | wrong).text
    assert said in page
    assert "Kept name" in page


def test_overrides_calendars_and_addresses_by_the_form(world: World) -> None:
    path = a_schedule(world)
    tomorrow = utc_now() + DAY
    form = {
        "person_id": world.alice.person_id,
        "starts_at": f"{tomorrow:%Y-%m-%dT09:00}",
        "ends_at": f"{tomorrow:%Y-%m-%dT17:00}",
    }
    assert world.bob.post(f"{path}/overrides", data=form).status_code == 303
    calendar = {"name": "Team", "url": "https://calendar.example.com/x.ics"}
    assert world.bob.post(f"{path}/calendars", data=calendar).status_code == 303
    assert world.bob.post(f"{path}/feed").status_code == 303
    page = world.bob.get(path).text
    assert "Override" in page
    assert "https://calendar.example.com/…" in page
    assert "/on-call/feeds/mst_cal_" in page
    for kind in ("overrides", "calendars"):
        (one,) = re.findall(rf"/{kind}/({ID})/remove", page)
        assert world.bob.post(f"{path}/{kind}/{one}/remove").status_code == 303
    assert world.bob.post(f"{PATH}/feed").status_code == 303
    assert "/on-call/feeds/mst_cal_" in world.bob.get(PATH).text
    change = {"name": "First", "time_zone": "Asia/Tokyo"}
    assert world.bob.post(f"{path}/change", data=change).status_code == 303
    assert "Asia/Tokyo" in world.bob.get(path).text
    assert world.bob.post(f"{path}/remove").status_code == 303
    assert world.bob.get(path).status_code == 404


def test_a_policy_is_made_changed_and_removed_by_the_form(world: World) -> None:
    schedule_id = a_schedule(world).rpartition("/")[2]
    assert world.bob.get(f"{PATH}/policies/new").status_code == 200
    a_policy(world, f"schedule:{schedule_id}", f"person:{world.bob.person_id}", "action:")
    (policy_id,) = re.findall(rf"/policies/({ID})", world.alice.get(PATH).text)
    page = world.alice.get(f"{PATH}/policies/{policy_id}").text
    assert f'value="schedule:{schedule_id}" selected' in page
    empty = {"name": "x", "minimum_severity": "critical", "target": "", "wait_minutes": "5"}
    refused = world.bob.post(f"{PATH}/policies/{policy_id}/change", data=empty).text
    assert "Choose what happens in the first step" in refused
    assert world.bob.post(f"{PATH}/policies/{policy_id}/remove").status_code == 303
    assert world.bob.get(f"{PATH}/policies/{policy_id}").status_code == 404


def test_the_page_of_an_escalation_tells_what_happened_and_acknowledges(world: World) -> None:
    woken(world)
    (escalation_id,) = re.findall(rf"/escalations/({ID})", world.bob.get(PATH).text)
    path = f"{PATH}/escalations/{escalation_id}"
    page = world.bob.get(path).text
    assert "Step 1: told Alice." in page
    assert "<b>production</b>" not in page
    assert world.bob.post(f"{path}/acknowledge").status_code == 303
    assert "Bob has acknowledged it on its page." in world.bob.get(path).text
    assert world.bob.get(f"{PATH}/escalations").status_code == 200
    assert world.charlie.get(path).status_code == 404
    assert world.charlie.post(f"{path}/acknowledge").status_code == 404


def test_following_a_link_acknowledges_nothing_and_its_button_does(world: World) -> None:
    link = woken(world)
    for method in ("GET", "HEAD", "GET"):
        answer = world.stranger.request(method, link)
        assert answer.status_code in (200, 405)
        assert state(world) == "running"
    page = world.stranger.get(link)
    assert f'action="{link}"' in page.text
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    answer = world.stranger.post(link)
    assert answer.status_code == 200
    assert "It is yours" in answer.text
    assert state(world) == "acknowledged"
    with reading() as session:
        (said,) = [
            e for _, e in said_events(session) if type(e).__name__ == "EscalationAcknowledged"
        ]
    assert said.person == "Alice"  # type: ignore[attr-defined] # of that event


def test_a_link_works_once(world: World) -> None:
    link = woken(world)
    world.stranger.post(link)
    for method in ("GET", "POST"):
        answer = world.stranger.request(method, link)
        assert answer.status_code == 410
        assert "This link was used" in answer.text


def test_a_link_ends_with_its_day_and_with_its_alert(world: World) -> None:
    a_policy(world, f"person:{world.alice.person_id}")
    alert_id = an_alert(world)
    link = f"{links.PREFIX}/{links.token_of(the_notice().id)}"
    with transaction() as session:
        session.query(EscalationNotice).one().link_ends_at = utc_now() - timedelta(seconds=1)
    for method in ("GET", "POST"):
        answer = world.stranger.request(method, link)
        assert answer.status_code == 410
        assert "too old" in answer.text
    with transaction() as session:
        session.query(EscalationNotice).one().link_ends_at = utc_now() + DAY
        facts: dict[str, Any] = {"type": "instance_down", "severity": "critical", "title": "Down"}
        event = AlertResolved(
            **world.instance.ids, **facts, alert_id=alert_id, resolved_at=utc_now()
        )
        say(session, event, now=utc_now())
    run_waiting(now=utc_now())
    answer = world.stranger.post(link)
    assert answer.status_code == 410
    assert "The alert is over" in answer.text
    assert state(world) == "ended"


def test_a_link_that_was_never_sent_opens_nothing(world: World) -> None:
    link = woken(world)
    for changed in (link[:-1] + "A" * 2, link.split(".")[0], f"{links.PREFIX}/x", link + "x" * 500):
        for method in ("GET", "POST"):
            assert world.stranger.request(method, changed).status_code in (400, 404), changed
    assert state(world) == "running"


@pytest.fixture
def channel(world: World) -> Iterator[None]:
    """A chat that can be told."""
    install_answers(
        (
            channels_of_organization.answered_by(lambda *_: [OPS]),
            tell_channel.answered_by(lambda *_, now: bool(now)),
        )
    )
    yield
    forget_answers()


def told_in_channel(world: World, *, ago: timedelta = timedelta(0)) -> str:
    """The path of the link in a message that a step sent to a chat."""
    alert_id = an_alert(world)
    with reading() as session:
        url = links.link_of_channel(session, alert_id, OPS.id, at=utc_now() - ago)
    return links.PREFIX + url.partition(links.PREFIX)[2]


@pytest.mark.usefixtures("channel")
def test_who_reads_a_channel_takes_an_alert_in_hand_by_its_button_alone(world: World) -> None:
    a_policy(world, f"channel:{OPS.id}")
    page = world.bob.get(f"{PATH}/policies/new").text
    assert "The channel Inspections: ops (#ops)" in page
    link = told_in_channel(world)
    assert "<button" in world.stranger.get(link).text
    assert state(world) == "running"
    assert "It is yours" in world.stranger.post(link).text
    assert state(world) == "acknowledged"
    assert f"Somebody in {OPS.name} acknowledged it" in world.stranger.post(link).text
    with reading() as session:
        (said,) = [
            event for _, event in said_events(session) if isinstance(event, EscalationAcknowledged)
        ]
    assert (said.person, said.how) == (f"Somebody in {OPS.name}", "by the link in a message")


@pytest.mark.usefixtures("channel")
def test_a_link_in_a_channel_ends_with_its_day_its_round_its_channel_and_its_alert(
    world: World,
) -> None:
    a_policy(world, f"channel:{OPS.id}")
    old = told_in_channel(world, ago=DAY)
    assert "too old" in world.stranger.post(old).text
    with reading() as session:
        escalation = session.query(Escalation).one()
        url = links.link_of_channel(session, escalation.alert_id, OPS.id, at=utc_now())
        strange = links.link_of_channel(session, escalation.alert_id, "gone", at=utc_now())
    link = links.PREFIX + url.partition(links.PREFIX)[2]
    assert "was removed" in world.stranger.post(strange[strange.index(links.PREFIX) :]).text
    moved = replace(OPS, place="another chat")
    install_answers((channels_of_organization.answered_by(lambda *_: [moved]),))
    assert "leads elsewhere" in world.stranger.post(link).text
    install_answers((channels_of_organization.answered_by(lambda *_: [OPS]),))
    with transaction() as session:
        session.query(Escalation).one().round += 1
    answer = world.stranger.post(link)
    assert (answer.status_code, "began again" in answer.text) == (410, True)
    assert world.stranger.post(link[:-3] + "abc").status_code == 404
    assert state(world) == "running"
    with transaction() as session:
        session.query(Escalation).one().state = EscalationState.ENDED
    assert "The alert is over" in world.stranger.get(link).text
    with reading() as session:
        assert links.link_of_channel(session, escalation.alert_id, OPS.id, at=utc_now()) == ""


@pytest.mark.usefixtures("channel")
def test_whoever_guesses_links_has_to_wait_and_locks_nobody_out_who_was_sent_one(
    world: World,
) -> None:
    link = woken(world)
    answers = [world.stranger.get(f"{links.PREFIX}/x").status_code for _ in range(35)]
    assert answers[:30] == [404] * 30
    assert 429 in answers[30:]
    with reading() as session:
        alert_id = session.query(Escalation).one().alert_id
        url = links.link_of_channel(session, alert_id, OPS.id, at=utc_now())
    for each in (link, links.PREFIX + url.partition(links.PREFIX)[2]):
        assert world.stranger.get(each).status_code == 200
    assert "It is yours" in world.stranger.post(link).text


def test_a_link_after_somebody_elses_acknowledgement_says_who_has_it(world: World) -> None:
    link = woken(world)
    (escalation_id,) = re.findall(rf"/escalations/({ID})", world.bob.get(PATH).text)
    world.bob.post(f"{PATH}/escalations/{escalation_id}/acknowledge")
    for method in ("GET", "POST"):
        page = world.stranger.request(method, link)
        assert page.status_code == 200
        assert "Bob acknowledged it" in page.text

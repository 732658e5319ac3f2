from datetime import timedelta

import pytest
from mainstay_server.areas.abuse.models import Mode
from mainstay_server.areas.abuse.service import bans, watching
from mainstay_server.contracts.abuse import AbuseDetected, BanLifted
from mainstay_server.contracts.guard import AddressConduct, KeyOnTheMove
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.areas.abuse.worlds import ATTACKER, NOON, conduct, others_say
from tests.conftest import Said
from tests.world import a_project


def found(said: Said) -> list[tuple[str, str, str]]:
    return [
        (event.rule, event.offender, event.action)
        for event in said()
        if isinstance(event, AbuseDetected)
    ]


def switch(session: Session, instance: InstanceRef, mode: Mode) -> None:
    watching.change_settings(session, instance, mode=mode, thresholds=None, now=NOON)


def sprays(instance: InstanceRef, address: str = ATTACKER) -> list[AddressConduct]:
    return [conduct(instance.id, address, credentials=25, unauthorized=25)]


def test_at_first_abuse_is_only_simulated_and_told_once_an_hour(
    session: Session, said: Said
) -> None:
    instance = a_project(session, now=NOON)
    for minutes in (0, 1, 59):
        watching.judge_addresses(session, sprays(instance), now=NOON + timedelta(minutes=minutes))
    assert found(said) == [("key_spraying", f"{ATTACKER}/32", "simulated")]
    assert bans.active_bans(session, instance.id, now=NOON) == []
    watching.judge_addresses(session, sprays(instance), now=NOON + timedelta(minutes=61))
    assert len(found(said)) == 1


def test_enforced_it_is_banned_once_with_its_reason(session: Session, said: Said) -> None:
    instance = a_project(session, now=NOON)
    switch(session, instance, Mode.ENFORCE)
    for _ in range(2):
        watching.judge_addresses(session, sprays(instance), now=NOON)
    assert found(said) == [("key_spraying", f"{ATTACKER}/32", "banned")]
    (ban,) = bans.active_bans(session, instance.id, now=NOON)
    assert ban.reason == "25 different keys were refused within ten minutes"
    assert ban.evidence["credentials"] == 25


def test_the_allowlisted_and_proxies_are_spared_and_it_is_said(
    session: Session, said: Said
) -> None:
    instance = a_project(session, now=NOON)
    switch(session, instance, Mode.ENFORCE)
    with others_say(allowed=[ATTACKER], proxies=["10.0.0.7"]):
        watching.judge_addresses(session, sprays(instance), now=NOON)
        watching.judge_addresses(session, sprays(instance, "10.0.0.7"), now=NOON)
    assert found(said) == [
        ("key_spraying", f"{ATTACKER}/32", "spared"),
        ("key_spraying", "10.0.0.7/32", "spared"),
    ]
    assert bans.active_bans(session, instance.id, now=NOON) == []


def test_switched_off_nothing_is_looked_for(session: Session, said: Said) -> None:
    instance = a_project(session, now=NOON)
    switch(session, instance, Mode.OFF)
    watching.judge_addresses(session, sprays(instance), now=NOON)
    assert found(said) == []


def test_a_key_in_many_networks_at_once_is_told_and_nobody_banned(
    session: Session, said: Said
) -> None:
    instance = a_project(session, now=NOON)
    switch(session, instance, Mode.ENFORCE)
    moving = KeyOnTheMove(
        instance_id=instance.id, key_id="k", networks=5, addresses=("203.0.113.1",)
    )
    few = KeyOnTheMove(instance_id=instance.id, key_id="l", networks=4, addresses=())
    for _ in range(2):
        watching.judge_keys(session, [moving, few], now=NOON)
    assert found(said) == [("impossible_hop", "key:k", "told")]
    assert bans.active_bans(session, instance.id, now=NOON) == []


def test_settings_that_make_no_sense_are_refused(session: Session) -> None:
    instance = a_project(session, now=NOON)
    for thresholds in ({"unknown": 1}, {"key_spraying": -1}):
        with pytest.raises(Invalid):
            watching.change_settings(session, instance, mode=None, thresholds=thresholds, now=NOON)


def test_at_the_limit_only_who_is_worse_than_somebody_else_is_banned_and_that_is_said(
    session: Session, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bans, "MOST_ACTIVE", 3)
    instance = a_project(session, now=NOON)
    switch(session, instance, Mode.ENFORCE)
    again, mild, new = "198.51.100.9", "198.51.100.1", "198.51.100.2"
    watching.judge_addresses(session, sprays(instance, again), now=NOON - timedelta(days=1))
    bans.ban_by_hand(session, instance, "203.0.113.0/24", minutes=600, reason="", now=NOON)
    for address in (mild, "198.51.100.3"):
        watching.judge_addresses(session, sprays(instance, address), now=NOON)

    for _ in range(2):
        watching.judge_addresses(session, sprays(instance, new), now=NOON)
    watching.judge_addresses(session, sprays(instance, again), now=NOON)

    events = said()
    assert found(lambda: events)[-2:] == [
        ("key_spraying", f"{new}/32", "full"),
        ("key_spraying", f"{again}/32", "banned"),
    ]
    active = bans.active_bans(session, instance.id, now=NOON)
    assert [ban.network for ban in active] == [
        f"{again}/32",
        "198.51.100.3/32",
        "203.0.113.0/24",
    ]
    lifted = [event for event in events if isinstance(event, BanLifted)]
    assert [event.network for event in lifted] == [f"{mild}/32"]


def test_a_clock_that_is_set_back_by_a_day_neither_silences_abuse_nor_bans_for_good(
    session: Session, said: Said
) -> None:
    instance = a_project(session, now=NOON)
    day = timedelta(days=1)
    watching.judge_addresses(session, sprays(instance), now=NOON + day)
    watching.judge_addresses(session, sprays(instance), now=NOON)
    assert [action for *_, action in found(said)] == ["simulated", "simulated"]

    switch(session, instance, Mode.ENFORCE)
    watching.judge_addresses(session, sprays(instance), now=NOON + day)
    (ban,) = bans.active_bans(session, instance.id, now=NOON)
    watching.judge_addresses(session, sprays(instance), now=NOON)
    assert [one.id for one in bans.active_bans(session, instance.id, now=NOON)] == [ban.id]
    assert bans.active_bans(session, instance.id, now=NOON + 2 * day) == []

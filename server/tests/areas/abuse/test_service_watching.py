from datetime import timedelta

import pytest
from mainstay_server.areas.abuse.models import Mode
from mainstay_server.areas.abuse.service import bans, watching
from mainstay_server.contracts.abuse import AbuseDetected
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

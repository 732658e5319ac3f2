from datetime import timedelta

import pytest
from mainstay_server.areas.abuse.models import Ban
from mainstay_server.areas.abuse.service import bans
from mainstay_server.contracts.abuse import BanImposed, BanLifted
from mainstay_server.kernel.guard import policy_version
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.models import Role, SignInSession
from sqlalchemy.orm import Session
from tests.areas.abuse.worlds import NOON, others_say
from tests.conftest import Said
from tests.tenancy.worlds import a_person, an_organization
from tests.world import a_project


def hand(session: Session, instance: InstanceRef, network: str, minutes: int = 60) -> Ban:
    return bans.ban_by_hand(session, instance, network, minutes=minutes, reason="", now=NOON)


def test_an_address_is_banned_alone_and_ipv6_with_its_network() -> None:
    assert bans.network_of("198.51.100.4") == "198.51.100.4/32"
    assert bans.network_of("::ffff:198.51.100.4") == "198.51.100.4/32"
    assert bans.network_of("2001:db8:1:2:3::4") == "2001:db8:1:2::/64"


def test_each_ban_within_a_month_lasts_longer(session: Session) -> None:
    instance = a_project(session, now=NOON)
    lengths, now = [], NOON
    for _ in range(6):
        ban = bans.impose(
            session, instance, "198.51.100.4/32", rule="r", reason="r", evidence={}, now=now
        )
        lengths.append(ban.until - now)
        now = ban.until + timedelta(minutes=1)
    assert lengths == [*bans.ESCALATION, bans.ESCALATION[-1]]

    later = now + timedelta(days=31)
    ban = bans.impose(
        session, instance, "198.51.100.4/32", rule="r", reason="r", evidence={}, now=later
    )
    assert ban.until - later == bans.ESCALATION[0]


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ("127.0.0.1", "machine's own"),
        ("::1", "machine's own"),
        ("10.1.2.3", "one of the proxies"),
        ("203.0.113.9", "on the allowlist"),
        ("203.0.0.0/16", "on the allowlist"),
    ],
)
def test_the_wrong_ones_are_never_banned(session: Session, network: str, reason: str) -> None:
    instance = a_project(session, now=NOON)
    with (
        others_say(allowed=["203.0.113.0/24"], proxies=["10.0.0.0/8"]),
        pytest.raises(Conflict, match=reason),
    ):
        hand(session, instance, network)


def test_whoever_operates_the_api_does_not_ban_themselves(session: Session) -> None:
    instance = a_project(session, now=NOON)
    person = a_person(session, "Alice", an_organization(session), Role.OWNER)
    session.add(
        SignInSession(
            id="s" * 36,
            person_id=person.id,
            organization_id=instance.organization_id,
            token_hash="t" * 64,
            created_at=NOON,
            last_seen_at=NOON,
            expires_at=NOON,
            address="198.51.100.4",
            client="",
        )
    )
    session.flush()
    with pytest.raises(Conflict, match="signed in"):
        hand(session, instance, "198.51.100.4")


@pytest.mark.parametrize("network", ["", "example.com", "0.0.0.0/0", "10.0.0.0/8", "2001::/16"])
def test_a_network_that_is_none_or_too_wide_is_refused(session: Session, network: str) -> None:
    instance = a_project(session, now=NOON)
    with pytest.raises(Invalid):
        hand(session, instance, network)


def test_banning_and_lifting_is_said_once_and_followed(session: Session, said: Said) -> None:
    instance = a_project(session, now=NOON)
    ban = hand(session, instance, "198.51.100.4")
    with pytest.raises(Conflict, match="already"):
        hand(session, instance, "198.51.100.4")
    for _ in range(2):
        bans.lift(session, instance, ban.id, now=NOON + timedelta(minutes=1))

    assert [type(event) for event in said()] == [BanImposed, BanLifted]
    assert policy_version(session, instance.id) == 2
    assert bans.active_bans(session, instance.id, now=NOON + timedelta(minutes=1)) == []


def test_a_ban_ends_by_itself(session: Session) -> None:
    instance = a_project(session, now=NOON)
    hand(session, instance, "198.51.100.4", minutes=30)
    assert len(bans.active_bans(session, instance.id, now=NOON + timedelta(minutes=29))) == 1
    assert bans.active_bans(session, instance.id, now=NOON + timedelta(minutes=30)) == []
    assert bans.forget_old(session, before=NOON + timedelta(days=90)) == 1


def test_a_ban_of_another_instance_is_not_there(session: Session) -> None:
    instance = a_project(session, now=NOON)
    other = a_project(session, now=NOON, slug="other", number=2)
    ban = hand(session, instance, "198.51.100.4")
    with pytest.raises(NotFound):
        bans.lift(session, other, ban.id, now=NOON)


@pytest.mark.parametrize("search", ["scanner paths", "scanner_paths", "198.51", "asked for"])
def test_a_ban_is_found_by_network_by_reason_and_by_its_rule_as_shown(
    session: Session, search: str
) -> None:
    instance = a_project(session, now=NOON)
    bans.impose(
        session,
        instance,
        "198.51.100.4/32",
        rule="scanner_paths",
        reason="It asked for /.env.",
        evidence={},
        now=NOON,
    )
    found = bans.list_bans(session, instance.id, limit=5, cursor="", search=search)
    assert len(found.items) == 1
    missed = bans.list_bans(session, instance.id, limit=5, cursor="", search="spraying")
    assert not missed.items

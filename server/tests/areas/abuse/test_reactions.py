from mainstay_server.areas.abuse import reactions
from mainstay_server.areas.abuse.service import bans
from mainstay_server.contracts.ip_allowlist import AllowlistEntryAdded, AllowlistEntryChanged
from sqlalchemy.orm import Session
from tests.areas.abuse.worlds import NOON
from tests.world import a_project


def test_who_is_put_on_the_allowlist_is_not_banned_any_more(session: Session) -> None:
    instance = a_project(session, now=NOON)
    for network in ("198.51.100.4", "198.51.100.5", "192.0.2.1"):
        bans.ban_by_hand(session, instance, network, minutes=60, reason="", now=NOON)
    added = AllowlistEntryAdded(**instance.ids, entry_id="e", network="198.51.100.4/32")
    reactions.lift_bans_of_the_allowed.function(session, added, now=NOON)
    assert len(bans.active_bans(session, instance.id, now=NOON)) == 2

    off = AllowlistEntryChanged(
        **instance.ids,
        entry_id="e",
        network="198.51.100.0/24",
        changes={"enabled": (True, False)},
    )
    reactions.lift_bans_of_the_switched_on.function(session, off, now=NOON)
    assert len(bans.active_bans(session, instance.id, now=NOON)) == 2
    on = AllowlistEntryChanged(
        **instance.ids,
        entry_id="e",
        network="198.51.100.0/24",
        changes={"enabled": (False, True)},
    )
    reactions.lift_bans_of_the_switched_on.function(session, on, now=NOON)
    (left,) = bans.active_bans(session, instance.id, now=NOON)
    assert left.network == "192.0.2.1/32"

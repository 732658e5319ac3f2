"""Who may come in from where: entries, and the guard's step that looks at the address."""

import ipaddress
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.contracts.ip_allowlist import (
    AllowlistEntryAdded,
    AllowlistEntryChanged,
    AllowlistEntryRemoved,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.guard import GuardStep, Passage, touch_policies
from mainstay_server.kernel.guard.steps import Section
from mainstay_server.kernel.networks import Networks, shown
from mainstay_server.kernel.problems import Conflict, Forbidden, Invalid, NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.models import Instance

from .models import AllowlistEntry

MOST_ENTRIES = 1000
FACTS = ("network", "description", "enabled")


def list_entries(session: Session, instance_id: str) -> Sequence[AllowlistEntry]:
    """The entries of an instance, oldest first, those that are off too; at most 1,000."""
    return session.scalars(
        sa.select(AllowlistEntry)
        .where(AllowlistEntry.instance_id == instance_id)
        .order_by(AllowlistEntry.id)
        .limit(MOST_ENTRIES)
    ).all()


def add_entry(
    session: Session,
    instance: InstanceRef,
    network: str,
    *,
    description: str = "",
    enabled: bool = True,
    now: datetime,
) -> AllowlistEntry:
    """Let an address or network in. The first entry that is on keeps everybody else out.

    Raises:
        Invalid: it is no address or network.
        Conflict: it is listed already, or the list is full.
    """
    clean = clean_network(network)
    session.get_one(Instance, instance.id, with_for_update=True)  # one at a time, or two go in
    present = list_entries(session, instance.id)
    if any(entry.network == clean for entry in present):
        raise Conflict(f"{shown(clean)} is on the list already; switch its entry on instead.")
    if len(present) >= MOST_ENTRIES:
        raise Conflict(f"The list has {MOST_ENTRIES} entries; remove one or add a wider network.")
    entry = AllowlistEntry(
        id=new_id(),
        instance_id=instance.id,
        network=clean,
        description=description.strip(),
        enabled=enabled,
        created_at=now,
    )
    session.add(entry)
    session.flush()
    say(
        session,
        AllowlistEntryAdded(
            **instance.ids,
            entry_id=entry.id,
            network=clean,
            changes=changes_between({}, facts_of(entry, FACTS)),
        ),
        now=now,
    )
    touch_policies(session, [instance.id])
    return entry


def change_entry(
    session: Session,
    instance: InstanceRef,
    entry_id: str,
    *,
    enabled: bool | None = None,
    description: str | None = None,
    now: datetime,
) -> AllowlistEntry:
    """Switch an entry on or off (None: the other way), or describe it anew.

    Raises:
        NotFound: the instance has no such entry.
    """
    entry = _get_entry(session, instance, entry_id)
    before = facts_of(entry, FACTS)
    if enabled is not None or description is None:
        entry.enabled = not entry.enabled if enabled is None else enabled
    if description is not None:
        entry.description = description.strip()
    session.flush()
    changes = changes_between(before, facts_of(entry, FACTS))
    if changes:
        say(
            session,
            AllowlistEntryChanged(
                **instance.ids, entry_id=entry.id, network=entry.network, changes=changes
            ),
            now=now,
        )
        touch_policies(session, [instance.id])
    return entry


def remove_entry(session: Session, instance: InstanceRef, entry_id: str, *, now: datetime) -> None:
    """Take an entry away. Without one that is on, everybody gets in again.

    Raises:
        NotFound: the instance has no such entry.
    """
    entry = _get_entry(session, instance, entry_id)
    session.delete(entry)
    session.flush()
    say(
        session,
        AllowlistEntryRemoved(
            **instance.ids,
            entry_id=entry.id,
            network=entry.network,
            changes=changes_between(facts_of(entry, FACTS), {}),
        ),
        now=now,
    )
    touch_policies(session, [instance.id])


def find_entry_for(
    entries: Sequence[AllowlistEntry], address: str
) -> tuple[AllowlistEntry | None, bool]:
    """The entry by which an address gets in, and whether the list keeps anybody out.

    Raises:
        Invalid: it is no address.
    """
    network = ipaddress.ip_network(clean_network(address))
    if network.num_addresses != 1:
        raise Invalid("address must be a single address, such as 203.0.113.9.")
    active = [entry for entry in entries if entry.enabled]
    found = next((e for e in active if str(network[0]) in Networks([e.network])), None)
    return found, bool(active)


def allowed_networks(session: Session, instance_id: str) -> Sequence[str]:
    """The networks that an instance's allowlist lets in, whether or not others are kept out."""
    return [entry.network for entry in list_entries(session, instance_id) if entry.enabled]


def clean_network(text: str, prefix: str | int | None = None) -> str:
    """An address or network in its one form: `203.0.113.7/32`, host bits cleared, IPv4 unmapped.

    `prefix` is the length of the network's prefix, or the whole network again.

    Raises:
        Invalid: it is no address or network; how to write one.
    """
    given, ending = text.strip(), str("" if prefix is None else prefix).strip()
    if "/" in ending.lstrip("/"):
        given = ending
    elif ending and "/" not in given:
        given = f"{given}/{ending.lstrip('/')}"
    try:
        network = ipaddress.ip_network(given, strict=False)
    except ValueError:
        raise Invalid(
            f"{given[:60]!r} is no address or network; write it like 203.0.113.7 or 10.0.0.0/8."
        ) from None
    return str(Networks.unmapped(network))


def publish(session: Session, instance: InstanceRef, _now: datetime) -> dict[str, Any] | None:
    """The section `allowlist` of the policy; None while everybody may come from anywhere."""
    networks = allowed_networks(session, instance.id)
    return {"active": True, "networks": list(networks)} if networks else None


def compile_networks(section: Section) -> Networks | None:
    """What decides: the networks, or None when the list keeps nobody out."""
    return Networks(section["networks"]) if section["active"] else None


async def decide(networks: Networks | None, passage: Passage) -> None:
    """Refuse an address that is not on the list; one that is not known is not decided."""
    address = passage.request.address
    if networks is not None and address and address not in networks:
        raise Forbidden(
            "Your address is not on the allowlist of this API; ask its operator to add it.",
            code="address-not-allowed",
        )


step = GuardStep(
    section="allowlist", order=30, publish=publish, compile=compile_networks, decide=decide
)


def _get_entry(session: Session, instance: InstanceRef, entry_id: str) -> AllowlistEntry:
    entry = session.get(AllowlistEntry, entry_id)
    if entry is None or entry.instance_id != instance.id:
        raise NotFound("There is no such entry on this instance's allowlist; list it first.")
    return entry

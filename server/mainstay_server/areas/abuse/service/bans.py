"""Bans: imposed with a reason and an end, longer each time, lifted by hand or by the allowlist."""

import ipaddress
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.abuse.models import Ban
from mainstay_server.contracts.abuse import BanImposed, BanLifted
from mainstay_server.contracts.guard import trusted_networks
from mainstay_server.contracts.ip_allowlist import allowed_networks
from mainstay_server.kernel import networks
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.guard import touch_policies
from mainstay_server.kernel.networks import Networks
from mainstay_server.kernel.pagination import Page, decode_cursor, page_of
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.kernel.settings import ServerSettings, of
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.service.sessions import addresses_signed_in

from .rules import BY_HAND

MOST_ACTIVE = 10_000
NARROWEST = {4: 16, 6: 32}
ESCALATION = (
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
    timedelta(days=7),
)
REMEMBERED = timedelta(days=30)


def network_of(address: str) -> str:
    """What is banned for the conduct of an address: it alone, or its IPv6 network of 64 bits."""
    return str(Networks.unmapped(ipaddress.ip_network(networks.network_of(address))))


def why_spared(session: Session, instance: InstanceRef, network: str) -> str:
    """Why a network may never be banned: our own, a proxy's, on the allowlist, an operator's.

    Returns "" for one that may be.
    """
    parsed = ipaddress.ip_network(network)
    if parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified:
        return "it is this machine's own"
    proxies = [text.strip() for text in of(ServerSettings).trusted_proxies.split(",")]
    groups = {
        "it is one of the proxies": [*_networks(proxies), *trusted_networks(session, instance.id)],
        "it is on the allowlist": list(allowed_networks(session, instance.id)),
        "somebody who operates this API is signed in from there": [
            f"{address}" for address in addresses_signed_in(session, instance.organization_id)
        ],
    }
    for reason, spared in groups.items():
        for each in _networks(spared):
            other = ipaddress.ip_network(each, strict=False)
            if other.version == parsed.version and other.overlaps(parsed):
                return reason
    return ""


def impose(  # noqa: PLR0913 - one ban, all that is said of it
    session: Session,
    instance: InstanceRef,
    network: str,
    *,
    rule: str,
    reason: str,
    evidence: Mapping[str, Any],
    simulated: bool = False,
    lasts: timedelta | None = None,
    now: datetime,
) -> Ban:
    """Keep a network out: for a given time, or for longer each time within thirty days."""
    level = _earlier(session, instance.id, network, simulated=simulated, now=now)
    until = now + (lasts or ESCALATION[min(level, len(ESCALATION) - 1)])
    ban = Ban(
        id=new_id(),
        instance_id=instance.id,
        network=network,
        rule=rule,
        reason=reason[:300],
        evidence=dict(evidence),
        simulated=simulated,
        level=level,
        starts_at=now,
        until=until,
    )
    session.add(ban)
    session.flush()
    if not simulated:
        facts = {"network": network, "rule": rule, "reason": reason, "until": until}
        said = BanImposed(
            **instance.ids, ban_id=ban.id, network=network, changes=changes_between({}, facts)
        )
        say(session, said, now=now)
        touch_policies(session, [instance.id])
    return ban


def ban_by_hand(
    session: Session,
    instance: InstanceRef,
    text: str,
    *,
    minutes: int,
    reason: str,
    now: datetime,
) -> Ban:
    """Keep an address or network out because somebody says so.

    Raises:
        Invalid: it is no network, or a very wide one.
        Conflict: it may never be banned and why, it is banned already, or too many are.
    """
    network = _clean(text)
    spared = why_spared(session, instance, network)
    if spared:
        raise Conflict(f"{network} is not banned: {spared}.")
    if find_active(session, instance.id, network, simulated=False, now=now) is not None:
        raise Conflict(f"{network} is banned already; lift that ban to give it another end.")
    if count_active(session, instance.id, now=now) >= MOST_ACTIVE:
        raise Conflict(f"{MOST_ACTIVE:,} bans are active; lift some, or ban wider networks.")
    return impose(
        session,
        instance,
        network,
        rule=BY_HAND,
        reason=reason.strip() or "banned by hand",
        evidence={},
        lasts=timedelta(minutes=minutes),
        now=now,
    )


def make_room(session: Session, instance: InstanceRef, network: str, *, now: datetime) -> bool:
    """Whether one more ban by a rule fits, at the limit in the place of a milder one.

    The more often a network was banned lately, the more severe its ban is. Among equals the older
    ones stay, so that a flood of new addresses lets nobody out; bans by hand always stay.
    """
    if count_active(session, instance.id, now=now) < MOST_ACTIVE:
        return True
    level = _earlier(session, instance.id, network, simulated=False, now=now)
    mildest = session.scalars(
        sa.select(Ban)
        .where(*_is_active(instance.id, now), Ban.rule != BY_HAND, Ban.level < level)
        .order_by(Ban.level, Ban.until)
        .limit(1)
    ).first()
    if mildest is None:
        return False
    _lift(session, instance, mildest, because="a more severe one took its place", now=now)
    return True


def lift(session: Session, instance: InstanceRef, ban_id: str, *, now: datetime) -> Ban:
    """End a ban before its time; one that is over already stays as it is.

    Raises:
        NotFound: the instance has no such ban.
    """
    ban = session.get(Ban, ban_id)
    if ban is None or ban.instance_id != instance.id:
        raise NotFound("There is no such ban of this instance; list its bans first.")
    if ban.lifted_at is None and ban.until > now:
        _lift(session, instance, ban, because="by hand", now=now)
    return ban


def lift_within(session: Session, instance: InstanceRef, network: str, *, now: datetime) -> int:
    """End every ban inside a network that was put on the allowlist; how many."""
    allowed = ipaddress.ip_network(network)
    lifted = 0
    for ban in active_bans(session, instance.id, now=now):
        banned = ipaddress.ip_network(ban.network)
        if banned.version == allowed.version and banned.overlaps(allowed):
            _lift(session, instance, ban, because="it is on the allowlist now", now=now)
            lifted += 1
    return lifted


def active_bans(session: Session, instance_id: str, *, now: datetime) -> Sequence[Ban]:
    """The bans that keep somebody out now, the newest first, at most 10,000."""
    return session.scalars(
        sa.select(Ban)
        .where(*_is_active(instance_id, now))
        .order_by(Ban.id.desc())
        .limit(MOST_ACTIVE)
    ).all()


def count_active(session: Session, instance_id: str, *, now: datetime) -> int:
    """How many bans keep somebody out now."""
    active = sa.select(sa.func.count()).select_from(Ban).where(*_is_active(instance_id, now))
    return session.scalar(active) or 0


def find_active(
    session: Session, instance_id: str, network: str, *, simulated: bool, now: datetime
) -> Ban | None:
    """The ban of exactly this network that is not over, if there is one."""
    return session.scalars(
        sa.select(Ban)
        .where(
            Ban.instance_id == instance_id,
            Ban.network == network,
            Ban.until > now,
            Ban.lifted_at.is_(None),
            Ban.simulated.is_(simulated),
        )
        .limit(1)
    ).first()


def list_bans(
    session: Session,
    instance_id: str,
    *,
    limit: int,
    cursor: str,
    search: str = "",
    active_at: datetime | None = None,
) -> Page[Ban]:
    """All bans of an instance, the newest first; simulated and past ones too without `active_at`.

    `search` is a part of the network, the rule (as it is kept or shown) or the reason.
    """
    statement = sa.select(Ban).where(Ban.instance_id == instance_id)
    if active_at is not None:
        statement = statement.where(*_is_active(instance_id, active_at))
    if search.strip():
        wanted = search.strip()
        matching = [
            part.icontains(text, autoescape=True)
            for part, text in (
                (Ban.network, wanted),
                (Ban.rule, wanted.replace(" ", "_")),
                (Ban.reason, wanted),
            )
        ]
        statement = statement.where(sa.or_(*matching))
    position = decode_cursor(cursor, parts=1)
    if position is not None:
        statement = statement.where(Ban.id < str(position[0]))
    found = session.scalars(statement.order_by(Ban.id.desc()).limit(limit + 1)).all()
    return page_of(found, limit=limit, key=lambda ban: (ban.id,))


def forget_old(session: Session, *, before: datetime) -> int:
    """Delete bans that were over long ago; the ones that make the next one longer stay."""
    deleted = session.scalars(sa.delete(Ban).where(Ban.until < before).returning(Ban.id)).all()
    return len(deleted)


def _lift(
    session: Session, instance: InstanceRef, ban: Ban, *, because: str, now: datetime
) -> None:
    ban.lifted_at, ban.lifted_because = now, because
    session.flush()
    if ban.simulated:
        return
    facts = {"until": ban.until}
    said = BanLifted(
        **instance.ids,
        ban_id=ban.id,
        network=ban.network,
        changes=changes_between(facts, {"until": now}),
    )
    say(session, said, now=now)
    touch_policies(session, [instance.id])


def _is_active(instance_id: str, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        Ban.instance_id == instance_id,
        Ban.until > now,
        Ban.lifted_at.is_(None),
        Ban.simulated.is_(False),
    )


def _earlier(
    session: Session, instance_id: str, network: str, *, simulated: bool, now: datetime
) -> int:
    count = sa.select(sa.func.count()).where(
        Ban.instance_id == instance_id,
        Ban.network == network,
        Ban.simulated.is_(simulated),
        Ban.starts_at > now - REMEMBERED,
    )
    return session.scalar(count) or 0


def _clean(text: str) -> str:
    try:
        network = Networks.unmapped(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError:
        raise Invalid(
            f"{text[:60]!r} is no address or network; write it like 198.51.100.4 or"
            " 198.51.100.0/24."
        ) from None
    if network.prefixlen < NARROWEST[network.version]:
        raise Invalid(
            f"{network} is too wide to ban by hand; /{NARROWEST[network.version]} is the widest."
        )
    return str(network)


def _networks(texts: Sequence[str]) -> list[str]:
    """Those of the texts that are addresses or networks; a proxy may be named `*`, or a socket."""
    found = []
    for text in texts:
        try:
            found.append(str(ipaddress.ip_network(text, strict=False)))
        except ValueError:  # noqa: PERF203 - a handful
            continue
    return found

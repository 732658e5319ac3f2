"""Looking for abuse: the rules over the last minutes, and what is done about what they find."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.abuse.models import AbuseSettings, Ban, Mode
from mainstay_server.contracts.abuse import AbuseDetected, AbuseSettingsChanged
from mainstay_server.contracts.guard import AddressConduct, KeyOnTheMove
from mainstay_server.kernel.database import insert
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import find_instance

from . import bans
from .rules import DEFAULTS, IMPOSSIBLE_HOP, Broken, broken_by, fewest_refused

WINDOW = timedelta(minutes=10)
QUIET = timedelta(hours=1)
MOST_THRESHOLD = 1_000_000


def find_settings(session: Session, instance_id: str) -> AbuseSettings:
    """How an instance looks for abuse: its own settings, or the defaults, which nobody stored."""
    found = session.get(AbuseSettings, instance_id)
    if found is not None:
        return found
    return AbuseSettings(instance_id=instance_id, mode=Mode.SIMULATE, thresholds={})


def change_settings(
    session: Session,
    instance: InstanceRef,
    *,
    mode: Mode | None,
    thresholds: Mapping[str, int] | None,
    now: datetime,
) -> AbuseSettings:
    """Change how an instance looks for abuse; a threshold of 0 switches its rule off.

    Raises:
        Invalid: there is no such rule, or the threshold is none.
    """
    for name, threshold in (thresholds or {}).items():
        if name not in DEFAULTS:
            raise Invalid(f"There is no rule {name[:40]!r}; the rules are {', '.join(DEFAULTS)}.")
        if not 0 <= threshold <= MOST_THRESHOLD:
            raise Invalid(f"{name}: a threshold is between 0 (off) and {MOST_THRESHOLD:,}.")
    new = insert(AbuseSettings).values(
        instance_id=instance.id, mode=Mode.SIMULATE, thresholds={}, changed_at=now
    )
    session.execute(new.on_conflict_do_nothing())
    row = session.get_one(AbuseSettings, instance.id, with_for_update=True)
    before = {"mode": row.mode, **DEFAULTS, **row.thresholds}
    row.mode = mode if mode is not None else row.mode
    row.thresholds = {**row.thresholds, **(thresholds or {})}
    row.changed_at = now
    session.flush()
    changes = changes_between(before, {"mode": row.mode, **DEFAULTS, **row.thresholds})
    if changes:
        say(session, AbuseSettingsChanged(**instance.ids, changes=changes), now=now)
    return row


def fewest_of_all(session: Session) -> int:
    """How many refused requests an address needs, anywhere, to be worth a look."""
    rows = session.scalars(sa.select(AbuseSettings)).all()
    return fewest_refused([{}, *(row.thresholds for row in rows)])


def judge_addresses(session: Session, conducts: Sequence[AddressConduct], *, now: datetime) -> int:
    """Ban, or only say of, those addresses that broke a rule; returns how many were found.

    Whoever is banned already is left alone, so that running this again changes nothing. What is
    spared or simulated is said once an hour.
    """
    found = 0
    for conduct in conducts:
        instance = find_instance(session, conduct.instance_id)
        if instance is None:
            continue
        settings = find_settings(session, instance.id)
        broken = None if settings.mode == Mode.OFF else broken_by(conduct, settings.thresholds)
        if broken is not None and _act(session, instance, conduct, broken, settings, now=now):
            found += 1
    return found


def judge_keys(session: Session, moving: Sequence[KeyOnTheMove], *, now: datetime) -> int:
    """Say of each key that was used from too many networks at once, once an hour."""
    found = 0
    for key in moving:
        instance = find_instance(session, key.instance_id)
        if instance is None:
            continue
        settings = find_settings(session, instance.id)
        threshold = settings.thresholds.get(IMPOSSIBLE_HOP, DEFAULTS[IMPOSSIBLE_HOP])
        if settings.mode == Mode.OFF or not threshold or key.networks < threshold:
            continue
        offender = f"key:{key.key_id}"
        if not _first_in_a_while(session, instance, offender, IMPOSSIBLE_HOP, now=now):
            continue
        evidence = (
            f"One key was used from {key.networks} networks within ten minutes:"
            f" {', '.join(key.addresses)}."
        )
        detected = AbuseDetected(
            **instance.ids, rule=IMPOSSIBLE_HOP, offender=offender, evidence=evidence, action="told"
        )
        say(session, detected, now=now)
        found += 1
    return found


def _act(
    session: Session,
    instance: InstanceRef,
    conduct: AddressConduct,
    broken: Broken,
    settings: AbuseSettings,
    *,
    now: datetime,
) -> bool:
    try:
        network = bans.network_of(conduct.address)
    except ValueError:
        return False
    if bans.find_active(session, instance.id, network, simulated=False, now=now):
        return False
    rule, reason = broken.rule.name, f"{broken.words} within ten minutes"
    spared, action = bans.why_spared(session, instance, network), "banned"
    if spared:
        action, reason = "spared", f"{reason}, and is spared: {spared}"
    elif settings.mode == Mode.SIMULATE:
        action = "simulated"
    elif not bans.make_room(session, instance, network, now=now):
        action, reason = "full", f"{reason}, but {bans.MOST_ACTIVE:,} bans are active already"
    simulated = action != "banned"
    if simulated and not _first_in_a_while(session, instance, network, rule, now=now):
        return False
    ban = bans.impose(
        session,
        instance,
        network,
        rule=rule,
        reason=reason,
        evidence=_evidence(conduct),
        simulated=simulated,
        now=now,
    )
    detected = AbuseDetected(
        **instance.ids,
        rule=rule,
        offender=network,
        evidence=reason,
        action=action,
        until=ban.until if action == "banned" else None,
    )
    say(session, detected, now=now)
    return True


def _first_in_a_while(
    session: Session, instance: InstanceRef, offender: str, rule: str, *, now: datetime
) -> bool:
    """Whether this was not told within the last hour; remembers that it is told now."""
    told = session.scalars(
        sa.select(Ban.id)
        .where(
            Ban.instance_id == instance.id,
            Ban.network == offender[:50],
            Ban.rule == rule,
            Ban.simulated.is_(True),
            # Not what a clock that was set back since wrote down for a later time.
            Ban.starts_at.between(now - QUIET, now + QUIET),
        )
        .limit(1)
    ).first()
    if told is not None:
        return False
    if rule == IMPOSSIBLE_HOP:
        bans.impose(
            session,
            instance,
            offender[:50],
            rule=rule,
            reason="used from many networks at once",
            evidence={},
            simulated=True,
            now=now,
        )
    return True


def _evidence(conduct: AddressConduct) -> dict[str, object]:
    return {
        "total": conduct.total,
        "unauthorized": conduct.unauthorized,
        "forbidden": conduct.forbidden,
        "notFound": conduct.not_found,
        "limited": conduct.limited,
        "credentials": conduct.credentials,
        "routes": conduct.routes,
        "paths": list(conduct.paths),
    }

"""What the scorecard asks of API keys, answered from the keys and from who uses them."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.kernel.readiness import (
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Weight,
    readiness_check,
)
from mainstay_server.kernel.subjects import InstanceRef

from .service import ageing, asking, keys, listing, usage

PRODUCTION = "production"
NO_KEYS = NotApplicable(reason="there are no API keys")
LEAST_SCOPES = 2


@readiness_check("api_keys.rotated", "Is no API key too old?")
def keys_are_rotated(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Whether every key in use is younger than the instance wants keys to become."""
    days = asking.find_settings(session, instance.id).rotate_after_days
    living = keys.count_living(session, instance.id, now=now)
    if not living:
        return NO_KEYS
    if not days:
        return NotApplicable(reason="keys of this instance may become as old as they like")
    count, oldest = ageing.count_older(session, instance.id, days=days, now=now)
    if count and oldest is not None:
        age = (now - oldest).days
        return Finding(
            problem=f"{_keys(count)} older than {days} days; the oldest is {age} days old.",
            fix="Rotate them: the old key works beside the new one for a grace period.",
            fix_url=instance.page("api-keys"),
        )
    return Passed(evidence=f"{_keys(living)} at most {days} days old.")


@readiness_check(
    "api_keys.end", "Do production's API keys end by themselves?", weight=Weight.SHOULD
)
def production_keys_end(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Whether a key that everybody forgot would open production for good."""
    if instance.environment != PRODUCTION:
        return NotApplicable(reason=f"{instance.environment} is not {PRODUCTION}")
    living = keys.count_living(session, instance.id, now=now)
    if not living:
        return NO_KEYS
    endless = listing.count_endless(session, instance.id)
    if endless:
        return Finding(
            problem=f"{_keys(endless)} without an end: a forgotten one opens production for good.",
            fix="Give each key an end; people are reminded a week before.",
            fix_url=instance.page("api-keys"),
        )
    return Passed(evidence=f"{_keys(living)} bound to end.")


@readiness_check("api_keys.narrow", "Does no API key have all scopes?", weight=Weight.SHOULD)
def keys_are_narrow(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Whether a single stolen key would open everything that asks for a scope."""
    rules = asking.find_settings(session, instance.id).scopes
    asked = {scope for rule in rules for scope in rule["scopes"]}
    if len(asked) < LEAST_SCOPES:
        return NotApplicable(reason="paths ask for fewer than two scopes")
    if not keys.count_living(session, instance.id, now=now):
        return NO_KEYS
    wide = listing.names_with_all(session, instance.id, asked, now=now)
    if wide:
        named = ", ".join(wide[:3]) + (" and more" if len(wide) > len(wide[:3]) else "")
        return Finding(
            problem=f"{_keys(len(wide))} given all {len(asked)} scopes: {named}.",
            fix="Give each key the scopes that its user needs, and no others.",
            fix_url=instance.page("api-keys"),
        )
    return Passed(evidence=f"No key has all of the {len(asked)} scopes that paths ask for.")


@readiness_check("api_keys.old_rest", "Do replaced API keys rest?", weight=Weight.SHOULD)
def old_keys_rest(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Whether somebody still uses a key that has a successor, and will soon be refused."""
    if not keys.count_living(session, instance.id, now=now):
        return NO_KEYS
    found = usage.old_keys_in_use(session, instance.id, now=now)
    if not found:
        return Passed(evidence="Within a day nobody used a key that was replaced.")
    first = found[0]
    ends_at = first.key.ends_at
    when = "ended" if ends_at is not None and ends_at <= now else "ends"
    addresses = len(first.usage.addresses)
    more = f" So are {len(found) - 1} others." if len(found) > 1 else ""
    return Finding(
        problem=f"The replaced key {first.key.name!r} is still used from {addresses} "
        f"{'address' if addresses == 1 else 'addresses'}; it {when} at"
        f" {ends_at:%Y-%m-%d %H:%M} UTC.{more}",
        fix="Look at who uses it, and have them take the new key.",
        fix_url=instance.page(f"api-keys/{first.key.id}"),
    )


def _keys(count: int) -> str:
    return "1 API key is" if count == 1 else f"{count:,} API keys are"

"""Rotation: a successor at once, and an end for the old key that needs no job to come."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.api_keys.models import ApiKey, Status
from mainstay_server.areas.api_keys.settings import ApiKeyAreaSettings
from mainstay_server.contracts.api_keys import ApiKeyRotated
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.guard import touch_policies
from mainstay_server.kernel.problems import Conflict
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.subjects import InstanceRef

from .keys import copy_key, earlier_of, facts, get_key, is_living, say_created

# Keys in grace come beside those that count; so many of both is what a policy may carry.
MOST_WITH_GRACE = 2
MOST_LINKS = 50

_WHY_NOT = {
    Status.REVOKED: "That API key was revoked; make a new one.",
    Status.RETIRED: "That API key has been replaced already; rotate its successor.",
    Status.ROTATING: "That API key is being replaced already; rotate its successor.",
    Status.EXPIRED: "That API key has expired; make a new one, or give it a later end first.",
    Status.DISABLED: "That API key is disabled; enable it first, or make a new one.",
}


@dataclass(frozen=True, kw_only=True)
class Rotated:
    """Both keys after a rotation; `key` is the new one itself, which is kept nowhere."""

    old: ApiKey
    new: ApiKey
    key: str


def rotate_key(
    session: Session, instance: InstanceRef, key_id: str, *, grace: timedelta, now: datetime
) -> Rotated:
    """Give a key a successor that may the same, and let the old one work for the grace.

    The old key never outlives the end that it had. The new one lives as long as the old was made
    for. Of several who rotate one key at once exactly one succeeds; the others are told so.

    Raises:
        NotFound: the instance has no such key.
        Conflict: it has a successor, or opens nothing any more; or there are too many keys.
    """
    old = get_key(session, instance.id, key_id, to_change=True)
    refusal = _WHY_NOT.get(old.status_at(now))
    if refusal is not None:
        raise Conflict(refusal, code="key-not-rotatable")
    new, key = copy_key(session, instance, old, now=now)
    retires_at = now + grace
    old.replaced_by = new.id
    old.retires_at = old.ends_at = earlier_of(old.expires_at, retires_at) or retires_at
    session.flush()
    say_created(session, instance, new, now=now)
    rotated = ApiKeyRotated(
        **facts(instance, old),
        new_api_key_id=new.id,
        retires_at=old.retires_at,
        changes=changes_between({}, {"replaced_by": new.id, "retires_at": old.retires_at}),
    )
    say(session, rotated, now=now)
    touch_policies(session, [instance.id])
    _refuse_too_many(session, instance.id, now=now)
    return Rotated(old=old, new=new, key=key)


def chain_of(session: Session, key: ApiKey) -> list[ApiKey]:
    """The keys that came before and after a key and it itself, oldest first; at most 50 each way.

    One that was forgotten ends the chain.
    """
    before = _walk(session, key, "replaces")
    return [*reversed(before), key, *_walk(session, key, "replaced_by")]


def _walk(session: Session, key: ApiKey, link: Literal["replaces", "replaced_by"]) -> list[ApiKey]:
    found: list[ApiKey] = []
    while len(found) < MOST_LINKS:
        next_id: str | None = getattr(found[-1] if found else key, link)
        reached = _find(session, key.instance_id, next_id)
        if reached is None:
            break
        found.append(reached)
    return found


def _find(session: Session, instance_id: str, key_id: str | None) -> ApiKey | None:
    if key_id is None:
        return None
    return session.scalar(
        sa.select(ApiKey).where(ApiKey.id == key_id, ApiKey.instance_id == instance_id)
    )


def _refuse_too_many(session: Session, instance_id: str, *, now: datetime) -> None:
    """Refuse to pile up keys in grace; asked after `touch_policies`, as for new ones."""
    most = MOST_WITH_GRACE * of(ApiKeyAreaSettings).api_keys_most_per_instance
    living = session.scalar(
        sa.select(sa.func.count()).where(ApiKey.instance_id == instance_id, *is_living(now))
    )
    if (living or 0) > most:
        raise Conflict(
            f"The instance has {most} API keys with those in grace; revoke replaced ones first.",
            code="too-many-keys",
        )

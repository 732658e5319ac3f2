"""Keys: made and shown once, changed, stopped; every change reaches the guard within a second."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.api_keys.models import ApiKey, Status
from mainstay_server.areas.api_keys.schemas import ApiKeyChanges, NewApiKey
from mainstay_server.areas.api_keys.settings import ApiKeyAreaSettings
from mainstay_server.contracts.api_keys import ApiKeyChanged, ApiKeyCreated, ApiKeyRevoked
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.guard import touch_policies
from mainstay_server.kernel.problems import Conflict, NotFound
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.subjects import InstanceRef

from . import fields
from .asking import find_settings
from .minting import Minted, mint


def create_key(
    session: Session, instance: InstanceRef, wanted: NewApiKey, *, now: datetime
) -> tuple[ApiKey, str]:
    """Make a key, which opens from now on.

    Returns the row and the key itself, which is kept nowhere.

    Raises:
        Invalid: a field that makes no sense.
        Conflict: the instance or the owner has as many living keys as it may have.
    """
    minted = mint(instance.environment, instance.project_id)
    expires_at = fields.clean_expiry(wanted.expires_at, now=now)
    made = _row(minted, instance, now=now)
    made.name = fields.clean_name(wanted.name)
    made.owner = fields.clean_owner(wanted.owner)
    made.plan = fields.clean_plan(wanted.plan)
    made.scopes = fields.clean_scopes(wanted.scopes)
    made.networks = fields.clean_networks(wanted.networks)
    made.limits = fields.clean_limits(wanted.limits)
    made.extra = fields.clean_metadata(wanted.metadata)
    made.expires_at = made.ends_at = expires_at
    session.add(made)
    session.flush()
    say_created(session, instance, made, now=now)
    touch_policies(session, [instance.id])
    _refuse_too_many(session, instance, made.owner, now=now)
    return made, minted.key


def copy_key(
    session: Session, instance: InstanceRef, old: ApiKey, *, now: datetime
) -> tuple[ApiKey, str]:
    """A key that may what another may, for as long as that one was made for."""
    minted = mint(instance.environment, instance.project_id)
    made = _row(minted, instance, now=now)
    for name in ("name", "owner", "plan", "scopes", "networks", "limits", "extra"):
        setattr(made, name, getattr(old, name))
    if old.expires_at is not None:
        made.expires_at = made.ends_at = now + (old.expires_at - old.created_at)
    made.replaces = old.id
    session.add(made)
    session.flush()
    return made, minted.key


def get_key(session: Session, instance_id: str, key_id: str, *, to_change: bool = False) -> ApiKey:
    """One key of an instance. Raises `NotFound`.

    Who wants to change it holds it: on PostgreSQL others who want to wait, and then see the change.
    """
    statement = sa.select(ApiKey).where(ApiKey.id == key_id, ApiKey.instance_id == instance_id)
    if to_change:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    found = session.scalar(statement)
    if found is None:
        raise NotFound("This instance has no such API key; GET …/api-keys lists them.")
    return found


def change_key(
    session: Session, instance: InstanceRef, key_id: str, changes: ApiKeyChanges, *, now: datetime
) -> ApiKey:
    """Change what was given, and say what differs.

    Raises:
        Invalid: a field that makes no sense.
        NotFound: the instance has no such key.
        Conflict: the key was revoked or has a successor that took its place.
    """
    key = get_key(session, instance.id, key_id, to_change=True)
    if key.status_at(now) in (Status.REVOKED, Status.RETIRED):
        raise Conflict("That API key opens nothing any more; make a new one.", code="key-dead")
    before = told_of(key)
    metadata = key.extra
    for name, value in _cleaned(changes, key, now=now).items():
        setattr(key, name, value)
    key.ends_at = earlier_of(key.expires_at, key.retires_at)
    changes_told = changes_between(before, told_of(key))
    if not changes_told and key.extra == metadata:
        return key
    if "expires_at" in changes_told:
        key.expiry_reminded_at = None
    session.flush()
    say(session, ApiKeyChanged(**facts(instance, key), changes=changes_told), now=now)
    touch_policies(session, [instance.id])
    if "owner" in changes_told:
        _refuse_too_many(session, instance, key.owner, now=now)
    return key


def revoke_key(session: Session, instance: InstanceRef, key_id: str, *, now: datetime) -> ApiKey:
    """Stop a key everywhere within a second; one that was revoked already stays as it is.

    Raises `NotFound`.
    """
    key = get_key(session, instance.id, key_id, to_change=True)
    if key.revoked_at is None:
        key.revoked_at = now
        session.flush()
        ended = changes_between({}, {"revoked_at": now})
        say(session, ApiKeyRevoked(**facts(instance, key), changes=ended), now=now)
        touch_policies(session, [instance.id])
    return key


def count_living(
    session: Session, instance_id: str, *, now: datetime, owner: str | None = None
) -> int:
    """How many keys could open something now or be made to, without those that have a successor."""
    statement = sa.select(sa.func.count()).where(
        ApiKey.instance_id == instance_id, ApiKey.replaced_by.is_(None), *is_living(now)
    )
    if owner is not None:
        statement = statement.where(ApiKey.owner == owner)
    return session.scalar(statement) or 0


def is_living(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    """The conditions of a key that has not come to its end."""
    return (ApiKey.revoked_at.is_(None), sa.or_(ApiKey.ends_at.is_(None), ApiKey.ends_at > now))


def facts(instance: InstanceRef, key: ApiKey) -> dict[str, Any]:
    """What every event about a key carries."""
    return {
        **instance.ids,
        "api_key_id": key.id,
        "name": key.name,
        "hint": key.hint,
        "owner": key.owner,
    }


def told_of(key: ApiKey) -> dict[str, object]:
    """What an audit log may know of a key; what people keep with it is theirs alone."""
    return {
        "name": key.name,
        "owner": key.owner,
        "plan": key.plan,
        "scopes": list(key.scopes),
        "networks": list(key.networks),
        "limits": [f"{limit['quota']} in {limit['windowSeconds']} s" for limit in key.limits],
        "metadata": sorted(key.extra),
        "enabled": key.enabled,
        "expires_at": key.expires_at,
    }


def say_created(session: Session, instance: InstanceRef, key: ApiKey, *, now: datetime) -> None:
    """Say that there is a new key."""
    created = changes_between({}, told_of(key))
    say(session, ApiKeyCreated(**facts(instance, key), changes=created), now=now)


def earlier_of(one: datetime | None, other: datetime | None) -> datetime | None:
    """The earlier of two ends, where None is never."""
    ends = [end for end in (one, other) if end is not None]
    return min(ends, default=None)


def _row(minted: Minted, instance: InstanceRef, *, now: datetime) -> ApiKey:
    return ApiKey(
        id=new_id(),
        instance_id=instance.id,
        digest=minted.digest,
        fingerprint=minted.fingerprint,
        prefix=minted.prefix,
        last_four=minted.last_four,
        enabled=True,
        created_at=now,
    )


def _refuse_too_many(session: Session, instance: InstanceRef, owner: str, *, now: datetime) -> None:
    """Refuse the one too many. Asked after `touch_policies`, where all who add wait for each other.

    Counted before it, two that come at once would both be let in on PostgreSQL.
    """
    most = of(ApiKeyAreaSettings).api_keys_most_per_instance
    if count_living(session, instance.id, now=now) > most:
        raise Conflict(
            f"The instance has {most} API keys; revoke some that nobody uses.", code="too-many-keys"
        )
    most_of_owner = find_settings(session, instance.id).most_per_owner
    if owner and count_living(session, instance.id, now=now, owner=owner) > most_of_owner:
        raise Conflict(
            f"{owner} has {most_of_owner} API keys; revoke some, or raise mostPerOwner.",
            code="too-many-keys",
        )


def _cleaned(changes: ApiKeyChanges, key: ApiKey, *, now: datetime) -> dict[str, Any]:
    """The columns that were given, cleaned; only the end may be given as null."""
    clean: dict[str, Callable[[Any], Any]] = {
        "name": fields.clean_name,
        "owner": fields.clean_owner,
        "plan": fields.clean_plan,
        "scopes": fields.clean_scopes,
        "networks": fields.clean_networks,
        "limits": fields.clean_limits,
        "enabled": bool,
    }
    found: dict[str, Any] = {
        name: cleaned(getattr(changes, name))
        for name, cleaned in clean.items()
        if getattr(changes, name) is not None
    }
    if changes.metadata is not None:
        found["extra"] = fields.clean_metadata(changes.metadata)
    if "expires_at" in changes.model_fields_set and changes.expires_at != key.expires_at:
        found["expires_at"] = fields.clean_expiry(changes.expires_at, now=now)
    return found

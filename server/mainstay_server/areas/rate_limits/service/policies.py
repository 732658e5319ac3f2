"""The limits of an instance: the default that everybody has, and what people made of it."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.rate_limits.models import By, RateLimitPolicy
from mainstay_server.areas.rate_limits.schemas import DEFAULTS, PRESETS, NewRateLimit, Policy
from mainstay_server.contracts.rate_limits import (
    RateLimitChanged,
    RateLimitCreated,
    RateLimitRemoved,
)
from mainstay_server.kernel.database import insert, rows_changed
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.guard import touch_policies
from mainstay_server.kernel.limits import OnError, Rate
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.models import Instance

MOST_POLICIES = 50
LISTS = ("methods", "paths", "plans")


def list_policies(session: Session, instance_id: str) -> list[Policy]:
    """All limits of an instance, the defaults first, then by name; at most 51."""
    rows = session.scalars(
        sa.select(RateLimitPolicy)
        .where(RateLimitPolicy.instance_id == instance_id)
        .order_by(RateLimitPolicy.name)
        .limit(MOST_POLICIES + len(DEFAULTS))
    )
    changed = {row.name: _policy(row) for row in rows}
    return list((DEFAULTS | changed).values())


def get_policy(session: Session, instance_id: str, name: str) -> Policy:
    """One limit of an instance. Raises `NotFound`."""
    row = session.get(RateLimitPolicy, (instance_id, name))
    if row is not None:
        return _policy(row)
    if name not in DEFAULTS:
        raise NotFound(f"There is no limit {name[:64]!r}; GET …/rate-limits lists them.")
    return DEFAULTS[name]


def create_policy(
    session: Session, instance: InstanceRef, wanted: NewRateLimit, *, now: datetime
) -> Policy:
    """Add a limit, and have every process and app follow within a second.

    Raises:
        Invalid: a rate that cannot be counted; names the field.
        Conflict: the name is taken, or the instance has 50.
    """
    given = wanted.model_dump()
    policy = _checked(_tupled(given | {"burst": wanted.burst or wanted.quota}))
    # Whoever adds at the same moment waits here, so that the number of limits stays one.
    session.get_one(Instance, instance.id, with_for_update=True)
    count = sa.select(sa.func.count()).where(RateLimitPolicy.instance_id == instance.id)
    if (session.scalar(count) or 0) >= MOST_POLICIES:
        raise Conflict(f"The instance has {MOST_POLICIES} limits; remove one first.")
    if policy.name in DEFAULTS or not _keep(session, instance, policy, is_new=True, now=now):
        raise Conflict(f"There is a limit {policy.name!r}; change that one.")
    _say(session, instance, None, policy, now=now)
    return policy


def add_preset(session: Session, instance: InstanceRef, name: str, *, now: datetime) -> Policy:
    """Add one of the limits that many want. Raises `NotFound`, `Conflict`."""
    if name not in PRESETS:
        raise NotFound(f"There is no preset {name[:64]!r}; GET …/rate-limits lists them.")
    wanted = NewRateLimit.model_validate(PRESETS[name].policy.to_wire())
    return create_policy(session, instance, wanted, now=now)


def change_policy(
    session: Session,
    instance: InstanceRef,
    name: str,
    changes: Mapping[str, Any],
    *,
    now: datetime,
) -> Policy:
    """Change what is given of a limit. A burst that was the quota follows it.

    Raises:
        NotFound: there is no limit of that name.
        Invalid: a rate that cannot be counted; names the field.
    """
    session.get_one(Instance, instance.id, with_for_update=True)  # or a change beside this is lost
    before = get_policy(session, instance.id, name)
    given = dict(changes)
    if "quota" in given and "burst" not in given and before.burst == before.quota:
        given["burst"] = given["quota"]
    after = _checked(_tupled(asdict(before) | given))
    if after == before:
        return before
    _keep(session, instance, after, is_new=False, now=now)
    _say(session, instance, before, after, now=now)
    return after


def remove_policy(session: Session, instance: InstanceRef, name: str, *, now: datetime) -> None:
    """Remove a limit.

    Raises:
        NotFound: there is no limit of that name.
        Conflict: the default stays; it can be switched off.
    """
    session.get_one(Instance, instance.id, with_for_update=True)  # or a change brings it back
    policy = get_policy(session, instance.id, name)
    if name in DEFAULTS:
        raise Conflict(f"The limit {name!r} cannot be removed; switch it off.")
    session.execute(
        sa.delete(RateLimitPolicy).where(
            RateLimitPolicy.instance_id == instance.id, RateLimitPolicy.name == name
        )
    )
    _say(session, instance, policy, None, now=now)


def _keep(
    session: Session, instance: InstanceRef, policy: Policy, *, is_new: bool, now: datetime
) -> bool:
    values = {
        name: list(value) if name in LISTS else value for name, value in _told(policy).items()
    }
    values |= {"changed_at": now}
    row = insert(RateLimitPolicy).values(instance_id=instance.id, name=policy.name, **values)
    keys = ["instance_id", "name"]
    return bool(
        rows_changed(
            session,
            row.on_conflict_do_nothing(index_elements=keys)
            if is_new
            else row.on_conflict_do_update(index_elements=keys, set_=values),
        )
    )


def _checked(given: Mapping[str, Any]) -> Policy:
    """The limit, if it can be counted."""
    policy = Policy(**given)
    try:
        Rate(policy.quota, policy.window_seconds, policy.burst)
    except ValueError as error:
        field = "burst" if "burst" in str(error) else "quota"
        raise _invalid(field, f"{error}") from error
    if policy.cost > policy.burst:
        raise _invalid("cost", "is more than the burst: no request would ever pass")
    return policy


def _invalid(field: str, reason: str) -> Invalid:
    return Invalid(f"{field}: {reason}.", errors=[{"field": field, "message": reason}])


def _told(policy: Policy) -> dict[str, Any]:
    return {name: value for name, value in asdict(policy).items() if name != "name"}


def _tupled(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if name in LISTS else value for name, value in given.items()}


def _policy(row: RateLimitPolicy) -> Policy:
    return Policy(
        name=row.name,
        methods=tuple(row.methods),
        paths=tuple(row.paths),
        plans=tuple(row.plans),
        by=By(row.by),
        quota=row.quota,
        window_seconds=row.window_seconds,
        burst=row.burst,
        cost=row.cost,
        on_backend_error=OnError(row.on_backend_error),
        simulate=row.simulate,
        enabled=row.enabled,
    )


def _say(
    session: Session,
    instance: InstanceRef,
    before: Policy | None,
    after: Policy | None,
    *,
    now: datetime,
) -> None:
    """Say what differs, and have the policy made anew."""
    named = after or before
    assert named is not None, "something changed"
    kind = RateLimitChanged if before and after else RateLimitCreated
    event = (kind if after else RateLimitRemoved)(
        **instance.ids,
        name=named.name,
        changes=changes_between(_told(before) if before else {}, _told(after) if after else {}),
    )
    say(session, event, now=now)
    touch_policies(session, [instance.id])

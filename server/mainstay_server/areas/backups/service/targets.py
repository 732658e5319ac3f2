"""Targets: what is backed up, when, where to, for whom it is sealed, and how long it is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import (
    Backup,
    BackupDestination,
    BackupStatus,
    BackupTarget,
    BackupTargetDestination,
)
from mainstay_server.areas.backups.providers import ENGINES
from mainstay_server.contracts.backups import (
    BackupTargetChanged,
    BackupTargetCreated,
    BackupTargetKeyShown,
    BackupTargetRemoved,
)
from mainstay_server.kernel.copies.crypts import (
    MOST_RECIPIENTS,
    new_identity,
    recipient_of,
)
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.models import Instance
from mainstay_server.tenancy.subjects import find_project

from . import drill_places, troubles
from .choosing import KEEPS, TargetChoice, apply, new_target, send_to
from .destinations import ensure_own_destination
from .schedules import next_turn, schedule_of

MOST_TARGETS = 100
FACTS = (
    *("name", "engine", "shown", "is_enabled", "interval_hours", "cron", "time_zone", *KEEPS),
    *("recipients", "drills", "too_small_percent"),
)


class NewKey(StrEnum):
    """Whether a new pair of keys is made, and whether its secret one is kept for drills, sealed."""

    NONE = "none"
    SHOWN = "shown"
    KEPT = "kept"


@dataclass(frozen=True)
class MadeTarget:
    """A new target; `identity` is its new secret key, to be shown this once, or ""."""

    target: BackupTarget
    identity: str = field(repr=False)


def create_target(
    session: Session,
    instance: InstanceRef,
    *,
    engine: str,
    choice: TargetChoice,
    new_key: NewKey = NewKey.NONE,
    now: datetime,
) -> MadeTarget:
    """Have something backed up; its first backup is due at once.

    Without destinations it goes to the one on this server. A new key's public half becomes a
    recipient, and its secret half is returned.

    Raises:
        Invalid: something cannot be, or nobody could open what would be sealed.
        Conflict: the name is taken, or the instance has 100 targets.
        NotFound: a destination is not the project's.
    """
    if engine not in ENGINES:
        raise Invalid(f"The engine must be one of {', '.join(ENGINES)}.")
    session.get_one(Instance, instance.id, with_for_update=True)  # one at a time, or two go in
    if len(list_targets(session, instance.id)) >= MOST_TARGETS:
        raise Conflict(f"The instance has {MOST_TARGETS} targets; remove one first.")
    identity = "" if new_key is NewKey.NONE else new_identity()
    target = new_target(session, instance, engine, now=now)
    apply(session, target, _completed(choice, identity, keeps_key=new_key is NewKey.KEPT))
    session.add(target)
    session.flush()
    chosen = choice.destinations
    if chosen is None:
        project = find_project(session, instance.project_id)
        assert project is not None, "it has an instance"
        chosen = [ensure_own_destination(session, project, now=now).id]
    send_to(session, target, chosen)
    changes = changes_between({}, _facts(session, target))
    say(session, BackupTargetCreated(**ids_of(target), changes=changes), now=now)
    if identity:
        _say_shown(session, target, identity, now=now)
    return MadeTarget(target, identity)


def change_target(
    session: Session, target: BackupTarget, choice: TargetChoice, *, now: datetime
) -> BackupTarget:
    """Change what somebody says of a target; backups that are there stay as they are.

    Raises: as `create_target`.
    """
    before = _facts(session, target)
    secrets = _secrets(target)
    schedule = (schedule_of(target), target.is_enabled)
    apply(session, target, choice)
    if choice.destinations is not None:
        send_to(session, target, choice.destinations)
    if (schedule_of(target), target.is_enabled) != schedule:
        plan_next(target, now=now)
        target.expected_since = target.next_run_at or now
    session.flush()
    changes = changes_between(before, _facts(session, target))
    if _secrets(target) != secrets:
        changes.setdefault("secrets", ("the old ones", "new ones"))
    if changes:
        say(session, BackupTargetChanged(**ids_of(target), changes=changes), now=now)
    if not target.is_enabled:
        reason = "Its backups were switched off."
        troubles.forget(session, target, reason=reason, now=now)
    return target


def make_key(
    session: Session, target: BackupTarget, *, keeps_key: bool = False, now: datetime
) -> str:
    """Add a new pair of keys to the recipients; returns the secret one, to be shown this once.

    Backups that are there do not open with it. Raises `Conflict` when there are 20 recipients.
    """
    identity = new_identity()
    recipient = recipient_of(identity)
    assert recipient is not None, "it was made here"
    if len(target.recipients) >= MOST_RECIPIENTS:
        raise Conflict(f"It is sealed for {MOST_RECIPIENTS} keys already; take one away first.")
    choice = TargetChoice(
        recipients=[*target.recipients, recipient], drill_key=identity if keeps_key else None
    )
    change_target(session, target, choice, now=now)
    _say_shown(session, target, identity, now=now)
    return identity


def remove_target(session: Session, target: BackupTarget, *, now: datetime) -> None:
    """Have something backed up no longer, and forget its backups; their copies stay where they are.

    Raises:
        Conflict: a backup of it is running; cancel that first.
    """
    running = sa.select(Backup.id).where(
        Backup.target_id == target.id, Backup.status == BackupStatus.RUNNING
    )
    if session.scalar(running) is not None:
        raise Conflict("A backup of it is running; cancel that first.")
    changes = changes_between(_facts(session, target), {})
    troubles.forget(session, target, reason="It is not backed up any more.", now=now)
    names = ids_of(target)
    session.delete(target)
    session.flush()
    say(session, BackupTargetRemoved(**names, changes=changes), now=now)


def list_targets(session: Session, instance_id: str) -> Sequence[BackupTarget]:
    """The targets of an instance, by name; at most 100."""
    return session.scalars(
        sa.select(BackupTarget)
        .where(BackupTarget.instance_id == instance_id)
        .order_by(BackupTarget.name)
        .limit(MOST_TARGETS)
    ).all()


def get_target(session: Session, target_id: str) -> BackupTarget:
    """The row of a target that the door has already let in. Raises `NotFound`."""
    found = session.get(BackupTarget, target_id)
    if found is None:
        raise NotFound("There is no such target, or it is not yours; list them first.")
    return found


def owner_of(session: Session, target_id: str) -> str | None:
    """The organization of a target, for `access.via`."""
    found = session.get(BackupTarget, target_id)
    return None if found is None else found.organization_id


def destinations_of(session: Session, target_id: str) -> Sequence[BackupDestination]:
    """Where a target's copies go, by name; at most 8."""
    return session.scalars(
        sa.select(BackupDestination)
        .join(
            BackupTargetDestination,
            BackupTargetDestination.destination_id == BackupDestination.id,
        )
        .where(BackupTargetDestination.target_id == target_id)
        .order_by(BackupDestination.name)
    ).all()


def plan_next(target: BackupTarget, *, now: datetime) -> None:
    """Set the target's next turn after this moment; none while it is off."""
    target.next_run_at = (
        next_turn(schedule_of(target), after=now, anchor=target.created_at)
        if target.is_enabled
        else None
    )


def ids_of(target: BackupTarget) -> dict[str, str]:
    """What every audited event about a target carries."""
    return {
        "organization_id": target.organization_id,
        "project_id": target.project_id,
        "instance_id": target.instance_id,
        "target_id": target.id,
        "name": target.name,
        "shown": target.shown,
    }


def _completed(choice: TargetChoice, identity: str, *, keeps_key: bool) -> TargetChoice:
    """The choice for a new target, with its new key; refuses what would be without a name."""
    if choice.config is None or choice.name is None:
        raise Invalid("A target needs a name and a config.")
    recipients = list(choice.recipients or [])
    if identity:
        recipients.append(str(recipient_of(identity)))
    return replace(
        choice,
        recipients=recipients,
        drill_key=identity if identity and keeps_key else choice.drill_key,
    )


def _facts(session: Session, target: BackupTarget) -> dict[str, object]:
    names = [each.name for each in destinations_of(session, target.id)]
    place = drill_places.shown(target)
    return {**facts_of(target, FACTS), "destinations": names, "drill_place": place}


def _secrets(target: BackupTarget) -> tuple[object, ...]:
    return (target.config, target.drill_place, target.drill_key, target.heartbeat_url)


def _say_shown(session: Session, target: BackupTarget, identity: str, *, now: datetime) -> None:
    event = BackupTargetKeyShown(
        organization_id=target.organization_id,
        project_id=target.project_id,
        instance_id=target.instance_id,
        target_id=target.id,
        name=target.name,
        shown=target.shown,
        recipient=str(recipient_of(identity)),
    )
    say(session, event, now=now)

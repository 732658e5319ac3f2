"""Checks: made and changed with their instance, or by hand."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks.models import HERE, HealthCheck
from mainstay_server.areas.health_checks.providers import SHORTEST_INTERVALS
from mainstay_server.areas.health_checks.schemas.bodies import (
    HealthCheckChanges,
    NewCheck,
    NewHealthCheck,
)
from mainstay_server.contracts.health_checks import (
    HealthCheckChanged,
    HealthCheckCreated,
    HealthCheckEvent,
    HealthCheckRemoved,
)
from mainstay_server.contracts.tenancy import InstanceChanged
from mainstay_server.kernel import watching
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import Changes, changes_between, facts_of, say
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.watching import State

from . import configs, judging, places
from .expiry import forget_ends
from .recording import mark_silence
from .telling import DEFAULT_NAME, change, say_told

MOST_PER_INSTANCE = 2_000
MOST_PER_PROJECT = 10_000
FOLLOWED = ("url", "interval_seconds", "timeout_seconds", "degraded_after_ms")
ASKED_ANEW = (*FOLLOWED, "config", "conditions", "paused")
SETTABLE = (
    *("name", "target", "interval_seconds", "timeout_seconds", "degraded_after_ms", "conditions"),
    *("fail_after", "recover_after", "tell_after_seconds", "tags", "parent_id", "expiry_days"),
    *("paused", "locations", "quorum"),
)
MOST_ANCESTORS = 10
NO_URL = "the instance has no URL"
NOT_ASKED = "not asked yet"


def follow_instance(session: Session, event: InstanceChanged, *, now: datetime) -> None:
    """Let the instance's own check ask what the instance is now, at once.

    It is made with the first URL. Without a URL it rests and keeps its history. Hearing the same
    twice changes nothing.
    """
    check = session.scalar(
        sa.select(HealthCheck).where(HealthCheck.default_of == event.instance_id).with_for_update()
    )
    wanted: dict[str, object] = {
        "url": event.health_url,
        "interval_seconds": event.interval_seconds,
        "timeout_seconds": event.timeout_seconds,
        "degraded_after_ms": event.degraded_after_ms,
    }
    if check is not None:
        _change(session, check, wanted, now=now)
    elif event.health_url:
        _add(
            session,
            HealthCheck(
                organization_id=event.organization_id,
                project_id=event.project_id,
                instance_id=event.instance_id,
                default_of=event.instance_id,
                name=DEFAULT_NAME,
                kind="http",
                config={},
                **wanted,
            ),
            now=now,
        )


def add_check(
    session: Session, instance: InstanceRef, wanted: NewCheck, *, now: datetime
) -> HealthCheck:
    """Make a further check of an instance; it is asked at once.

    Raises `Conflict` beyond 2,000, `Invalid` for a config that its kind does not understand.
    """
    count = session.scalar(sa.select(sa.func.count()).where(HealthCheck.instance_id == instance.id))
    if (count or 0) >= MOST_PER_INSTANCE:
        raise Conflict(f"An instance has at most {MOST_PER_INSTANCE:,} health checks; remove one.")
    url = wanted.url if isinstance(wanted, NewHealthCheck) else None
    config = configs.read_config(wanted.kind, wanted.config, url=url)
    check = HealthCheck(
        organization_id=instance.organization_id,
        project_id=instance.project_id,
        instance_id=instance.id,
        url=url or "",
        config=configs.kept(config),
        conditions=judging.checked_conditions(wanted.kind, wanted.conditions),
        **wanted.model_dump(exclude={"config", "url", "conditions"}),
    )
    _check_parent(session, check, wanted.parent_id)
    _add(session, check, now=now)
    if wanted.locations != [HERE]:
        places.set_locations(session, check, wanted.locations)
    made = changes_between({}, _facts(check))
    _say(session, HealthCheckCreated, check, made, now=now)
    return check


def change_check(
    session: Session,
    check: HealthCheck,
    changes: HealthCheckChanges,
    *,
    keep_secrets: bool = True,
    now: datetime,
) -> None:
    """Change what was given. A config then has the secrets it leaves out, unless it is said whole.

    Raises `Conflict` for what follows from the instance, `Invalid` for a config that does not do.
    """
    given = changes.model_dump(exclude_unset=True)
    given = {name: each for name, each in given.items() if each is not None or name == "parent_id"}
    if check.default_of and any(name in given for name in FOLLOWED):
        raise Conflict(
            "This health check follows its instance; change url, healthPath, intervalSeconds,"
            " timeoutSeconds or degradedAfterMs with PATCH /api/instances/{id}."
        )
    if "url" in given and check.kind != "http":
        raise Invalid(f"A check of kind {check.kind} has no url; change its config.")
    if given.keys() & {"config", "url"}:
        config = configs.changed_config(
            check, changes.config, url=changes.url, keep_secrets=keep_secrets
        )
        given = {name: each for name, each in given.items() if name != "config"}
        given |= {} if config is None else {"config": config}
    shortest = SHORTEST_INTERVALS.get(check.kind, 0)
    if given.get("interval_seconds", shortest) < shortest:
        raise Invalid(f"intervalSeconds: a check of kind {check.kind} is asked every {shortest} s.")
    if "conditions" in given:
        given["conditions"] = judging.checked_conditions(check.kind, given["conditions"])
    _check_parent(session, check, given.get("parent_id"))
    _change_by_hand(session, check, given, now=now)


def pause_check(session: Session, check: HealthCheck, *, now: datetime) -> None:
    """Stop asking; the time until it is resumed does not count. Pausing twice is pausing once."""
    if not check.paused:
        _change_by_hand(session, check, {"paused": True}, now=now)


def resume_check(session: Session, check: HealthCheck, *, now: datetime) -> None:
    """Ask again, at once."""
    if check.paused:
        _change_by_hand(session, check, {"paused": False}, now=now)


def remove_check(session: Session, check: HealthCheck, *, now: datetime) -> None:
    """Remove a check with its history of states. Raises `Conflict` for the instance's own."""
    if check.default_of:
        raise Conflict(
            "This health check follows its instance; pause it, or empty the instance's URL."
        )
    places.tell_probes(session, check.organization_id, set(check.locations))
    gone = changes_between(_facts(check), {})
    _say(session, HealthCheckRemoved, check, gone, now=now)
    session.execute(
        sa.update(HealthCheck).where(HealthCheck.parent_id == check.id).values(parent_id=None)
    )
    forget_ends(session, check, at=now, reason="the health check was removed")
    told = watching.forget(session, check, at=now, reason="the health check was removed")
    say_told(session, check, told, now=now)


def get_check(session: Session, instance_id: str, check_id: str) -> HealthCheck:
    """The check of that instance; raises `NotFound`."""
    check = session.scalar(
        sa.select(HealthCheck).where(
            HealthCheck.id == check_id, HealthCheck.instance_id == instance_id
        )
    )
    if check is None:
        raise NotFound("There is no such health check; list those of the instance.")
    return check


def find_main_check(session: Session, instance_id: str) -> HealthCheck | None:
    """The check that stands for the instance: the one that follows its URL, or the oldest."""
    return next(iter(main_checks(session, [instance_id]).values()), None)


def main_checks(session: Session, instance_ids: Sequence[str]) -> dict[str, HealthCheck]:
    """The check that stands for each instance, where there is one."""
    found: dict[str, HealthCheck] = {}
    for check in session.scalars(_in_order(HealthCheck.instance_id.in_(instance_ids))):
        found.setdefault(check.instance_id, check)
    return found


def list_checks(session: Session, instance_id: str) -> Sequence[HealthCheck]:
    """The checks of an instance, at most 2,000: the one that follows its URL, then by age."""
    return session.scalars(_in_order(HealthCheck.instance_id == instance_id)).all()


def list_of_project(session: Session, project_id: str) -> Sequence[HealthCheck]:
    """The checks of all instances of a project by age, at most 10,000."""
    return session.scalars(
        sa.select(HealthCheck)
        .where(HealthCheck.project_id == project_id)
        .order_by(HealthCheck.created_at, HealthCheck.id)
        .limit(MOST_PER_PROJECT)
    ).all()


def _in_order(condition: sa.ColumnElement[bool]) -> sa.Select[HealthCheck]:
    return (
        sa.select(HealthCheck)
        .where(condition)
        .order_by(HealthCheck.default_of.is_(None), HealthCheck.created_at, HealthCheck.id)
    )


def _add(session: Session, check: HealthCheck, *, now: datetime) -> None:
    check.id = new_id()
    check.target = configs.target_of(check)
    check.created_at = check.next_at = now
    check.fence = 0
    watching.begin(session, check, now=now, reason=NOT_ASKED)


def _change(
    session: Session, check: HealthCheck, values: dict[str, object], *, now: datetime
) -> None:
    """Set values; what decides how the app is asked makes its next turn now.

    An answer that is under way asked the old question: its claim is fenced off.
    """
    watched_before = check.is_watched
    changed = {name: value for name, value in values.items() if getattr(check, name) != value}
    for name, value in changed.items():
        setattr(check, name, value)
    if "url" in changed or "config" in changed:
        before, check.target = check.target, configs.target_of(check)
        if before != check.target:
            forget_ends(session, check, at=now, reason="another target is watched now")
    if changed.keys() & {*ASKED_ANEW}:
        check.fence += 1
        check.owner, check.claimed_until, check.next_at = "", None, now
        places.tell_probes(session, check.organization_id, set(check.locations))
    if watched_before and not check.is_watched:
        mark_silence(session, check, now=now)
        reason = NO_URL if not check.target else "paused by hand"
        forget_ends(session, check, at=now, reason=reason)
        change(session, check, State.PAUSED, at=now, reason=reason)
    elif check.is_watched and not watched_before:
        change(session, check, State.UNKNOWN, at=now, reason=NOT_ASKED)
        check.watched_until, check.silent_at = now, None
    session.flush()


def _facts(check: HealthCheck) -> dict[str, object]:
    """What the audit log may know of a check: of the secrets, which there are."""
    config = configs.config_of(check)
    return facts_of(check, SETTABLE) | {
        "kind": check.kind,
        "config": configs.shown(config),
        "config.set": configs.secrets_of(config),
    }


def _check_parent(session: Session, check: HealthCheck, parent_id: str | None) -> None:
    """Refuse a parent of another project, and one that depends on the check itself."""
    above: str | None = parent_id
    for _ in range(MOST_ANCESTORS):
        if above is None:
            return
        parent = session.get(HealthCheck, above)
        if parent is None or parent.project_id != check.project_id:
            raise Invalid("There is no such parent in this project; give the id of a health check.")
        if parent.id == check.id:
            raise Invalid("A health check cannot depend on itself, nor on what depends on it.")
        above = parent.parent_id
    raise Invalid(f"At most {MOST_ANCESTORS} health checks may depend on each other in a row.")


def _change_by_hand(
    session: Session, check: HealthCheck, values: dict[str, object], *, now: datetime
) -> None:
    before = _facts(check)
    locations = values.pop("locations", None)
    _change(session, check, values, now=now)
    if isinstance(locations, list) and set(locations) != set(check.locations):
        places.set_locations(session, check, locations)
    changes = changes_between(before, _facts(check))
    _say(session, HealthCheckChanged, check, changes, now=now)


def _say(
    session: Session,
    kind: type[HealthCheckEvent],
    check: HealthCheck,
    changes: Changes,
    *,
    now: datetime,
) -> None:
    event = kind(
        organization_id=check.organization_id,
        project_id=check.project_id,
        instance_id=check.instance_id,
        health_check_id=check.id,
        name=check.name,
        changes=changes,
    )
    say(session, event, now=now)

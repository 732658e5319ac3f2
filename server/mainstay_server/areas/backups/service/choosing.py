"""What somebody chooses about a target: checked, and written into its row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import (
    DEFAULT_INTERVAL_HOURS,
    DEFAULT_KEEP_DAYS,
    DEFAULT_TOO_SMALL_PERCENT,
    STAGING_KEEP_DAYS,
    BackupDestination,
    BackupSchedule,
    BackupTarget,
    BackupTargetDestination,
    Drills,
)
from mainstay_server.areas.backups.providers import ENGINES
from mainstay_server.kernel.copies.crypts import MOST_RECIPIENTS, is_recipient, recipient_of
from mainstay_server.kernel.copies.running import MOST_DESTINATIONS
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.outbound import OutboundError, refuse_forbidden_host
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.service.fields import clean_url

from . import drill_places
from .destinations import clean_name
from .schedules import Schedule, checked_schedule

MOST_KEPT = 3660
MOST_PERCENT = 100
LONGEST_SHOWN = 500
PRODUCTION = "production"
LOG = "postgresql_log"  # what is lost is what was written since its last run
LOG_CRON = "*/5 * * * *"
KEEPS = ("keep_days", "keep_count", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly")


@dataclass(frozen=True, kw_only=True)
class TargetChoice:
    """What somebody says of a target; None leaves a value as it is, or as it is by default.

    `config` is as the engine takes it, such as `{"url": "postgresql://…"}`. `destinations` are
    ids. `retention` has some of the names in `KEEPS`. `drill_key` is a secret key of age for
    drills, "" takes it away; `heartbeat_url` is asked after each success, "" asks nobody.
    `drill_place` is a config of the same engine: what is there must be empty, and drills fill and
    empty it; {} goes back to a scratch server.
    """

    name: str | None = None
    config: Mapping[str, Any] | None = field(default=None, repr=False)
    destinations: Sequence[str] | None = None
    is_enabled: bool | None = None
    schedule: Schedule | None = None
    retention: Mapping[str, int] | None = None
    recipients: Sequence[str] | None = None
    drill_key: str | None = field(default=None, repr=False)
    drills: Drills | None = None
    drill_place: Mapping[str, Any] | None = field(default=None, repr=False)
    too_small_percent: int | None = None
    heartbeat_url: str | None = field(default=None, repr=False)


def new_target(
    session: Session, instance: InstanceRef, engine: str, *, now: datetime
) -> BackupTarget:
    """A target with what holds by default for its instance."""
    said = session.get(BackupSchedule, instance.id)
    days = DEFAULT_KEEP_DAYS if instance.environment == PRODUCTION else STAGING_KEEP_DAYS
    target_id = new_id()
    is_log = engine == LOG
    hours = said.interval_hours if said else DEFAULT_INTERVAL_HOURS
    return BackupTarget(
        id=target_id,
        **instance.ids,
        name="",
        engine=engine,
        config={},
        shown="",
        folder=target_id,
        is_enabled=said.enabled if said else True,
        interval_hours=None if is_log else hours,
        cron=LOG_CRON if is_log else "",
        time_zone="UTC",
        keep_days=said.retention_days if said else days,
        **dict.fromkeys(KEEPS[1:], 0),
        recipients=[],
        drill_key="",
        drills=Drills.WEEKLY if is_log else Drills.AFTER_EACH,
        too_small_percent=0 if is_log else DEFAULT_TOO_SMALL_PERCENT,
        heartbeat_url="",
        created_at=now,
        next_run_at=now,
        expected_since=now,
        troubles={},
    )


def checked_config(engine: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """What an engine keeps of a config; its host must be one that this server may reach.

    Raises `Invalid`.
    """
    kept = ENGINES[engine].checked(config)
    if host := kept.get("host"):
        try:
            refuse_forbidden_host(str(host))
        except OutboundError as error:
            raise Invalid(str(error), code="address-not-allowed") from None
    return kept


def apply(session: Session, target: BackupTarget, choice: TargetChoice) -> None:
    """Write what somebody said into a target's row. Raises `Invalid` or `Conflict`."""
    if choice.name is not None:
        target.name = _free_name(session, target, choice.name)
    if choice.config is not None:
        target.config = checked_config(target.engine, choice.config)
        target.shown = ENGINES[target.engine].shown(target.config)[:LONGEST_SHOWN]
    if choice.drill_place is not None:
        _apply_place(session, target, choice.drill_place)
    if choice.config is not None or choice.drill_place is not None:
        drill_places.refuse_taken(session, target)
    if choice.schedule is not None:
        schedule = checked_schedule(choice.schedule)
        target.interval_hours, target.cron = schedule.interval_hours, schedule.cron
        target.time_zone = schedule.time_zone
    if choice.is_enabled is not None:
        target.is_enabled = choice.is_enabled
        target.next_run_at = target.next_run_at if choice.is_enabled else None
    _apply_care(target, choice)
    _apply_keys(target, choice)


def _apply_place(session: Session, target: BackupTarget, config: Mapping[str, Any]) -> None:
    if config and target.engine not in drill_places.ENGINES_WITH_PLACES:
        raise Invalid(
            f"{ENGINES[target.engine].LABEL} is tried on this machine alone; leave out the"
            " drill place."
        )
    before = drill_places.key_of(target)
    target.drill_place = checked_config(target.engine, config) if config else None
    if drill_places.key_of(target) != before:
        drill_places.forget_filled(session, target.id)


def _apply_care(target: BackupTarget, choice: TargetChoice) -> None:
    for name, value in (choice.retention or {}).items():
        if name not in KEEPS or not 0 <= value <= MOST_KEPT:
            raise Invalid(f"Retention must be {', '.join(KEEPS)}, each from 0 to {MOST_KEPT}.")
        setattr(target, name, value)
    if choice.drills is not None:
        target.drills = choice.drills
    if choice.too_small_percent is not None:
        if not 0 <= choice.too_small_percent <= MOST_PERCENT:
            raise Invalid("tooSmallPercent must be from 0, which asks nothing, to 100.")
        target.too_small_percent = choice.too_small_percent
    if choice.heartbeat_url is not None:
        target.heartbeat_url = clean_url(choice.heartbeat_url, field="heartbeatUrl")
        target.heartbeat_problem = ""


def _apply_keys(target: BackupTarget, choice: TargetChoice) -> None:
    if choice.recipients is not None:
        target.recipients = list(dict.fromkeys(each.strip() for each in choice.recipients))
    if not 1 <= len(target.recipients) <= MOST_RECIPIENTS:
        raise Invalid(
            f"Name 1 to {MOST_RECIPIENTS} recipients (age1…), or have a key made: nobody could open"
            " the backups otherwise."
        )
    if strange := [each for each in target.recipients if not is_recipient(each)]:
        raise Invalid(f"{strange[0][:80]!r} is no public key of age; they begin with age1.")
    if choice.drill_key:
        if recipient_of(choice.drill_key.strip()) not in target.recipients:
            raise Invalid(
                "The drill key opens nothing: its public key is not among the recipients; add that."
            )
        target.drill_key = choice.drill_key.strip()
    elif choice.drill_key == "" or (
        target.drill_key and recipient_of(target.drill_key) not in target.recipients
    ):
        target.drill_key = ""


def send_to(session: Session, target: BackupTarget, destination_ids: Sequence[str]) -> None:
    """Set where a target's copies go. Raises `Invalid` or `NotFound`."""
    wanted = list(dict.fromkeys(destination_ids))
    if not 1 <= len(wanted) <= MOST_DESTINATIONS:
        raise Invalid(f"A target goes to 1 to {MOST_DESTINATIONS} destinations; choose some.")
    theirs = sa.select(BackupDestination.id).where(
        BackupDestination.id.in_(wanted), BackupDestination.project_id == target.project_id
    )
    if len(session.scalars(theirs).all()) != len(wanted):
        raise NotFound("A destination is not one of this project; list them first.")
    session.execute(
        sa.delete(BackupTargetDestination).where(BackupTargetDestination.target_id == target.id)
    )
    session.add_all(
        BackupTargetDestination(target_id=target.id, destination_id=each) for each in wanted
    )
    session.flush()


def _free_name(session: Session, target: BackupTarget, name: str) -> str:
    clean = clean_name(name)
    taken = sa.select(BackupTarget.id).where(
        BackupTarget.instance_id == target.instance_id,
        BackupTarget.name == clean,
        BackupTarget.id != target.id,
    )
    with session.no_autoflush:
        if session.scalar(taken) is not None:
            raise Conflict(f"A target is called {clean!r} already; choose another name.")
    return clean

"""Who is on which plan, and when a subject's period begins and ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.quotas.models import QuotaSubject
from mainstay_server.areas.quotas.settings import STORAGE, PlanLimit, QuotaSettings
from mainstay_server.contracts.guard import plans_of_owners
from mainstay_server.contracts.quotas import PlanChanged
from mainstay_server.kernel.database import insert, new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.guard import touch_policies
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import instances_of_organization

ORGANIZATION = "organization"
OWNER = "owner:"
DECEMBER = 12
FACTS = ("plan", "time_zone")
LIFETIME = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """One whose use is counted. `name` is "" for the organization, else the owner."""

    organization_id: str
    scope_id: str
    name: str
    plan: str
    time_zone: str = "UTC"

    @property
    def label(self) -> str:
        """As the policy and events name it."""
        return f"{OWNER}{self.name}" if self.name else ORGANIZATION

    def limit_of(self, meter: str) -> PlanLimit | None:
        """What the plan allows of a meter; None without a limit."""
        return of(QuotaSettings).plans.get(self.plan, {}).get(meter)


def organization_subject(session: Session, organization_id: str) -> Subject:
    """The organization on its plan, or on the default one."""
    found = _find(session, organization_id, [""]).get("")
    return Subject(
        organization_id=organization_id,
        scope_id=organization_id,
        name="",
        plan=found.plan if found else of(QuotaSettings).default_plan,
        time_zone=found.time_zone if found else "UTC",
    )


def owner_subjects(
    session: Session, instance: InstanceRef, owners: Sequence[str], *, now: datetime
) -> dict[str, Subject]:
    """Owners of a project's API keys: on the plan somebody gave them, or else on their keys'.

    An owner without any plan has no limits.
    """
    given = _find(session, instance.project_id, owners)
    rest = [name for name in owners if name not in given]
    of_keys: Mapping[str, str] = {}
    if rest and plans_of_owners.is_answered:
        of_keys = plans_of_owners(session, instance.id, owners=rest, now=now)
    zone = organization_subject(session, instance.organization_id).time_zone
    return {
        name: Subject(
            organization_id=instance.organization_id,
            scope_id=instance.project_id,
            name=name,
            plan=given[name].plan if name in given else of_keys.get(name, ""),
            time_zone=given[name].time_zone if name in given else zone,
        )
        for name in owners
    }


def change_plan(  # noqa: PLR0913 - whose, which, and how time is told
    session: Session,
    organization_id: str,
    *,
    project_id: str = "",
    owner: str = "",
    plan: str | None = None,
    time_zone: str | None = None,
    now: datetime,
) -> QuotaSubject:
    """Put an organization, or an owner of a project's keys, on a plan or in a time zone.

    On another plan what was used stays used; in another time zone the month begins anew. Guards
    follow within a second.

    Raises:
        Invalid: there is no such plan or time zone.
    """
    if plan is not None and plan not in of(QuotaSettings).plans:
        known = ", ".join(sorted(of(QuotaSettings).plans))
        raise Invalid(f"There is no plan {plan[:40]!r}; choose one of {known}.")
    if time_zone is not None:
        _zone(time_zone)
    scope_id = project_id if owner else organization_id
    row = _held(session, organization_id, scope_id, owner, now=now)
    before = facts_of(row, FACTS)
    row.plan = plan if plan is not None else row.plan
    row.time_zone = time_zone if time_zone is not None else row.time_zone
    row.changed_at = now
    session.flush()
    said = PlanChanged(
        organization_id=organization_id,
        project_id=project_id if owner else "",
        quota_subject=f"{OWNER}{owner}" if owner else ORGANIZATION,
        changes=changes_between(before, facts_of(row, FACTS)),
    )
    say(session, said, now=now)
    touched = [
        instance.id
        for instance in instances_of_organization(session, organization_id)
        if not owner or instance.project_id == project_id
    ]
    touch_policies(session, touched)
    return row


def period_of(meter: str, time_zone: str, now: datetime) -> tuple[datetime, datetime]:
    """When the present period of a meter began and will end, in UTC.

    A period is a calendar month in the subject's time zone, whatever the clocks do in it. What is
    stored is no use of a month: its period has no end worth telling.
    """
    if meter == STORAGE:
        return LIFETIME, LIFETIME.replace(year=2100)
    local = now.astimezone(_zone(time_zone))
    begins = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    if begins.month == DECEMBER:
        ends = begins.replace(year=begins.year + 1, month=1)
    else:
        ends = begins.replace(month=begins.month + 1)
    return begins.astimezone(UTC), ends.astimezone(UTC)


def _find(session: Session, scope_id: str, names: Sequence[str]) -> dict[str, QuotaSubject]:
    rows = session.scalars(
        sa.select(QuotaSubject).where(
            QuotaSubject.scope_id == scope_id, QuotaSubject.name.in_(names)
        )
    )
    return {row.name: row for row in rows}


def _held(
    session: Session, organization_id: str, scope_id: str, owner: str, *, now: datetime
) -> QuotaSubject:
    """The subject's row, made with the defaults if it has none, locked until it is changed."""
    new = insert(QuotaSubject).values(
        id=new_id(),
        organization_id=organization_id,
        scope_id=scope_id,
        name=owner,
        plan=of(QuotaSettings).default_plan,
        time_zone="UTC",
        changed_at=now,
    )
    session.execute(new.on_conflict_do_nothing())
    return session.scalars(
        sa.select(QuotaSubject)
        .where(QuotaSubject.scope_id == scope_id, QuotaSubject.name == owner)
        .with_for_update()
    ).one()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(
            f"There is no time zone {name[:60]!r}; write it like Europe/Berlin or UTC."
        ) from None

"""What quotas say and answer: plans, what is left of them, and who comes near an end."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from sqlalchemy.orm import Session
from typing_extensions import override

from mainstay_server.kernel.events import Audited, Event, Target
from mainstay_server.kernel.ports import port


@dataclass(frozen=True, kw_only=True)
class QuotaLeft:
    """What is left of a meter in its period; `limit` and `left` are None without a limit.

    `refuses` tells whether more than `left` is refused, or only warned of.
    """

    used: int
    limit: int | None
    left: int | None
    refuses: bool
    resets_at: datetime


class QuotaThresholdReached(Event, frozen=True, kw_only=True):
    """So much of a quota is used up: 80, 90 or 100 percent, said once per period each."""

    organization_id: str
    project_id: str
    instance_id: str
    quota_subject: str
    meter: str
    plan: str
    percent: int
    used: int
    limit: int
    period_begins: datetime
    period_ends: datetime

    @property
    @override
    def subject(self) -> str:
        return f"{self.organization_id}:{self.quota_subject}:{self.meter}"


class PlanEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of the plan of an organization, or of an owner of API keys."""

    noun: ClassVar[str] = "plan"
    quota_subject: str

    @property
    @override
    def target(self) -> Target:
        return Target(f"{self.project_id or self.organization_id}", self.quota_subject)


class PlanChanged(PlanEvent, frozen=True, kw_only=True):
    """Somebody put an organization or an owner on another plan, or in another time zone."""


@port
def quota_left(session: Session, organization_id: str, *, meter: str, now: datetime) -> QuotaLeft:
    """What an organization has left of a meter in the present period."""
    raise NotImplementedError


@port
def use_quota(
    session: Session,
    organization_id: str,
    *,
    meter: str,
    amount: int,
    now: datetime,
) -> QuotaLeft:
    """Use some of a meter, or give it back (a negative amount), in the caller's transaction.

    Refused as a whole (`TooManyRequests`, code `quota-exceeded`) when a hard limit would be passed;
    concurrent callers never pass it together.
    """
    raise NotImplementedError

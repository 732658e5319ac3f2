"""Reports on their way in, whatever door they came through, and what became of them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from mainstay_server.areas.heartbeats.models import ScheduleKind, Signal
from mainstay_server.kernel.subjects import InstanceRef

BODY_BYTES = 10_000
LONGEST_CLIENT = 200
LONGEST_RUN = 36


class Outcome(StrEnum):
    """What a report met."""

    TAKEN = "taken"
    CREATED = "created"
    NOT_FOUND = "not found"
    AMBIGUOUS = "ambiguous"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Target:
    """Which heartbeat a report is for; one of the first four ways names it.

    `ping_id` alone, `push_token` alone, `slug` with `ping_key`, or `slug` with `instance` for
    whoever holds a project's ingest key. `create` makes one that is not there; `plan` is what it
    should be like, which also changes one that is there.
    """

    ping_id: str = ""
    push_token: str = ""
    ping_key: str = ""
    slug: str = ""
    instance: InstanceRef | None = None
    create: bool = False
    plan: "Plan | None" = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a job says of itself as it reports: how a heartbeat should be set; None leaves it.

    What begins with `new` holds only for one that the report makes.
    """

    schedule_kind: ScheduleKind
    period_seconds: int = 0
    expression: str = ""
    time_zone: str = "UTC"
    grace_seconds: int | None = None
    max_duration_seconds: int | None = None
    fail_after: int | None = None
    recover_after: int | None = None
    new_grace_seconds: int | None = None
    new_max_duration_seconds: int | None = None


@dataclass(slots=True, kw_only=True)
class Report:
    """One report. `signal` is what it says before the heartbeat's own filters are asked.

    `late` is how long ago it was due, when it was tried before: the end of a run that is known is
    then taken no second time. `subject` is that of a mail. `duration_ms` is what the sender
    measured itself. `newest_run` ends the run that began last, for those who do not know its id.
    """

    target: Target
    signal: Signal
    at: datetime
    scheme: str = "http"
    method: str = ""
    address: str = ""
    client: str = ""
    run_id: str = ""
    late: timedelta | None = None
    exit_status: int | None = None
    duration_ms: int | None = None
    subject: str = ""
    body: bytes = b""
    newest_run: bool = False


@dataclass(slots=True)
class Result:
    """What became of a report; `state` is what its heartbeat is in now."""

    outcome: Outcome = Outcome.NOT_FOUND
    heartbeat_id: str = ""
    slug: str = ""
    signal: str = field(default="")

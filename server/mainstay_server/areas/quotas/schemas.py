"""Shapes of the usage API (REQUIREMENTS O4)."""

from pydantic import Field

from mainstay_server.kernel.web.bodies import Answer, Body, Instant


class MeterAnswer(Answer):
    """One meter in one period; without a limit, `limit`, `remaining` and `percent` are null."""

    meter: str = Field(examples=["calls"])
    used: int = Field(examples=[8_312])
    limit: int | None = Field(examples=[10_000])
    remaining: int | None = Field(examples=[1_688])
    percent: float | None = Field(examples=[83.1])
    mode: str | None = Field(examples=["hard"])


class UsageAnswer(Answer):
    """What was used in the present period. `upgrade` is the next larger plan when it is time."""

    subject: str = Field(examples=["organization"])
    plan: str = Field(examples=["PRO"])
    period_begins: Instant
    period_ends: Instant
    meters: list[MeterAnswer]
    warnings: list[str] = Field(examples=[["83 % of calls are used."]])
    upgrade: str | None = Field(examples=["ENTERPRISE"])


class PeriodAnswer(Answer):
    """What was used in one period."""

    period_begins: Instant
    meters: dict[str, int] = Field(examples=[{"calls": 8_312}])


class HistoryAnswer(Answer):
    """Periods with any use, newest first."""

    subject: str = Field(examples=["organization"])
    history: list[PeriodAnswer]


class PlanAnswer(Answer):
    """One plan: its limits by meter; a meter that is not named has none."""

    name: str = Field(examples=["FREE"])
    limits: dict[str, int] = Field(examples=[{"calls": 100, "storage_bytes": 104_857_600}])
    modes: dict[str, str] = Field(examples=[{"calls": "hard", "storage_bytes": "hard"}])


class PlansAnswer(Answer):
    """All plans, the smallest first, and the one that the organization is on."""

    plans: list[PlanAnswer]
    current: str = Field(examples=["FREE"])


class PlanBody(Body):
    """The plan or time zone to change to; what is left out stays."""

    plan: str | None = Field(None, max_length=40, examples=["PRO"])
    time_zone: str | None = Field(None, max_length=60, examples=["Europe/Berlin"])


class UseBody(Body):
    """What an app used of a meter; `id` makes it count once however often it is sent."""

    id: str = Field("", max_length=64, examples=["report-4711"])
    meter: str = Field(pattern=r"^[a-z][a-z0-9_]{0,59}$", examples=["insight_analyses"])
    amount: int = Field(1, ge=1, le=2**40, examples=[1])
    owner: str = Field("", max_length=200, examples=["acme"])


class UseAnswer(Answer):
    """How the meter stands then. `counted` is false when this id had been counted before."""

    meter: str = Field(examples=["insight_analyses"])
    counted: bool = Field(examples=[True])
    used: int = Field(examples=[7])
    limit: int | None = Field(examples=[10])
    remaining: int | None = Field(examples=[3])
    resets_at: Instant

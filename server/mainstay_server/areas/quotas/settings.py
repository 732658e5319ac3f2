"""Plans as data: what each allows in a month, and what happens at the end."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, Field, model_validator

from mainstay_server.kernel.settings import Settings

MB = 1 << 20
GB = 1 << 30
CALLS = "calls"
STORAGE = "storage_bytes"


class Mode(StrEnum):
    """`hard` refuses at the limit, `grace` a while later, `soft` never; all of them warn."""

    HARD = "hard"
    GRACE = "grace"
    SOFT = "soft"


class PlanLimit(BaseModel):
    """How much of a meter a plan allows in a period; with `grace` so many percent more."""

    limit: int = Field(ge=0, le=2**53)
    mode: Mode = Mode.HARD
    grace_percent: int = Field(10, ge=1, le=100)

    @property
    def refused_above(self) -> int | None:
        """What can be used at the most before something is refused; None when nothing is."""
        if self.mode is Mode.SOFT:
            return None
        if self.mode is Mode.GRACE:
            return self.limit + self.limit * self.grace_percent // 100
        return self.limit


Plans = dict[str, dict[str, PlanLimit]]

# REQUIREMENTS O4. A meter that a plan does not name has no limit in it.
DEFAULT_PLANS: Plans = {
    "FREE": {
        CALLS: PlanLimit(limit=100),
        STORAGE: PlanLimit(limit=100 * MB),
        "insight_analyses": PlanLimit(limit=10),
        "autopilot_runs": PlanLimit(limit=5),
        "guardian_tests": PlanLimit(limit=20),
    },
    "PRO": {CALLS: PlanLimit(limit=10_000), STORAGE: PlanLimit(limit=10 * GB)},
    "ENTERPRISE": {},
}


class QuotaSettings(Settings):
    """Which plans there are, and which one those are on whom nobody put on one."""

    plans: Plans = Field(DEFAULT_PLANS, description="Plans by name: limits by meter, as JSON.")
    default_plan: str = Field(
        "ENTERPRISE", description="The plan of an organization that nobody put on another."
    )

    @model_validator(mode="after")
    def _refuse_unknown(self) -> Self:
        if self.default_plan not in self.plans:
            raise ValueError(f"{self.default_plan!r} is none of the plans {sorted(self.plans)}")
        return self

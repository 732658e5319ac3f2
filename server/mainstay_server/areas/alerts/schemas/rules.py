"""Rules by the type of alert, as they hold and as the API takes and gives them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mainstay_server.areas.alerts.models import AlertType, Severity
from mainstay_server.kernel.web import Answer, Body

WINDOWS = (60, 300, 900, 3600)


def _offered(seconds: int) -> int:
    if seconds not in WINDOWS:
        raise ValueError(f"must be one of {', '.join(map(str, WINDOWS))}")
    return seconds


# Few, because each window in use is one question to the column store every minute.
WindowSeconds = Annotated[int, AfterValidator(_offered)]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When a type of alert fires. `threshold` is percent, a number or a score, by type."""

    type: AlertType
    severity: Severity
    enabled: bool = True
    threshold: float = 0
    window_seconds: int = 300
    minimum_count: int = 0
    runbook: str = ""
    changed: Literal["", "project", "instance"] = ""


class RuleAnswer(Answer):
    """When a type of alert fires; `changed` says whose setting it is, absent for the default."""

    type: AlertType
    enabled: bool
    severity: Severity
    threshold: float
    window_seconds: int
    minimum_count: int
    runbook: str
    changed: str | None = None


class RuleList(Answer):
    """The rules that hold for an instance, one per type."""

    rules: list[RuleAnswer]


class RuleChange(Body):
    """What to change of a rule; what is left out stays."""

    enabled: bool | None = None
    severity: Severity | None = None
    threshold: float | None = Field(None, ge=0, le=1_000_000)
    window_seconds: WindowSeconds | None = None
    minimum_count: int | None = Field(None, ge=0, le=1_000_000)
    runbook: str | None = Field(
        None, max_length=500, description="The name of a runbook of the project, or a URL."
    )

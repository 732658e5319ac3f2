"""Shapes of alerts: what the API takes and gives."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from mainstay_server.areas.alerts.models import AlertStatus, AlertType, Severity
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.web import Answer, Body
from mainstay_server.kernel.web.bodies import Instant
from mainstay_server.kernel.web.pagination import Cursor, Limit

AN_ID = "0193a5c2-7d1e-7c6b-9a3f-2f7d4c1b8e90"
MOST_AT_ONCE = 500


class AlertAnswer(Answer):
    """One alert. `resolvedBy` and `acknowledgedBy` are people's names, absent when nobody did.

    `notToldBecause` is why a channel is not told yet: what silences, mutes or inhibits it.
    """

    id: str
    instance_id: str
    type: AlertType
    severity: Severity
    title: str
    message: str
    status: AlertStatus
    created_at: Instant
    last_seen_at: Instant
    count: int
    labels: dict[str, str]
    fingerprint: str
    acknowledged_at: Instant | None = None
    acknowledged_by: str | None = None
    muted_until: Instant | None = None
    not_told_because: str | None = None
    resolved_at: Instant | None = None
    resolved_by: str | None = None
    resolution: str | None = None


class AlertList(Answer):
    """Alerts, newest first."""

    alerts: list[AlertAnswer]
    next_cursor: str | None = None


class AlertQuery(BaseModel):
    """Which alerts to list."""

    active: bool | None = Field(None, description="Only active, or only resolved ones.")
    acknowledged: bool | None = Field(
        None, description="Only those that somebody has taken in hand, or that nobody has."
    )
    type: AlertType | None = Field(None, description="Only alerts of this type.")
    severity: Severity | None = Field(
        None, description="Only alerts of this rank; medium and warning are one."
    )
    q: str = Field("", max_length=200, description="Searched in the title.")
    limit: Limit = DEFAULT_PER_PAGE
    cursor: Cursor = ""


class ResolveAlert(Body):
    """Says that an alert is over, that somebody has taken it in hand, or is to be quiet."""

    alert_id: str = Field(max_length=36)
    action: Literal["resolve", "acknowledge", "mute"]
    until: Instant | None = Field(None, description="Of a mute; left out ends it.")


class AlertsAction(Body):
    """Says of several alerts that somebody has taken them in hand, or that they are over."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"action": "acknowledge", "alertIds": [AN_ID]}]}
    )

    action: Literal["acknowledge", "resolve"]
    alert_ids: list[Annotated[str, Field(max_length=36)]] = Field(
        min_length=1, max_length=MOST_AT_ONCE
    )


class AlertOutcome(Answer):
    """What became of one of several alerts.

    `done`: it was active and is taken in hand, or over, by this. `already`: somebody has it in hand
    before. `ended`: it was over before. `unknown`: the project has no such alert.
    """

    alert_id: str = Field(examples=[AN_ID])
    outcome: Literal["done", "already", "ended", "unknown"] = Field(examples=["done"])


class AlertOutcomes(Answer):
    """What became of several alerts, each once, in the order in which they were named."""

    done: int = Field(examples=[1], description="How many of them this request changed.")
    results: list[AlertOutcome]


class NewAlert(Body):
    """Opens an alert by hand."""

    type: AlertType
    severity: Severity
    title: str = Field(min_length=1, max_length=200)
    message: str = Field("", max_length=2000)


def _which(value: object) -> str:
    known = value if isinstance(value, dict) else {}
    return "resolve" if "alertId" in known or "action" in known else "create"


AlertAction = Annotated[
    Annotated[ResolveAlert, Tag("resolve")] | Annotated[NewAlert, Tag("create")],
    Discriminator(_which),
]

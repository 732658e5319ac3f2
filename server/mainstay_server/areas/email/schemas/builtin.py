"""What the templates that come with Mainstay want to be told."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

MOST_FACTS = 40
Short = Annotated[str, Field(max_length=200)]
Word = Annotated[str, Field(min_length=1, max_length=200)]
Value = Annotated[str, Field(max_length=1000)] | int | float | bool | None
Facts = Annotated[dict[Short, Value], Field(max_length=MOST_FACTS)]


def web_address(value: str) -> str:
    """An http or https URL, or nothing. Raises `ValueError` for any other."""
    if not value:
        return ""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must begin with https:// or http://")
    return value


Address = Annotated[str, Field(max_length=2000), AfterValidator(web_address)]


class Data(BaseModel):
    """What a template is told; a name that it does not know is refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class TaskFinished(Data):
    """A task is finished, such as an inspection: of what, how it went, and where to look."""

    task: Short = "Inspection"
    status: Annotated[str, Field(min_length=1, max_length=40)]
    user_name: Short = ""
    location_name: Short = ""
    inspection_id: Short = ""
    message: Annotated[str, Field(max_length=2000)] = ""
    details: Facts = {}
    url: Address = ""


class AlertTold(Data):
    """Something needs people: how grave it is, what it is, and what is known."""

    severity: Literal["info", "low", "medium", "high", "warning", "critical"]
    title: Word
    message: Annotated[str, Field(max_length=5000)] = ""
    metadata: Facts = {}
    url: Address = ""


class Counted(Data):
    """A line of a list with its number."""

    name: Short
    count: int | float


class WeeklySummary(Data):
    """A week in figures."""

    user_name: Short = ""
    period: Short = ""
    inspections_count: Annotated[int, Field(ge=0)] | None = None
    pass_rate: Annotated[float, Field(ge=0, le=100)] | None = None
    top_locations: Annotated[list[Counted], Field(max_length=50)] = []
    figures: Facts = {}
    url: Address = ""


class PasswordReset(Data):
    """A link by which somebody sets a new password; the token, if given, is not shown."""

    reset_url: Annotated[str, Field(min_length=8, max_length=2000), AfterValidator(web_address)]
    reset_token: Annotated[str, Field(max_length=500)] = ""
    user_name: Short = ""
    expires_minutes: Annotated[int, Field(ge=1, le=100_000)] | None = None


EXAMPLES: dict[str, dict[str, Any]] = {
    "task_finished": {
        "userName": "Ann Smith",
        "task": "Inspection",
        "locationName": "Floor 1, room A",
        "status": "pass",
        "inspectionId": "insp-123",
        "details": {"Points checked": 24, "Photos": 3},
        "url": "https://app.example.com/inspections/insp-123",
    },
    "alert": {
        "severity": "critical",
        "title": "High memory usage",
        "message": "The app uses 92 % of its memory.",
        "metadata": {"heap": "450 MB", "total": "512 MB"},
        "url": "https://app.example.com/admin",
    },
    "weekly_summary": {
        "userName": "Ann Smith",
        "period": "16 to 22 November 2026",
        "inspectionsCount": 45,
        "passRate": 92.5,
        "topLocations": [
            {"name": "Floor 1, room A", "count": 12},
            {"name": "Floor 2, room B", "count": 10},
        ],
        "url": "https://app.example.com/reports",
    },
    "password_reset": {
        "userName": "Ann Smith",
        "resetUrl": "https://app.example.com/reset-password?token=abc123",
        "expiresMinutes": 60,
    },
}

"""Shapes: layers of a schedule, steps of a policy, what the area tells itself, and the API's."""

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from typing_extensions import Self, override

from mainstay_server.contracts.alerts.severities import Severity
from mainstay_server.kernel.events import Event
from mainstay_server.kernel.web.bodies import LATER, Answer, Body, Instant

AN_ID = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
A_PERSON = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c"
MOST_LAYERS, MOST_TURNS, MOST_STEPS = 20, 50, 20
MOST_EVERY = {"hourly": 720, "daily": 60, "weekly": 52}
LONGEST_CALENDAR = 512 * 1024
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")

Day = Literal["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
StepKind = Literal["schedule", "person", "channel", "action"]
Name = Annotated[str, Field(min_length=1, max_length=100, examples=["First line"])]
Id = Annotated[str, Field(max_length=36)]


def _clock(text: str) -> str:
    if text and not _CLOCK.fullmatch(text):
        raise ValueError("must be a time such as 09:00")
    return text


Clock = Annotated[str, Field(max_length=5), AfterValidator(_clock)]


class EscalationNoticeDue(Event, frozen=True, kw_only=True):
    """One mail has to leave; a person hears of one alert in order."""

    notice_id: str
    escalation_id: str
    person_id: str

    @property
    @override
    def subject(self) -> str:
        return f"{self.escalation_id}:{self.person_id}"


class LayerBody(Body):
    """A rotation: people take turns, handing over at the same time of clocks.

    `startsAt` is the first hand-over, as clocks in the schedule's time zone show it; the turn is
    `every` hours, days or weeks long. `days`, `fromTime` and `toTime` narrow the layer to a part
    of the week; left empty, it holds all the time.
    """

    id: Id = ""
    name: Name
    person_ids: list[Id] = Field(
        min_length=1, max_length=MOST_TURNS, examples=[[A_PERSON]], description="In turn."
    )
    rotates: Literal["hourly", "daily", "weekly"] = "weekly"
    every: int = Field(1, ge=1, le=720)
    starts_at: str = Field(max_length=19, examples=["2026-12-07T09:00"])
    days: list[Day] = Field([], max_length=7)
    from_time: Clock = ""
    to_time: Clock = ""

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        try:
            start = datetime.fromisoformat(self.starts_at)
        except ValueError:
            raise ValueError("startsAt is a time such as 2026-12-07T09:00") from None
        if start.tzinfo is not None or not 1980 <= start.year <= 2200:  # noqa: PLR2004 - far from a calendar's ends
            raise ValueError("startsAt has no zone of its own, and lies in the years 1980 to 2200")
        self.starts_at = start.isoformat(timespec="minutes")
        if self.every > MOST_EVERY[self.rotates]:
            raise ValueError(f"every is at most {MOST_EVERY[self.rotates]} when {self.rotates}")
        if bool(self.from_time) != bool(self.to_time):
            raise ValueError("fromTime and toTime belong together; give both or neither")
        return self


class ScheduleBody(Body):
    """An on-call schedule; a later layer covers an earlier one where both have somebody."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "Primary", "timeZone": "Europe/Berlin", "layers": []}]
        }
    )

    name: Name
    time_zone: str = Field("UTC", max_length=60)
    layers: list[LayerBody] = Field([], max_length=MOST_LAYERS)


class ScheduleChanges(Body):
    """What to change; `layers` replaces all of them, what is left out stays."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Primary", "timeZone": "Europe/Paris"}]}
    )

    name: Name | None = None
    time_zone: str | None = Field(None, max_length=60)
    layers: list[LayerBody] | None = Field(None, max_length=MOST_LAYERS)


class ShiftAnswer(Answer):
    """A span in which one person is on call; without a person it is a gap: nobody is."""

    person_id: str | None = Field(examples=[A_PERSON])
    name: str = Field(examples=["Anna Arendt"])
    starts_at: Instant
    ends_at: Instant
    source: str = Field(examples=["Week by week"], description="The layer, calendar or override.")


class ScheduleAnswer(Answer):
    """A schedule, and who is on call now."""

    id: str = Field(examples=[AN_ID])
    name: str = Field(examples=["Primary"])
    time_zone: str = Field(examples=["Europe/Berlin"])
    layers: list[LayerBody]
    on_call: ShiftAnswer | None
    created_at: Instant


class SchedulesAnswer(Answer):
    """The schedules of an organization, by name."""

    schedules: list[ScheduleAnswer]
    next_cursor: str | None = None


class ShiftsAnswer(Answer):
    """Who is on call over a range, gaps included, without holes."""

    shifts: list[ShiftAnswer]
    next_cursor: str | None = None


class OverrideBody(Body):
    """Somebody takes over for a while."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"personId": A_PERSON, "startsAt": LATER, "endsAt": LATER.replace("00:00", "08:00")}
            ]
        }
    )

    person_id: Id
    starts_at: Instant
    ends_at: Instant


class OverrideAnswer(Answer):
    """One override."""

    id: str = Field(examples=[AN_ID])
    person_id: str = Field(examples=[A_PERSON])
    starts_at: Instant
    ends_at: Instant
    created_at: Instant


class OverridesAnswer(Answer):
    """The overrides that last or come, by their start."""

    overrides: list[OverrideAnswer]
    next_cursor: str | None = None


class CalendarBody(Body):
    """A calendar to read: from a URL again and again, or the text of one, once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "Team calendar", "url": "https://calendar.example.com/team.ics"}]
        }
    )

    name: Name
    url: str = Field("", max_length=2000)
    text: str = Field("", max_length=LONGEST_CALENDAR)


class CalendarAnswer(Answer):
    """A calendar that is read; its URL is masked, since who has it can read it, too."""

    id: str = Field(examples=[AN_ID])
    name: str = Field(examples=["Team calendar"])
    source: str = Field(examples=["https://calendar.example.com/…"])
    shifts: int = Field(examples=[12], description="How many were read for the time around now.")
    unmatched: int = Field(examples=[0], description="Events in which no member was recognized.")
    read_at: Instant | None
    last_error: str = Field(examples=[""])


class CalendarsAnswer(Answer):
    """The calendars of a schedule; a later one covers an earlier one."""

    calendars: list[CalendarAnswer]
    next_cursor: str | None = None


class FeedAnswer(Answer):
    """A private address; whoever has it can read the shifts. Making it anew ends the old one."""

    url: str = Field(examples=["https://mainstay.example.com/on-call/feeds/mst_cal_….ics"])


class StepBody(Body):
    """One step of a policy.

    `schedule` tells who is on call at that moment, `person` one person, `channel` an alert
    channel, `action` starts an automatic action. Of the ids, the one that fits `kind` is given.
    After it, so many minutes pass for an acknowledgement before the next step.
    """

    kind: StepKind
    wait_minutes: int = Field(5, ge=0, le=1440)
    schedule_id: Id = ""
    person_id: Id = ""
    channel_id: Id = ""
    action: str = Field("", max_length=100, description="Empty: whichever fits the alert.")

    @model_validator(mode="after")
    def _names_its_target(self) -> Self:
        if self.kind != "action" and not self.target:
            raise ValueError(f"a step of the kind {self.kind} needs {self.kind}Id")
        return self

    @property
    def target(self) -> str:
        """The id, or the name of the action, that the kind asks for."""
        return {
            "schedule": self.schedule_id,
            "person": self.person_id,
            "channel": self.channel_id,
            "action": self.action,
        }[self.kind]


class PolicyBody(Body):
    """An escalation policy: for one instance, one project, or without both for all of them.

    `repeat` is how often all steps come again. With `acknowledgeTimeoutMinutes`, an
    acknowledgement counts so long, and then the steps go on; 0: until the alert is over.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Wake somebody",
                    "minimumSeverity": "critical",
                    "steps": [{"kind": "action", "waitMinutes": 5}],
                    "repeat": 1,
                }
            ]
        }
    )

    name: Name
    project_id: Id | None = None
    instance_id: Id | None = None
    enabled: bool = True
    minimum_severity: Severity = Severity.CRITICAL
    steps: list[StepBody] = Field(min_length=1, max_length=MOST_STEPS)
    repeat: int = Field(0, ge=0, le=10)
    acknowledge_timeout_minutes: int = Field(0, ge=0, le=10_080)


class PolicyChanges(Body):
    """What to change; alerts that are being escalated go on as they began."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"repeat": 2}]})

    name: Name | None = None
    enabled: bool | None = None
    minimum_severity: Severity | None = None
    steps: list[StepBody] | None = Field(None, min_length=1, max_length=MOST_STEPS)
    repeat: int | None = Field(None, ge=0, le=10)
    acknowledge_timeout_minutes: int | None = Field(None, ge=0, le=10_080)


class PolicyAnswer(Answer):
    """An escalation policy."""

    id: str = Field(examples=[AN_ID])
    name: str = Field(examples=["Wake somebody"])
    project_id: str | None = Field(examples=[AN_ID])
    instance_id: str | None = Field(examples=[None])
    enabled: bool
    minimum_severity: str = Field(examples=["critical"])
    steps: list[StepBody]
    repeat: int = Field(examples=[1])
    acknowledge_timeout_minutes: int = Field(examples=[0])
    created_at: Instant


class PoliciesAnswer(Answer):
    """The policies of an organization, by name."""

    policies: list[PolicyAnswer]
    next_cursor: str | None = None


class EscalationAnswer(Answer):
    """An alert on its way through the steps of a policy."""

    id: str = Field(examples=[AN_ID])
    alert_id: str = Field(examples=[AN_ID])
    project_id: str = Field(examples=[AN_ID])
    instance_id: str = Field(examples=[AN_ID])
    title: str = Field(examples=["shop production is down"])
    severity: str = Field(examples=["critical"])
    policy: str = Field(examples=["Wake somebody"])
    state: Literal["running", "acknowledged", "unanswered", "ended"]
    round: int = Field(examples=[1])
    step: int = Field(examples=[2], description="The step that comes next, from 1 on.")
    due_at: Instant | None
    opened_at: Instant
    acknowledged_at: Instant | None
    acknowledged_by: str = Field(examples=["Anna Arendt"])
    ended_at: Instant | None


class EscalationsAnswer(Answer):
    """Escalations, the newest first."""

    escalations: list[EscalationAnswer]
    next_cursor: str | None = None


class LineAnswer(Answer):
    """One thing that happened."""

    at: Instant
    text: str = Field(examples=["Step 1: told Anna Arendt, who is on call in Primary."])


class EscalationWithLog(EscalationAnswer):
    """An escalation with all that happened in it, the oldest first; at most 500 lines."""

    log: list[LineAnswer]

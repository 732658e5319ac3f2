"""Schedules as people write them and the API answers: layers, shifts and overrides."""

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from typing_extensions import Self

from mainstay_server.kernel.web.bodies import LATER, Answer, Body, Instant

from .fields import A_PERSON, AN_ID, Id, Name

MOST_LAYERS, MOST_TURNS = 20, 50
MOST_EVERY = {"hourly": 720, "daily": 60, "weekly": 52}
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")

Rotates = Literal["hourly", "daily", "weekly"]
Day = Literal["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


def _clock(text: str) -> str:
    if text and not _CLOCK.fullmatch(text):
        raise ValueError("must be a time such as 09:00")
    return text


Clock = Annotated[str, Field(max_length=5), AfterValidator(_clock)]


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
    rotates: Rotates = "weekly"
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

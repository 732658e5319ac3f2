"""Calendars that schedules read, and the feed in which they can be read."""

from pydantic import ConfigDict, Field

from mainstay_server.kernel.web.bodies import Answer, Body, Instant

from .fields import AN_ID, Name

LONGEST_CALENDAR = 512 * 1024


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

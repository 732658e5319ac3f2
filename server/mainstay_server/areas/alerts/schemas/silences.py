"""Shapes of silences: what the API takes and gives."""

from typing import Literal

from pydantic import ConfigDict, Field

from mainstay_server.kernel.matchers import LONGEST_TEXT
from mainstay_server.kernel.web.bodies import LATER, Answer, Body, Instant

MATCHERS = '{alertname="instance_down",environment=~"staging|preview-.*"}'
AN_ID = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
ReachName = Literal["project", "organization"]


class NewSilence(Body):
    """Alerts to be told to nobody for a while.

    `matchers` are those of Alertmanager: `label="text"`, `!=`, and `=~` or `!~` with a regular
    expression that fits the whole value. `startsAt` left out is now.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"matchers": MATCHERS, "endsAt": LATER, "comment": "Moving"}]
        }
    )

    matchers: str = Field(min_length=1, max_length=LONGEST_TEXT)
    starts_at: Instant | None = None
    ends_at: Instant
    comment: str = Field(min_length=1, max_length=1000)
    reach: ReachName = Field("project", description="The whole organization needs its admin.")


class SilenceChange(Body):
    """What to change of a silence; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"comment": "Still moving"}]})

    ends_at: Instant | None = None
    comment: str | None = Field(None, min_length=1, max_length=1000)


class SilencePreviewBody(Body):
    """Matchers of which to tell what they would hold."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"matchers": MATCHERS}]})

    matchers: str = Field(min_length=1, max_length=LONGEST_TEXT)


class SilenceAnswer(Answer):
    """One silence; `by` is the name of whoever made it."""

    id: str = Field(examples=[AN_ID])
    state: Literal["pending", "active", "expired"] = Field(examples=["active"])
    reach: ReachName = Field(examples=["project"])
    matchers: str = Field(examples=[MATCHERS])
    starts_at: Instant
    ends_at: Instant
    by: str = Field(examples=["Alice"])
    comment: str = Field(examples=["Moving to another machine"])
    created_at: Instant
    updated_at: Instant


class SilenceList(Answer):
    """Silences that reach a project, newest first."""

    silences: list[SilenceAnswer]
    next_cursor: str | None = None


class HeldAlert(Answer):
    """An alert that a silence would hold, or would have held."""

    id: str = Field(examples=[AN_ID])
    title: str = Field(examples=["inspections staging is down"])
    severity: str = Field(examples=["critical"])
    labels: dict[str, str] = Field(examples=[{"alertname": "instance_down"}])
    created_at: Instant
    resolved_at: Instant | None = None


class SilencePreview(Answer):
    """What matchers would hold now, and would have held of the alerts of the last week.

    The lists have the newest, at most 50 each. `lookedAtAll` is false where there were more than
    10,000 alerts to look at.
    """

    matchers: str = Field(examples=[MATCHERS])
    active: list[HeldAlert]
    active_count: int = Field(examples=[1])
    past: list[HeldAlert]
    past_count: int = Field(examples=[0])
    looked_at_all: bool = Field(examples=[True])

"""Shapes of routes, inhibition and what waits: what the API takes and gives."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, StringConstraints

from mainstay_server.kernel.matchers import LONGEST_TEXT
from mainstay_server.kernel.web.bodies import Answer, Body, Instant

AN_ID = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
A_CHANNEL = "0193a5c2-8f00-7a11-8b22-3c44d55e6f77"
MATCHERS = 'severity="critical",environment="production"'
DAY_SECONDS = 86_400

Name = Annotated[str, StringConstraints(max_length=200)]
ShortId = Annotated[str, StringConstraints(max_length=36)]
Labels = dict[Name, Annotated[str, StringConstraints(max_length=2_000)]]


class RouteFields(Body):
    """What can be said of a route; what is left out stays, or has its default."""

    position: int | None = Field(None, ge=1, le=1_000, description="1 is read first.")
    goes_on: bool | None = Field(
        None, alias="continue", description="Read on behind this route when it fits."
    )
    group_by: list[Name] | None = Field(
        None,
        max_length=20,
        description="Labels whose alerts are gathered where they are alike. Default:"
        " environment, alertname, severity.",
    )
    wait_seconds: int | None = Field(
        None, ge=0, le=3_600, description="How long the first of a group waits. Default: 0."
    )
    interval_seconds: int | None = Field(
        None, ge=0, le=DAY_SECONDS, description="How long what follows is gathered. Default: 60."
    )
    repeat_seconds: int | None = Field(
        None,
        ge=0,
        le=30 * DAY_SECONDS,
        description="After how long what lasts and nobody acknowledged is told again; 0: never.",
    )
    enabled: bool | None = None
    muted_until: Instant | None = Field(None, description="null ends the mute.")
    mute_times: str | None = Field(
        None, max_length=500, description="Quiet every week: `Mon-Fri 18:00-08:00, Sat-Sun`."
    )
    time_zone: str | None = Field(None, max_length=64, description="Of muteTimes; default UTC.")


class NewRoute(RouteFields):
    """Alerts whose labels fit the matchers go to the channels. No matchers: all alerts do."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Outages to the pager",
                    "matchers": MATCHERS,
                    "channelIds": [A_CHANNEL],
                    "continue": True,
                    "repeatSeconds": 14_400,
                }
            ]
        }
    )

    name: str = Field(min_length=1, max_length=100)
    matchers: str = Field("", max_length=LONGEST_TEXT)
    channel_ids: list[ShortId] = Field(min_length=1, max_length=40)


class RouteChange(RouteFields):
    """What to change of a route; what is left out stays."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"position": 1, "muteTimes": "Sat-Sun"}]}
    )

    name: str | None = Field(None, min_length=1, max_length=100)
    matchers: str | None = Field(None, max_length=LONGEST_TEXT)
    channel_ids: list[ShortId] | None = Field(None, min_length=1, max_length=40)


class RouteAnswer(Answer):
    """One route."""

    id: str = Field(examples=[AN_ID])
    position: int = Field(examples=[1])
    name: str = Field(examples=["Outages to the pager"])
    matchers: str = Field(examples=[MATCHERS])
    channel_ids: list[str] = Field(examples=[[A_CHANNEL]])
    goes_on: bool = Field(alias="continue", examples=[True])
    group_by: list[str] = Field(examples=[["environment", "alertname", "severity"]])
    wait_seconds: int = Field(examples=[0])
    interval_seconds: int = Field(examples=[60])
    repeat_seconds: int = Field(examples=[14_400])
    enabled: bool = Field(examples=[True])
    muted_until: Instant | None = None
    mute_times: str = Field(examples=["Sat-Sun"])
    time_zone: str = Field(examples=["Europe/Berlin"])


class RouteList(Answer):
    """The routes of a project, in the order in which they are read."""

    routes: list[RouteAnswer]
    next_cursor: str | None = None


class RouteTest(Body):
    """Labels of an alert that is only asked about; `environment` says of which instance.

    What every alert has is filled in: `severity` (critical), `project`, and the first instance.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"labels": {"alertname": "instance_down", "severity": "critical"}}]
        }
    )

    labels: Labels = Field(max_length=100)


class HearingAnswer(Answer):
    """Whether one channel would hear, by which route, why or why not, and why not yet."""

    channel_id: str = Field(examples=[A_CHANNEL])
    channel: str = Field(examples=["pager"])
    hears: bool = Field(examples=[True])
    route: str | None = Field(None, examples=["Outages to the pager"])
    why: str = Field(examples=["by the route 'Outages to the pager'"])
    quiet: str | None = Field(None, examples=["the channel is muted Sat-Sun (Europe/Berlin)"])


class RouteTestAnswer(Answer):
    """What would become of an alert with these labels now.

    `held` is why nobody would be told at present: a silence, maintenance or inhibition.
    """

    routes: list[str] = Field(examples=[["Outages to the pager"]])
    channels: list[HearingAnswer]
    held: str | None = Field(None, examples=["silenced by Alice: Moving to another machine"])


class NewInhibition(Body):
    """While an alert that fits `source` is active, those that fit `target` are not told.

    Only where the labels named by `equal` are alike, of which an absent one is the empty text.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "A data centre mutes what is in it",
                    "source": 'alertname="datacentre_down"',
                    "target": 'severity!="info"',
                    "equal": ["datacentre"],
                }
            ]
        }
    )

    name: str = Field(min_length=1, max_length=100)
    source: str = Field(min_length=1, max_length=LONGEST_TEXT)
    target: str = Field(min_length=1, max_length=LONGEST_TEXT)
    equal: list[Name] = Field(default_factory=list, max_length=20)
    enabled: bool = True


class InhibitionChange(Body):
    """What to change of a rule of inhibition; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": False}]})

    name: str | None = Field(None, min_length=1, max_length=100)
    source: str | None = Field(None, min_length=1, max_length=LONGEST_TEXT)
    target: str | None = Field(None, min_length=1, max_length=LONGEST_TEXT)
    equal: list[Name] | None = Field(None, max_length=20)
    enabled: bool | None = None


class InhibitionAnswer(Answer):
    """One rule of inhibition."""

    id: str = Field(examples=[AN_ID])
    name: str = Field(examples=["A data centre mutes what is in it"])
    source: str = Field(examples=['alertname="datacentre_down"'])
    target: str = Field(examples=['severity!="info"'])
    equal: list[str] = Field(examples=[["datacentre"]])
    enabled: bool = Field(examples=[True])


class InhibitionList(Answer):
    """A project's own rules of inhibition, oldest first; the default ones hold beside them."""

    inhibitions: list[InhibitionAnswer]
    next_cursor: str | None = None


class GroupAnswer(Answer):
    """What one channel hears together, with how many of its alerts are where."""

    id: str = Field(examples=[AN_ID])
    channel_id: str = Field(examples=[A_CHANNEL])
    channel: str = Field(examples=["pager"])
    route: str | None = Field(None, examples=["Outages to the pager"])
    labels: dict[str, str] = Field(examples=[{"alertname": "instance_down"}])
    waiting: int = Field(examples=[3], description="Gathered for the next message.")
    held: int = Field(examples=[0], description="Held back; `reason` says why.")
    told: int = Field(examples=[1], description="Told, and still active.")
    ending: int = Field(examples=[0], description="Over, and gathered for the message of that.")
    reason: str | None = None
    due_at: Instant | None = None
    told_at: Instant | None = None


class GroupList(Answer):
    """The groups of a project of which an alert is active, newest first."""

    groups: list[GroupAnswer]
    next_cursor: str | None = None


def given_of(body: RouteFields) -> dict[str, Any]:
    """What a body says, with `null` only where that says something: the end of a mute."""
    return {
        name: value
        for name, value in body.model_dump(exclude_unset=True).items()
        if value is not None or name == "muted_until"
    }

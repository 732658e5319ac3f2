"""Shapes of rules over measures: what somebody writes, and what the API answers."""

import math
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from mainstay_server.areas.alerts.models import Severity
from mainstay_server.kernel.measures import LONGEST_PART
from mainstay_server.kernel.web import Answer, Body
from mainstay_server.kernel.web.bodies import Instant

from .rules import WindowSeconds

EACH_PART = "*"
MOST_LEVELS = 5
LONGEST_NAME = 100
LONGEST_DURATION_SECONDS = 24 * 3600
LONGEST_RUNBOOK = 500

Duration = Annotated[int, Field(ge=0, le=LONGEST_DURATION_SECONDS)]
Compares = Literal["above", "below", "absent"]


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("must be a number")
    return value


Number = Annotated[float, AfterValidator(_finite)]


class RuleLevel(Body):
    """A severity, and the value beyond which it holds; it ends at `clear`, by default the same."""

    severity: Severity
    threshold: Number = 0
    clear: Number | None = Field(None, description="Where it ends; default: the threshold.")


class MeasureRuleFields(Body):
    """What can be said of a rule over a measure."""

    measure: str = Field(max_length=60, examples=["requests.p95_ms"])
    part: str = Field(
        "",
        max_length=LONGEST_PART,
        description='Empty: the whole instance; "*": each part by itself; else the one part.',
    )
    compares: Compares = Field("above", description="absent: nothing came over the window.")
    levels: list[RuleLevel] = Field(
        min_length=1,
        max_length=MOST_LEVELS,
        examples=[[{"severity": "warning", "threshold": 800}]],
    )
    window_seconds: WindowSeconds = 300
    for_seconds: Duration = Field(0, description="So long it has to be so before anybody is told.")
    clear_seconds: Duration = Field(300, description="So long it has to be well to be over.")
    minimum_count: int = Field(
        0, ge=0, le=1_000_000_000, description="Of fewer requests, results … nothing is concluded."
    )
    enabled: bool = True
    runbook: str = Field(
        "",
        max_length=LONGEST_RUNBOOK,
        description="The name of a runbook of the project, or the URL of one elsewhere.",
    )

    @model_validator(mode="after")
    def _levels_make_sense(self) -> Self:
        if self.compares == "absent":
            if len(self.levels) > 1:
                raise ValueError("a rule about absence has one level: data come or they do not")
            return self
        sign = 1 if self.compares == "above" else -1
        for level in self.levels:
            if level.clear is not None and sign * level.clear > sign * level.threshold:
                raise ValueError(f"clear of {level.severity} must not lie beyond its threshold")
        self.levels.sort(key=lambda level: level.severity.rank)
        for milder, graver in pairwise(self.levels):
            if milder.severity.rank == graver.severity.rank:
                raise ValueError(f"{milder.severity} and {graver.severity} are one rank; keep one")
            if sign * milder.threshold >= sign * graver.threshold:
                raise ValueError(
                    f"{graver.severity} must lie beyond {milder.severity}, or it would hide it"
                )
        return self


class MeasureRuleValue(MeasureRuleFields):
    """A rule over a measure with its name."""

    name: str = Field(min_length=1, max_length=LONGEST_NAME, examples=["Checkout is slow"])


class NewMeasureRule(MeasureRuleValue):
    """A rule that somebody writes; without an instance it is of all of the project's."""

    instance_id: str | None = Field(None, max_length=36)


class MeasureRuleChange(Body):
    """What to change of a rule; what is left out stays."""

    name: str | None = Field(None, min_length=1, max_length=LONGEST_NAME)
    measure: str | None = Field(None, max_length=60)
    part: str | None = Field(None, max_length=LONGEST_PART)
    compares: Compares | None = None
    levels: list[RuleLevel] | None = Field(None, min_length=1, max_length=MOST_LEVELS)
    window_seconds: WindowSeconds | None = None
    for_seconds: Duration | None = None
    clear_seconds: Duration | None = None
    minimum_count: int | None = Field(None, ge=0, le=1_000_000_000)
    enabled: bool | None = None
    runbook: str | None = Field(None, max_length=LONGEST_RUNBOOK)

    def given(self) -> dict[str, Any]:
        """The fields that were given."""
        return self.model_dump(exclude_none=True)


class MeasureRuleAnswer(MeasureRuleValue, Answer):
    """One rule. `default` is the key of a default, changed or not; `waitsFor` why it is dormant."""

    id: str
    instance_id: str | None = None
    default: str | None = None
    changed_at: Instant | None = None
    why_off: str | None = None
    waits_for: str | None = None
    firing: int = Field(0, description="At how many instances or parts it fires now.")


class MeasureRuleList(Answer):
    """The rules over measures of a project, its own first, then the defaults."""

    rules: list[MeasureRuleAnswer]
    next_cursor: str | None = None


class MeasureAnswer(Answer):
    """Something that rules compare. `part` is what a part of an instance is here."""

    name: str
    title: str
    unit: str
    description: str
    worse: Literal["above", "below"]
    part: str | None = None
    counts: str | None = None
    windowed: bool = True


class MeasureList(Answer):
    """The measures that installed areas declare."""

    measures: list[MeasureAnswer]


class MeasureRulePreviewBody(MeasureRuleFields):
    """A rule of which to tell what it would have told of an instance in the last week.

    It takes what a new rule takes; the name does not matter. A rule `of` the project is missed
    data only where there were some before, one of the instance expects them.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "instanceId": "0193a5c0-11aa-7b2c-8d3e-4f5a6b7c8d9e",
                    "measure": "requests.p95_ms",
                    "levels": [{"severity": "warning", "threshold": 800, "clear": 700}],
                    "forSeconds": 300,
                }
            ]
        }
    )

    name: str = Field("", max_length=LONGEST_NAME)
    instance_id: str = Field(max_length=36)
    of: Literal["instance", "project"] = "instance"


class PreviewedValue(Answer):
    """A value, when it was, and of which part."""

    value: float = Field(examples=[1240.5])
    at: Instant
    part: str = ""


class PreviewedAlert(Answer):
    """One alert that would have opened."""

    at: Instant
    severity: Severity


class PreviewedFiring(Answer):
    """One time that a rule would have fired. `endedAt` is null while it lasts.

    `severity` is the gravest of its `alerts`, of which each takes the place of the one before.
    """

    part: str = ""
    severity: Severity
    began_at: Instant
    ended_at: Instant | None = None
    duration_seconds: int = Field(description="Until its end, or until the last look.")
    worst: PreviewedValue | None = Field(None, description="null for the absence of data.")
    alerts: list[PreviewedAlert]


class MeasureRulePreview(Answer):
    """How often a rule would have fired, had it been written at `since`.

    `ground` tells whether there was something to judge: `judged`; `too_few` data for what is asked
    of their number; `no_data`; `no_past` of a measure that is only known as it is now;
    `not_measured` by anybody yet. `firings` are the newest, at most 50, of `count`.
    """

    ground: Literal["judged", "too_few", "no_data", "no_past", "not_measured"]
    since: Instant
    until: Instant
    looked_at_all: bool = Field(description="false: the week had too much, its end was looked at.")
    has_more_parts: bool = Field(description="true: only the 20 busiest parts were looked at.")
    data_since: Instant | None = None
    judged_minutes: int = Field(description="In so many minutes there was a value to judge.")
    count: int
    alerts: int = Field(description="So many alerts would have opened; a graver one is another.")
    firing_now: Severity | None = None
    firings: list[PreviewedFiring]
    worst: PreviewedValue | None = Field(None, description="The worst value of all.")
    now: PreviewedValue | None = Field(None, description="The worst value of the last look.")
    now_severity: Severity | None = Field(None, description="What that passes, however long.")

"""Shapes of Alertmanager's API v2 and of its webhook, as its clients send and read them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec

from mainstay_server.kernel.clock import rfc3339
from mainstay_server.kernel.labels import fingerprint

MOST_ALERTS = 10_000
MOST_PAIRS = 100
MOST_ALERT_CHARACTERS = 16_000
LONGEST_URL = 2000
MOST_FAULTS_TOLD = 10
# What Go's clients send for "no time" is the year 1; nothing real is older than this.
NO_TIME_BEFORE = datetime(1970, 1, 2, tzinfo=UTC)
RESOLVE_TIMEOUT = timedelta(minutes=5)
# Alertmanager tells a webhook of what lasts every four hours, unless it is set otherwise.
WEBHOOK_TIMEOUT = timedelta(days=7)

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Pairs = dict[str, str]


class PostedAlert(msgspec.Struct, rename={"generator_url": "generatorURL"}):
    """One alert as a sender writes it; times are left out, null or the year 1 where unknown."""

    labels: Pairs
    annotations: Pairs | None = None
    starts_at: Moment | None = msgspec.field(default=None, name="startsAt")
    ends_at: Moment | None = msgspec.field(default=None, name="endsAt")
    generator_url: str | None = None


class WebhookAlert(PostedAlert):
    """One alert in what Alertmanager tells a webhook."""

    status: Literal["firing", "resolved"] = "firing"


class Webhook(msgspec.Struct):
    """What Alertmanager tells a webhook, as far as it is read; its version is 4."""

    version: Literal["4"]
    alerts: Annotated[list[WebhookAlert], msgspec.Meta(max_length=MOST_ALERTS)]


class PostedMatcher(msgspec.Struct, rename="camel"):
    """A matcher as a client writes it."""

    name: str
    value: str
    is_regex: bool
    is_equal: bool = True


class PostedSilence(msgspec.Struct, rename="camel"):
    """A silence as a client writes it; with an id, what becomes of the one that is there."""

    matchers: Annotated[list[PostedMatcher], msgspec.Meta(min_length=1, max_length=100)]
    starts_at: Moment
    ends_at: Moment
    created_by: str
    comment: str
    id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One alert that was sent, with every time known. One whose end has passed is over."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime
    end_is_given: bool
    generator_url: str = ""
    fingerprint: str = field(default="")


def read_posted(
    posted: list[PostedAlert], *, timeout: timedelta = RESOLVE_TIMEOUT, now: datetime
) -> tuple[list[Sent], list[str]]:
    """The alerts that make sense, and what is wrong with the others, as Alertmanager reads them."""
    sent, faults = [], []
    for place, each in enumerate(posted):
        fault = _fault_in(each)
        read = None if fault else _read(each, timeout=timeout, now=now)
        if read is not None and read.ends_at < read.starts_at:
            fault = "start time must be before end time"
        if fault:
            faults.append(f"alert {place}: {fault}")
        elif read is not None:
            sent.append(read)
    return sent, faults


def said_of(faults: list[str]) -> str:
    """Faults in one text, with no more of them than anybody reads."""
    more = len(faults) - MOST_FAULTS_TOLD
    ending = [f"and {more} more"] if more > 0 else []
    return "; ".join(faults[:MOST_FAULTS_TOLD] + ending)


def moment(at: datetime) -> str:
    """A time as Alertmanager writes it."""
    return rfc3339(at)


def _read(posted: PostedAlert, *, timeout: timedelta, now: datetime) -> Sent:
    labels = _labels(posted)
    starts_at, given_end = _known(posted.starts_at), _known(posted.ends_at)
    starts_at = starts_at or given_end or now
    ends_at = given_end or now + timeout
    if isinstance(posted, WebhookAlert) and posted.status == "resolved":
        ends_at = min(ends_at, now)
        starts_at = min(starts_at, ends_at)
    return Sent(
        labels=labels,
        annotations=posted.annotations or {},
        starts_at=starts_at,
        ends_at=ends_at,
        end_is_given=given_end is not None,
        generator_url=(posted.generator_url or "")[:LONGEST_URL],
        fingerprint=fingerprint(labels),
    )


def _labels(posted: PostedAlert) -> Pairs:
    """The labels that say something: one that is empty is none."""
    return {name: value for name, value in posted.labels.items() if value}


def _fault_in(posted: PostedAlert) -> str:
    """Why an alert cannot be taken; "" when it can."""
    labels, annotations = _labels(posted), posted.annotations or {}
    if not labels:
        return "at least one label pair required"
    if len(labels) > MOST_PAIRS or len(annotations) > MOST_PAIRS:
        return f"more than {MOST_PAIRS} labels or annotations; send fewer"
    if "" in labels or "" in annotations:
        return "a label or annotation has no name"
    texts = (*labels, *labels.values(), *annotations, *annotations.values())
    if sum(map(len, texts)) > MOST_ALERT_CHARACTERS:
        return f"more than {MOST_ALERT_CHARACTERS} characters; shorten its annotations"
    return ""


def _known(at: datetime | None) -> datetime | None:
    """A time in UTC, or None for one that stands for no time."""
    if at is None:
        return None
    try:
        clean = at.astimezone(UTC)
    except OverflowError:
        return None
    return clean if clean >= NO_TIME_BEFORE else None

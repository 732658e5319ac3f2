"""Shapes of the API about bans."""

from datetime import datetime

from pydantic import Field

from mainstay_server.kernel.web.bodies import Answer, Body, Instant

from .models import Mode

AN_ID = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"


class BanBody(Body):
    """Whom to keep out by hand, and for how long."""

    network: str = Field(max_length=60, examples=["198.51.100.4"])
    minutes: int = Field(60, ge=1, le=366 * 24 * 60, examples=[60])
    reason: str = Field("", max_length=200, examples=["scraped the catalogue"])


class BanAnswer(Answer):
    """One ban. `active` is false when it is over, was lifted, or was only simulated."""

    id: str = Field(examples=[AN_ID])
    network: str = Field(examples=["198.51.100.4/32"])
    rule: str = Field(examples=["key_spraying"])
    reason: str = Field(examples=["23 different keys were refused within 10 minutes"])
    simulated: bool = Field(examples=[False])
    active: bool = Field(examples=[True])
    level: int = Field(examples=[0])
    starts_at: Instant
    until: Instant
    lifted_at: Instant | None
    lifted_because: str = Field(examples=[""])


class Bans(Answer):
    """A page of an instance's bans, the newest first."""

    bans: list[BanAnswer]
    next_cursor: str | None


class AbuseSettingsBody(Body):
    """What to change; what is left out stays. A threshold of 0 switches its rule off."""

    mode: Mode | None = Field(None, examples=["enforce"])
    thresholds: dict[str, int] | None = Field(None, examples=[{"key_spraying": 20}])


class RuleAnswer(Answer):
    """One rule: what it looks for within ten minutes, and from how many on."""

    rule: str = Field(examples=["key_spraying"])
    about: str = Field(examples=["different keys that were refused, from one address"])
    threshold: int = Field(examples=[20])
    default: int = Field(examples=[20])


class AbuseSettingsAnswer(Answer):
    """How an instance looks for abuse."""

    mode: Mode
    window_minutes: int = Field(examples=[10])
    rules: list[RuleAnswer]


def is_active(
    *, simulated: bool, lifted_at: datetime | None, until: datetime, now: datetime
) -> bool:
    """Whether a ban keeps somebody out now."""
    return not simulated and lifted_at is None and until > now

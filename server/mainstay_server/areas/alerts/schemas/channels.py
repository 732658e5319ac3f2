"""What the API takes and gives of channels: who is told, where, how fast, and who else instead."""

from typing import Annotated, Any, Literal

from pydantic import Field

from mainstay_server.areas.alerts.models import NotificationState, Severity
from mainstay_server.kernel.web import Answer, Body
from mainstay_server.kernel.web.bodies import Instant

MOST_PER_MINUTE = 6_000

FallbackId = Annotated[
    str,
    Field(max_length=36, description="Who is told when this one cannot be; empty for nobody."),
]
PerMinute = Annotated[
    int,
    Field(ge=0, le=MOST_PER_MINUTE, description="Messages a minute; 0 for what its kind takes."),
]


class NewChannel(Body):
    """A way to tell people: `{"webhookUrl": …}` for a webhook, `{"email": …}` for an address.

    `kinds` of the list of channels says which fields each type's config has.
    """

    type: str = Field(max_length=20, examples=["webhook"])
    name: str = Field("", max_length=100, description="Default: after its type.")
    config: dict[str, str] = Field(examples=[{"webhookUrl": "https://hooks.example/services/…"}])
    minimum_severity: Severity = Severity.INFO
    fallback_id: FallbackId = ""
    per_minute: PerMinute = 0


class ChannelChange(Body):
    """What to change of a channel; what is left out stays, also of `config`."""

    name: str | None = Field(None, min_length=1, max_length=100)
    config: dict[str, str] | None = Field(
        None, examples=[{"webhookUrl": "https://hooks.example/new"}]
    )
    enabled: bool | None = None
    minimum_severity: Severity | None = None
    fallback_id: FallbackId | None = None
    per_minute: PerMinute | None = None
    muted_until: Instant | None = Field(None, description="null ends the mute.")
    mute_times: str | None = Field(
        None,
        max_length=500,
        examples=["Mon-Fri 18:00-08:00, Sat-Sun"],
        description="When it is quiet every week; empty: never.",
    )
    time_zone: str | None = Field(None, max_length=64, examples=["Europe/Berlin"])

    @property
    def quiet(self) -> dict[str, Any]:
        """What is said of when it is quiet; only a mute is ended by `null`."""
        named = self.model_fields_set & {"muted_until", "mute_times", "time_zone"}
        said = {name: getattr(self, name) for name in sorted(named)}
        return {k: v for k, v in said.items() if v is not None or k == "muted_until"}


class ChannelAnswer(Answer):
    """One channel. `config` is masked where it holds a secret.

    `perMinute` is the limit that holds, 0 without any. Until `previousSecretUntil` messages are
    signed with the secret before the last rotation as well.
    """

    id: str
    instance_id: str | None
    scope: Literal["instance", "project"]
    name: str
    type: str
    config: dict[str, str]
    enabled: bool
    minimum_severity: Severity
    fallback_id: str | None = None
    per_minute: int
    created_at: Instant
    last_delivered_at: Instant | None = None
    failing_since: Instant | None = None
    last_error: str | None = None
    disabled_reason: str | None = None
    previous_secret_until: Instant | None = None
    not_ready: str | None = None
    muted_until: Instant | None = None
    mute_times: str | None = None
    time_zone: str | None = None


class NewChannelAnswer(ChannelAnswer):
    """A channel right after it was made. The signing secret of a webhook is shown this once."""

    secret: str | None = None


class ChannelFieldAnswer(Answer):
    """One field of the config of a kind of channel; with `choices`, left out means the first."""

    name: str
    label: str
    hint: str
    required: bool
    secret: bool
    choices: list[str]


class ChannelList(Answer):
    """Channels, oldest first, and what each kind that could be added is configured with."""

    channels: list[ChannelAnswer]
    kinds: dict[str, list[ChannelFieldAnswer]]
    next_cursor: str | None


class RotatedAnswer(Answer):
    """Another signing secret, shown this once; the one before signs too until then."""

    secret: str
    previous_secret_until: Instant


class TestAnswer(Answer):
    """A test that is on its way; the delivery history tells what became of it."""

    id: str
    state: NotificationState

"""How pages leave, and how long alerts are kept."""

from pydantic import Field

from mainstay_server.kernel.settings import ServerSettings, Settings, of


class AlertSettings(Settings):
    """How alerts are kept, and what their channels may use."""

    alerts_keep_days: int = Field(
        180, ge=1, le=3660, description="Days after which resolved alerts are deleted."
    )
    alerts_group_wait_seconds: int = Field(
        0,
        ge=0,
        le=3600,
        description="How long the first alert of a group waits for others, without a route.",
    )
    alerts_group_interval_seconds: int = Field(
        60,
        ge=0,
        le=86_400,
        description="For how long further alerts of a group are gathered, without a route.",
    )
    alerts_repeat_seconds: int = Field(
        0,
        ge=0,
        le=30 * 86_400,
        description="After how long what lasts is told again, without a route; 0: never.",
    )
    pagerduty_url: str = Field(
        "https://events.pagerduty.com/v2/enqueue",
        pattern="^https?://",
        description="Where PagerDuty takes events; the EU has events.eu.pagerduty.com.",
    )
    slack_url: str = Field(
        "https://slack.com/api",
        pattern="^https?://",
        description="Where Slack's Web API is, for channels with a bot's token.",
    )
    telegram_url: str = Field(
        "https://api.telegram.org",
        pattern="^https?://",
        description="Where Telegram's bot API is; one may run a server of it oneself.",
    )
    datadog_url: str = Field(
        "",
        pattern="^(https?://.*)?$",
        description="Where Datadog takes events; default after the site of each channel.",
    )
    alerts_apprise: bool | None = Field(
        None,
        description="Let channels of kind apprise open connections of their own, past the address"
        " check; default yes on embedded stores that may reach private addresses.",
    )

    @property
    def apprise_allowed(self) -> bool:
        """Whether members may add channels whose connections the address check does not see."""
        if self.alerts_apprise is not None:
            return self.alerts_apprise
        server = of(ServerSettings)
        return server.embedded and server.outbound_allow_private is not False

"""How mail and pages leave, and how long alerts are kept."""

from typing import Self

from pydantic import Field, SecretStr, model_validator

from mainstay_server.kernel.settings import ServerSettings, Settings, of

LONGEST_PORT = 65535


class SmtpSettings(Settings):
    """`MAINSTAY_SMTP_…`: the mail server that alerts are handed to. Without a host, no mail."""

    smtp_host: str = Field("", description="Mail server; empty means that mail is not set up.")
    smtp_port: int = Field(587, ge=1, le=LONGEST_PORT, description="Its port: 587, 465 or 25.")
    smtp_username: str = Field("", description="Signs in with this name; empty does not.")
    smtp_password: SecretStr = Field(SecretStr(""), description="The password of that name.")
    smtp_starttls: bool | None = Field(
        None, description="true insists on STARTTLS, false never uses it; default when offered."
    )
    smtp_tls: bool = Field(default=False, description="Speak TLS from the first byte (port 465).")
    smtp_from: str = Field("", description="The sender's address; default mainstay@ the host.")

    @property
    def sender(self) -> str:
        """The address that mails come from."""
        return self.smtp_from or f"mainstay@{self.smtp_host}"

    @model_validator(mode="after")
    def _refuse_half_a_sign_in(self) -> Self:
        if bool(self.smtp_username) != bool(self.smtp_password.get_secret_value()):
            raise ValueError(
                "MAINSTAY_SMTP_USERNAME and MAINSTAY_SMTP_PASSWORD belong together;"
                " give both or neither"
            )
        return self


class AlertSettings(Settings):
    """How alerts are kept, and what their channels may use."""

    alerts_keep_days: int = Field(
        180, ge=1, le=3660, description="Days after which resolved alerts are deleted."
    )
    pagerduty_url: str = Field(
        "https://events.pagerduty.com/v2/enqueue",
        pattern="^https?://",
        description="Where PagerDuty takes events; the EU has events.eu.pagerduty.com.",
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

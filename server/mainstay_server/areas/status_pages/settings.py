"""How much strangers may ask of status pages."""

from pydantic import Field

from mainstay_server.kernel.settings import Settings


class StatusPageSettings(Settings):
    """`MAINSTAY_STATUS_…`: what sign-ups may cost, and where their webhooks may lead."""

    status_sign_ups_per_hour: int = Field(
        20, ge=1, le=10_000, description="Sign-ups for updates from one address in an hour."
    )
    status_mails_per_day: int = Field(
        3, ge=1, le=1000, description="Mails to confirm that one mailbox gets in a day."
    )
    status_passwords_per_hour: int = Field(
        20, ge=1, le=10_000, description="Tries of a page's password from one address in an hour."
    )
    status_webhooks_private: bool = Field(
        default=False,
        description="Let webhooks that anybody subscribed reach private addresses.",
    )
    status_keep_unconfirmed_hours: int = Field(
        48, ge=1, le=720, description="Hours after which a sign-up that nobody confirmed is gone."
    )

"""Options of mail, for operators."""

from pydantic import Field, SecretStr

from mainstay_server.kernel.settings import Settings


class EmailSettings(Settings):
    """How much mail a project may send, how long mail is kept, and who may tell of bounces."""

    emails_per_hour: int = Field(
        1000, ge=1, le=1_000_000, description="Mails that a project may send in an hour."
    )
    emails_queued: int = Field(
        1000, ge=1, le=1_000_000, description="Mails of a project that may wait at once."
    )
    emails_keep_days: int = Field(
        90, ge=1, le=3660, description="Days after which sent mails are forgotten."
    )
    email_bodies_keep_days: int = Field(
        7, ge=0, le=3660, description="Days after which what sent mails said is forgotten."
    )
    resend_webhook_secret: SecretStr = Field(
        SecretStr(""),
        description="Opens the door by which Resend tells of bounces; begins with whsec_.",
    )

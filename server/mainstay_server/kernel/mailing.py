"""Mail as all of the server sends it: its one way out, SMTP or Resend, and handing it over."""

import re
from email.message import EmailMessage
from typing import Self

from pydantic import Field, SecretStr, model_validator

from .clock import utc_now
from .events import Refused, RetryLater
from .outbound import MailRefused, send_mail_blocking
from .resend import send_by_resend
from .settings import Settings, of

LONGEST_PORT = 65535
TIMEOUT_SECONDS = 30.0
BAD_ADDRESS = re.compile(r"\b5\.(1\.\d{1,3}|2\.1)\b")
POLICY = re.compile(r"\b5\.7\.\d{1,3}\b")
NOT_SET_UP = (
    "Mail is not set up: give the server MAINSTAY_SMTP_HOST or MAINSTAY_RESEND_API_KEY"
    " and start it again."
)


class RecipientRefused(Refused):
    """The receiver will never take mail for this address; the fault is not ours or the message's.

    It refused the address itself, or said so by a code such as 5.1.1 (RFC 3463, section 3.2).
    """


class SmtpSettings(Settings):
    """`MAINSTAY_SMTP_…`: the mail server that mail is handed to; or Resend. Else, no mail."""

    smtp_host: str = Field("", description="Mail server; empty means that mail is not set up.")
    smtp_port: int = Field(587, ge=1, le=LONGEST_PORT, description="Its port: 587, 465 or 25.")
    smtp_username: str = Field("", description="Signs in with this name; empty does not.")
    smtp_password: SecretStr = Field(SecretStr(""), description="The password of that name.")
    smtp_starttls: bool | None = Field(
        None, description="true insists on STARTTLS, false never uses it; default when offered."
    )
    smtp_tls: bool = Field(default=False, description="Speak TLS from the first byte (port 465).")
    smtp_from: str = Field("", description="The sender's address; default mainstay@ the host.")
    resend_api_key: SecretStr = Field(
        SecretStr(""), description="Send through Resend's HTTP API with this key, not by SMTP."
    )
    resend_url: str = Field(
        "https://api.resend.com", pattern="^https?://", description="Where that API is."
    )

    @property
    def sender(self) -> str:
        """The address that mails come from; a whole one also while there is no server."""
        return self.smtp_from or f"mainstay@{self.smtp_host or 'localhost'}"

    @property
    def domain(self) -> str:
        """The domain of that address, in which messages are named."""
        return self.sender.rpartition("@")[2].rstrip(">")

    @property
    def ready(self) -> bool:
        """Whether mail can leave at all."""
        return bool(self.smtp_host or self.resend_api_key.get_secret_value())

    @model_validator(mode="after")
    def _refuse_two_ways_and_a_sender_that_resend_does_not_know(self) -> Self:
        if not self.resend_api_key.get_secret_value():
            return self
        if self.smtp_host:
            raise ValueError(
                "MAINSTAY_SMTP_HOST and MAINSTAY_RESEND_API_KEY are two ways for the same mail;"
                " give one of them"
            )
        if not self.smtp_from:
            raise ValueError(
                "MAINSTAY_RESEND_API_KEY needs MAINSTAY_SMTP_FROM: an address of a domain that"
                " was verified at Resend"
            )
        return self

    @model_validator(mode="after")
    def _refuse_half_a_sign_in(self) -> Self:
        if bool(self.smtp_username) != bool(self.smtp_password.get_secret_value()):
            raise ValueError(
                "MAINSTAY_SMTP_USERNAME and MAINSTAY_SMTP_PASSWORD belong together;"
                " give both or neither"
            )
        return self


def why_no_mail() -> str:
    """Why no mail can leave, with the next step; empty when it can."""
    return "" if of(SmtpSettings).ready else NOT_SET_UP


def hand_over(message: EmailMessage) -> str:
    """Hand a message to the mail server or to Resend, for a sender, who repeats what may be lost.

    Returns what Resend calls the mail, "" by SMTP.

    Raises `RetryLater` when the server cannot take it now or there is none yet, `Refused` when it
    never will, and `RecipientRefused` when that is because of the address.
    """
    smtp = of(SmtpSettings)
    if not smtp.ready:
        raise RetryLater(NOT_SET_UP)
    if key := smtp.resend_api_key.get_secret_value():
        return send_by_resend(message, api_key=key, base_url=smtp.resend_url, now=utc_now())
    try:
        send_mail_blocking(
            message,
            host=smtp.smtp_host,
            port=smtp.smtp_port,
            username=smtp.smtp_username or None,
            password=smtp.smtp_password.get_secret_value() or None,
            starttls=smtp.smtp_starttls,
            tls=smtp.smtp_tls,
            timeout_seconds=TIMEOUT_SECONDS,
            trusted=True,
        )
    except MailRefused as error:
        raise _failure(error) from None
    return ""


def _failure(error: MailRefused) -> Refused | RetryLater:
    """What a sender makes of it: an address that is no good, a refusal for good, or only for now.

    A refusal by policy (5.7.x) says nothing of the address, wherever in the conversation it comes.
    """
    if not error.permanent:
        return RetryLater(error.reason)
    of_address = error.at_recipient and not POLICY.search(error.reason)
    if of_address or BAD_ADDRESS.search(error.reason):
        return RecipientRefused(error.reason)
    return Refused(error.reason)

"""What the API of mail takes and gives."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from mainstay_server.areas.email.models import EmailKind, EmailState, Reason
from mainstay_server.kernel.web.bodies import Answer, Body, FreeObject, Instant

AN_ID = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
MOST_RECIPIENTS = 50
LONGEST_BODY = 200_000
SOURCE = 32_000
Address = Annotated[str, Field(min_length=3, max_length=254)]
TemplateName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")]
A_MAIL: dict[str, Any] = {
    "to": "ann@example.com",
    "template": "task_finished",
    "data": {"userName": "Ann Smith", "locationName": "Floor 1, room A", "status": "pass"},
}
A_TEMPLATE: dict[str, Any] = {
    "kind": "transactional",
    "subject": "Your order {{ order.number }}",
    "html": "<h1>Thank you, {{ name }}</h1>\n"
    "<p>{{ badge('paid', 'ok') }}</p>\n"
    "{{ facts(order) }}\n"
    "{{ button('See the order', url) }}",
    "text": "",
    "example": {
        "name": "Ann",
        "order": {"number": 1042, "total": "12.00 EUR"},
        "url": "https://shop.example.com/orders/1042",
    },
}


class EmailBody(Body):
    """A mail to one address or to each of several; nobody sees who else got it.

    Either `template` and its `data`, or `subject` with `html`, `text` or both. `project` may be
    left out where there is only one. A mail of kind `subscription` can be unsubscribed from.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [A_MAIL]})

    to: Address | Annotated[list[Address], Field(min_length=1, max_length=MOST_RECIPIENTS)]
    template: TemplateName | None = None
    data: FreeObject = Field({})
    subject: str = Field("", max_length=200)
    html: str = Field("", max_length=LONGEST_BODY)
    text: str = Field("", max_length=LONGEST_BODY)
    kind: EmailKind | None = None
    reply_to: str = Field("", max_length=254)
    project: str = Field("", max_length=60)

    @property
    def recipients(self) -> list[str]:
        """The addresses, also when it is one."""
        return [self.to] if isinstance(self.to, str) else self.to


class AcceptedEmail(Answer):
    """One mail that is stored, and on its way unless its address is kept from mail."""

    id: str = Field(examples=[AN_ID])
    to: str = Field(examples=["ann@example.com"], validation_alias="recipient")
    state: EmailState = Field(examples=["queued"])


class AcceptedAnswer(Answer):
    """What was stored: the id of the first mail, and all of them, one for each address."""

    id: str = Field(examples=[AN_ID])
    emails: list[AcceptedEmail]


class EmailAnswer(Answer):
    """One mail; `html` and `text` are empty once they were forgotten."""

    id: str = Field(examples=[AN_ID])
    project: str = Field(examples=["inspections"])
    to: str = Field(examples=["ann@example.com"])
    subject: str = Field(examples=["Inspection of Floor 1, room A: pass"])
    template: str = Field(examples=["task_finished"])
    kind: EmailKind = Field(examples=["transactional"])
    state: EmailState = Field(examples=["sent"])
    reason: str = Field(examples=[""], description="Why it was not delivered.")
    attempts: int = Field(examples=[1])
    made_by: str = Field(examples=["deploy script"])
    created_at: Instant
    sent_at: Instant | None


class OneEmail(EmailAnswer):
    """One mail with what it says."""

    html: str = Field(examples=["<!doctype html>…"])
    text: str = Field(examples=["Inspection of Floor 1, room A"])


class EmailsAnswer(Answer):
    """Mails, newest first."""

    emails: list[EmailAnswer]
    next_cursor: str | None = Field(examples=[None])


class TemplateBody(Body):
    """A template: a subject, HTML for the middle of the mail, and perhaps a text of its own."""

    model_config = ConfigDict(json_schema_extra={"examples": [A_TEMPLATE]})

    kind: EmailKind = EmailKind.TRANSACTIONAL
    subject: str = Field(min_length=1, max_length=500)
    html: str = Field(min_length=1, max_length=SOURCE)
    text: str = Field("", max_length=SOURCE)
    example: FreeObject = Field({})


class TemplateAnswer(Answer):
    """A template; those that come with Mainstay are `builtIn` and have no source to change."""

    name: str = Field(examples=["order_paid"])
    built_in: bool = Field(examples=[False])
    kind: EmailKind = Field(examples=["transactional"])
    subject: str = Field(examples=[A_TEMPLATE["subject"]])
    html: str = Field(examples=[A_TEMPLATE["html"]])
    text: str = Field(examples=[""])
    example: dict[str, Any] = Field(examples=[A_TEMPLATE["example"]])
    changed_at: Instant | None


class TemplatesAnswer(Answer):
    """The organization's own templates and those that come with Mainstay, by name."""

    templates: list[TemplateAnswer]
    next_cursor: str | None = Field(examples=[None])


class PreviewBody(Body):
    """What to fill a template with; without it, its own example."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    data: FreeObject | None = None


class PreviewAnswer(Answer):
    """A mail as it would be."""

    subject: str = Field(examples=["Your order 1042"])
    html: str = Field(examples=["<!doctype html>…"])
    text: str = Field(examples=["Thank you, Ann"])


class SuppressionBody(Body):
    """An address to be kept from mail."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"address": "gone@example.com", "note": "Left us"}]}
    )

    address: Address
    note: str = Field("", max_length=500)


class SuppressionAnswer(Answer):
    """An address that is kept from mail, and why."""

    id: str = Field(examples=[AN_ID])
    address: str = Field(examples=["gone@example.com"])
    reason: Reason = Field(examples=["hard_bounce"])
    note: str = Field(examples=["550 5.1.1 no such user"])
    created_at: Instant


class SuppressionsAnswer(Answer):
    """Addresses that are kept from mail, newest first."""

    suppressions: list[SuppressionAnswer]
    next_cursor: str | None = Field(examples=[None])


class LookBody(Body):
    """How mails look; what is left out stays, what is empty is as Mainstay has it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Inspections", "colour": "#16794c"}]}
    )

    name: str | None = Field(None, max_length=100)
    colour: str | None = Field(None, pattern=r"^(#[0-9a-fA-F]{6})?$")
    logo_url: str | None = Field(None, max_length=1000)
    footer: str | None = Field(None, max_length=300)
    reply_to: str | None = Field(None, max_length=254)


class LookAnswer(Answer):
    """How an organization's mails look."""

    name: str = Field(examples=["Inspections"])
    colour: str = Field(examples=["#16794c"])
    logo_url: str = Field(examples=[""])
    footer: str = Field(examples=[""])
    reply_to: str = Field(examples=[""])


class ReportsBody(Body):
    """Which reports you want by mail; what is left out stays. Monday is weekday 0."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"weekly": True, "timeZone": "Europe/Berlin", "hour": 8}]}
    )

    weekly: bool | None = None
    monthly: bool | None = None
    time_zone: str | None = Field(None, max_length=60)
    hour: int | None = Field(None, ge=0, le=23)
    weekday: int | None = Field(None, ge=0, le=6)


class ReportsAnswer(Answer):
    """Which reports a person is sent, and when the next ones are."""

    weekly: bool = Field(examples=[True])
    monthly: bool = Field(examples=[False])
    time_zone: str = Field(examples=["Europe/Berlin"])
    hour: int = Field(examples=[8])
    weekday: int = Field(examples=[0])
    next_weekly_at: Instant | None
    next_monthly_at: Instant | None


class ResendEvent(Answer):
    """What was made of what Resend told."""

    outcome: Literal["recorded", "ignored"] = Field(examples=["recorded"])

"""What mail says and answers: whose it is, an address that takes none, what was administered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy.orm import Session
from typing_extensions import override

from mainstay_server.kernel.events import Audited, Event, Target, Value
from mainstay_server.kernel.ports import port


@dataclass(frozen=True, kw_only=True)
class MailBrand:
    """Whose mail it is: a name, a colour such as `#2360c4`, perhaps a logo and a last line."""

    name: str
    colour: str
    logo_url: str = ""
    footer: str = ""


@port
def mail_brand(session: Session, organization_id: str) -> MailBrand:
    """How the mails of an organization look, whoever writes them: as chosen, or its plain name."""
    raise NotImplementedError


class EmailUndelivered(Event, frozen=True, kw_only=True):
    """A mail did not get to its reader: it bounced, was complained of, or could not be sent."""

    organization_id: str
    project_id: str
    email_id: str
    state: str
    reason: str

    @property
    @override
    def subject(self) -> str:
        return self.email_id


class EmailTemplateEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one of an organization's own templates."""

    noun: ClassVar[str] = "email_template"
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.name, self.name)


class EmailTemplateCreated(EmailTemplateEvent, frozen=True, kw_only=True):
    """Somebody wrote a template."""


class EmailTemplateChanged(EmailTemplateEvent, frozen=True, kw_only=True):
    """Somebody wrote a template anew, perhaps with the same words."""


class EmailTemplateRemoved(EmailTemplateEvent, frozen=True, kw_only=True):
    """Somebody removed a template; mails that were made with it stay as they are."""


class EmailSuppressionEvent(Audited, frozen=True, kw_only=True):
    """The base of what a person did about an address that is kept from mail."""

    noun: ClassVar[str] = "email_suppression"
    suppression_id: str
    address: str
    reason: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.suppression_id, self.address)

    @property
    @override
    def details(self) -> Mapping[str, Value]:
        return {"reason": self.reason}


class EmailSuppressionCreated(EmailSuppressionEvent, frozen=True, kw_only=True):
    """Somebody had an address kept from the organization's mails."""


class EmailSuppressionRemoved(EmailSuppressionEvent, frozen=True, kw_only=True):
    """Somebody let an address have the organization's mails again."""


class EmailSetupChanged(Audited, frozen=True, kw_only=True):
    """Somebody changed how an organization's mails look, or whether a DSN sends them."""

    noun: ClassVar[str] = "email_setup"
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.organization_id, self.name)


class EmailReportsChosen(Audited, frozen=True, kw_only=True):
    """A person chose which reports they are sent, and when."""

    noun: ClassVar[str] = "email_reports"
    person_id: str
    email: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.person_id, self.email)

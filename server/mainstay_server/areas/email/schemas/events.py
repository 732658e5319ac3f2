"""What the outbox carries for this area alone."""

from typing_extensions import override

from mainstay_server.kernel.events import Event


class EmailDue(Event, frozen=True, kw_only=True):
    """A mail is to be handed to a mail server; those of others do not wait for it."""

    email_id: str

    @property
    @override
    def subject(self) -> str:
        return self.email_id

"""What the area says to itself, so that nothing that has to be told is told in a request."""

from typing_extensions import override

from mainstay_server.kernel.events import Event


class StatusUpdateSaid(Event, frozen=True, kw_only=True):
    """Something was said on a page: its subscribers after the id `after` have to be told."""

    page_id: str
    update_id: str
    after: str = ""

    @property
    @override
    def subject(self) -> str:
        return self.page_id


class StatusNoticeDue(Event, frozen=True, kw_only=True):
    """One update has to leave to one subscriber; what goes to the same one goes in order."""

    notice_id: str
    subscriber_id: str

    @property
    @override
    def subject(self) -> str:
        return self.subscriber_id


class StatusConfirmationDue(Event, frozen=True, kw_only=True):
    """Somebody asked to be told: they have to say themselves that they want it."""

    subscriber_id: str

    @property
    @override
    def subject(self) -> str:
        return self.subscriber_id

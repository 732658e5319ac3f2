"""What errors say: a new kind of error, or one that came back."""

from typing_extensions import override

from mainstay_server.kernel.events import Event


class IssueOpened(Event, frozen=True, kw_only=True):
    """A kind of error that this project never had before."""

    organization_id: str
    project_id: str
    instance_id: str
    issue_id: str
    title: str
    culprit: str
    level: str

    @property
    @override
    def subject(self) -> str:
        return self.issue_id


class IssueRegressed(IssueOpened, frozen=True, kw_only=True):
    """A kind of error that was resolved and happened again."""

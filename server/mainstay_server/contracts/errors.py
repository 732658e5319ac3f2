"""What errors say: a new kind of error, one that came back, and what people decided about one."""

from typing import ClassVar

from typing_extensions import override

from mainstay_server.kernel.events import Audited, Event, Target


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


class IssueStatusChanged(Event, frozen=True, kw_only=True):
    """An issue was resolved, ignored or reopened, by a person or because its time had come."""

    organization_id: str
    project_id: str
    issue_id: str
    title: str
    before: str
    after: str

    @property
    @override
    def subject(self) -> str:
        return self.issue_id


class IssueDecided(Audited, frozen=True, kw_only=True):
    """A person, and not a rule, resolved, ignored or reopened an issue."""

    noun: ClassVar[str] = "issue"
    project_id: str
    issue_id: str
    title: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.issue_id, self.title)

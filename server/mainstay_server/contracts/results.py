"""What results say: each upload, and each that somebody removed."""

from typing import ClassVar

from typing_extensions import override

from mainstay_server.kernel.events import Audited, Target


class ResultEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one upload of results."""

    noun: ClassVar[str] = "result"
    project_id: str
    upload_id: str
    kind: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.upload_id, self.name or self.kind)


class ResultUploaded(ResultEvent, frozen=True, kw_only=True):
    """Somebody uploaded results; said once for the same file of the same commit."""


class ResultRemoved(ResultEvent, frozen=True, kw_only=True):
    """Somebody removed results."""

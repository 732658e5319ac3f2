"""What limits say: somebody changed one, and one holds somebody back again and again."""

from datetime import datetime
from typing import ClassVar

from typing_extensions import override

from mainstay_server.kernel.events import Audited, Event, Target


class RateLimitEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said when somebody administers a limit of an instance."""

    noun: ClassVar[str] = "rate_limit"
    project_id: str
    instance_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(f"{self.instance_id}:{self.name}", self.name)


class RateLimitCreated(RateLimitEvent, frozen=True, kw_only=True):
    """Somebody made a further limit of an instance."""


class RateLimitChanged(RateLimitEvent, frozen=True, kw_only=True):
    """Somebody changed a limit, switched it on or off, or only simulates it."""


class RateLimitRemoved(RateLimitEvent, frozen=True, kw_only=True):
    """Somebody took a limit away."""


class RateLimitExceeded(Event, frozen=True, kw_only=True):
    """Limits refused a client address ten times or more in ten minutes, in the app or at its proxy.

    Said at most once in ten minutes for one instance and address. `refused` counts since `since`;
    `key_ids` are the API keys that were used from there.
    """

    organization_id: str
    project_id: str
    instance_id: str
    address: str
    refused: int
    key_ids: list[str]
    since: datetime

    @property
    @override
    def subject(self) -> str:
        return self.instance_id

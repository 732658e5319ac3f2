"""What limits say: somebody changed one, and one holds somebody back again and again."""

from datetime import datetime
from typing import Any, ClassVar

from typing_extensions import override

from mainstay_server.kernel.events import Event


class RateLimitPolicyChanged(Event, frozen=True, kw_only=True):
    """Somebody added, changed or removed a limit of an instance; only what differs is told.

    `change` is `created`, `changed` or `removed`.
    """

    audited: ClassVar[bool] = True
    organization_id: str
    project_id: str
    instance_id: str
    name: str
    change: str
    before: dict[str, Any]
    after: dict[str, Any]

    @property
    @override
    def subject(self) -> str:
        return self.instance_id


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

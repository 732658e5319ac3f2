"""What API keys say: made, changed, replaced, stopped, found in public, or due for a new one."""

from datetime import datetime
from typing import Any, ClassVar

from typing_extensions import override

from mainstay_server.kernel.events import Event


class ApiKeySaid(Event, frozen=True, kw_only=True):
    """The base of what is said of one API key; `hint` is its beginning and its last four.

    `owner` is the project's own customer whose key it is, or "". The key itself is never said.
    """

    organization_id: str
    project_id: str
    instance_id: str
    api_key_id: str
    name: str
    hint: str
    owner: str

    @property
    @override
    def subject(self) -> str:
        return self.api_key_id


class ApiKeyCreated(ApiKeySaid, frozen=True, kw_only=True):
    """Somebody made an API key."""

    audited: ClassVar[bool] = True
    scopes: list[str]
    expires_at: datetime | None


class ApiKeyChanged(ApiKeySaid, frozen=True, kw_only=True):
    """Somebody changed what an API key may; only what differs is told, and of metadata only that.

    The names are those of the API.
    """

    audited: ClassVar[bool] = True
    before: dict[str, Any]
    after: dict[str, Any]


class ApiKeyRotated(ApiKeySaid, frozen=True, kw_only=True):
    """Somebody gave an API key a successor; the old one opens nothing from `retires_at` on."""

    audited: ClassVar[bool] = True
    new_api_key_id: str
    new_hint: str
    retires_at: datetime


class ApiKeyRevoked(ApiKeySaid, frozen=True, kw_only=True):
    """Somebody stopped an API key; it opens nothing from now on."""

    audited: ClassVar[bool] = True


class ApiKeyLeaked(ApiKeySaid, frozen=True, kw_only=True):
    """Somebody who holds an API key says where it was found; it was revoked in the same moment.

    `url` and `source` are the finder's words, unchecked.
    """

    audited: ClassVar[bool] = True
    url: str
    source: str


class ApiKeyNeedsRotation(ApiKeySaid, frozen=True, kw_only=True):
    """An API key is older than keys of its instance should become; said once per key."""

    created_at: datetime
    after_days: int


class ApiKeyExpiring(ApiKeySaid, frozen=True, kw_only=True):
    """An API key without a successor will soon end by itself; said once per key and end."""

    ends_at: datetime


class ApiKeySettingsChanged(Event, frozen=True, kw_only=True):
    """Somebody changed which paths ask for a key or a scope; only what differs is told."""

    audited: ClassVar[bool] = True
    organization_id: str
    project_id: str
    instance_id: str
    before: dict[str, Any]
    after: dict[str, Any]

    @property
    @override
    def subject(self) -> str:
        return self.instance_id

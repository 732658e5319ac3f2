"""What API keys say: made, changed, replaced, stopped, found in public, or due for a new one."""

from datetime import datetime
from typing import ClassVar

from typing_extensions import override

from mainstay_server.kernel.events import Audited, Event, Target


class ApiKeyEvent(Audited, frozen=True, kw_only=True):
    """The base of what is done to one API key; `hint` is its beginning and its last four.

    `owner` is the project's own customer whose key it is, or "". The key itself is never said.
    """

    noun: ClassVar[str] = "api_key"
    project_id: str
    instance_id: str
    api_key_id: str
    name: str
    hint: str
    owner: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.api_key_id, f"{self.name} ({self.hint})")


class ApiKeyCreated(ApiKeyEvent, frozen=True, kw_only=True):
    """Somebody made an API key."""


class ApiKeyChanged(ApiKeyEvent, frozen=True, kw_only=True):
    """Somebody changed what an API key may; of metadata only the names of its members are told."""


class ApiKeyRotated(ApiKeyEvent, frozen=True, kw_only=True):
    """Somebody gave an API key a successor; the old one opens nothing from `retires_at` on."""

    new_api_key_id: str
    retires_at: datetime


class ApiKeyRevoked(ApiKeyEvent, frozen=True, kw_only=True):
    """Somebody stopped an API key; it opens nothing from now on."""


class ApiKeyLeaked(ApiKeyEvent, frozen=True, kw_only=True):
    """Somebody who holds an API key says where it was found; it was revoked in the same moment.

    `url` and `source` are the finder's words, unchecked.
    """

    url: str
    source: str


class ApiKeySettingsChanged(Audited, frozen=True, kw_only=True):
    """Somebody changed which paths of an instance ask for a key or a scope, or how old keys get."""

    noun: ClassVar[str] = "api_key_settings"
    project_id: str
    instance_id: str
    environment: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.instance_id, self.environment)


class ApiKeyDue(Event, frozen=True, kw_only=True):
    """The base of what is said of one API key that should soon have a successor."""

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


class ApiKeyNeedsRotation(ApiKeyDue, frozen=True, kw_only=True):
    """An API key is older than keys of its instance should become; said once per key."""

    created_at: datetime
    after_days: int


class ApiKeyExpiring(ApiKeyDue, frozen=True, kw_only=True):
    """An API key without a successor will soon end by itself; said once per key and end."""

    ends_at: datetime

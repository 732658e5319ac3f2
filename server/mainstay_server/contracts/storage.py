"""What storage says: who administered it, what is nearly full, and what a listing put right."""

from collections.abc import Mapping
from typing import ClassVar

from typing_extensions import override

from mainstay_server.kernel.events import Audited, Event, Target, Value


class StorageBucketEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one bucket; its credentials are in no event."""

    noun: ClassVar[str] = "storage_bucket"
    project_id: str
    instance_id: str
    bucket_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.bucket_id, self.name)


class StorageBucketCreated(StorageBucketEvent, frozen=True, kw_only=True):
    """Somebody gave an instance a place for files."""


class StorageBucketChanged(StorageBucketEvent, frozen=True, kw_only=True):
    """Somebody changed a bucket's limits, name or credentials."""


class StorageBucketRemoved(StorageBucketEvent, frozen=True, kw_only=True):
    """Somebody removed a bucket; what is in a store of one's own stays there."""


class StorageBucketLinksRevoked(StorageBucketEvent, frozen=True, kw_only=True):
    """Somebody ended every link of a bucket that the server itself answers."""


class StorageQuotaChanged(Audited, frozen=True, kw_only=True):
    """Somebody changed how much one owner may keep in a bucket."""

    noun: ClassVar[str] = "storage_quota"
    project_id: str
    instance_id: str
    bucket_id: str
    owner: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.bucket_id, self.owner)


class StorageLinkEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one link that is counted and can be revoked."""

    noun: ClassVar[str] = "storage_link"
    project_id: str
    instance_id: str
    link_id: str
    key: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.link_id, self.key)


class StorageLinkCreated(StorageLinkEvent, frozen=True, kw_only=True):
    """Somebody made a link that is counted."""


class StorageLinkRevoked(StorageLinkEvent, frozen=True, kw_only=True):
    """Somebody revoked a link; it answers 410 from now on."""


class StorageFilesRemoved(Audited, frozen=True, kw_only=True):
    """Somebody removed files; `keys` are the first of them."""

    noun: ClassVar[str] = "storage_files"
    project_id: str
    instance_id: str
    bucket_id: str
    name: str
    count: int
    keys: tuple[str, ...]

    @property
    @override
    def target(self) -> Target:
        return Target(self.bucket_id, self.name)

    @property
    @override
    def details(self) -> Mapping[str, Value]:
        return {"count": self.count, "keys": list(self.keys)}


class StorageLimitEvent(Event, frozen=True, kw_only=True):
    """The base of what is said of a quota; `owner` is "" for the whole bucket."""

    organization_id: str
    project_id: str
    instance_id: str
    bucket_id: str
    name: str
    owner: str

    @property
    @override
    def subject(self) -> str:
        return f"{self.bucket_id}:{self.owner}"


class StorageLimitReached(StorageLimitEvent, frozen=True, kw_only=True):
    """So much of a quota is used: 80, 90 or 100 percent, once each until it is well below again.

    `what` is `bytes` or `objects`, whichever is nearer to its limit.
    """

    percent: int
    what: str
    used: int
    limit: int


class StorageLimitEnded(StorageLimitEvent, frozen=True, kw_only=True):
    """Of a quota that was nearly used up, less than 75 percent is used again."""


class StorageDriftRepaired(Event, frozen=True, kw_only=True):
    """A listing of the store differed from what was counted, and the counts follow it now."""

    organization_id: str
    project_id: str
    instance_id: str
    bucket_id: str
    name: str
    adopted: int
    missing: int
    changed: int
    removed_orphans: int
    bytes_before: int
    bytes_after: int

    @property
    @override
    def subject(self) -> str:
        return self.bucket_id

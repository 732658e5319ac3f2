"""What synced folders say: folders that come and go, and each snapshot that was pushed."""

from collections.abc import Mapping
from typing import ClassVar

from typing_extensions import override

from mainstay_server.kernel.events import Audited, Target, Value


class SyncFolderEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one synced folder."""

    noun: ClassVar[str] = "sync_folder"
    project_id: str
    folder_id: str
    folder: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.folder_id, self.folder)


class SyncFolderCreated(SyncFolderEvent, frozen=True, kw_only=True):
    """Somebody made a synced folder."""


class SyncFolderChanged(SyncFolderEvent, frozen=True, kw_only=True):
    """Somebody changed how many snapshots of a folder are kept."""


class SyncFolderRemoved(SyncFolderEvent, frozen=True, kw_only=True):
    """Somebody removed a folder with all of its snapshots."""


class SyncSnapshotEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one snapshot."""

    noun: ClassVar[str] = "sync_snapshot"
    project_id: str
    folder_id: str
    folder: str
    number: int
    machine: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.folder_id, f"{self.folder} {self.number}")

    @property
    @override
    def details(self) -> Mapping[str, Value]:
        return {"machine": self.machine}


class SyncSnapshotPushed(SyncSnapshotEvent, frozen=True, kw_only=True):
    """A machine pushed a new state of a folder, or somebody brought a file of an older one back."""


class SyncSnapshotRemoved(SyncSnapshotEvent, frozen=True, kw_only=True):
    """Somebody removed an older snapshot."""

"""What backups say: what became of them, and what somebody administered about them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal

from sqlalchemy.orm import Session
from typing_extensions import override

from mainstay_server.kernel.events import Audited, Event, Target, Value
from mainstay_server.kernel.ports import port

Trouble = Literal["run", "destination", "verification", "drill"]


@port
def has_backup_trouble(session: Session, target_id: str) -> bool:
    """Whether anything that was said to be wrong with a target's backups still is."""
    raise NotImplementedError


class BackupTold(Event, frozen=True, kw_only=True):
    """The base of what is said of the backups of one target; `name` and `engine` are the target's.

    Events of one target are heard in order.
    """

    organization_id: str
    project_id: str
    instance_id: str
    target_id: str
    name: str
    engine: str

    @property
    @override
    def subject(self) -> str:
        return self.target_id


class BackupSucceeded(BackupTold, frozen=True, kw_only=True):
    """A backup was stored at one destination at least, and its manifest with it."""

    backup_id: str
    plain_bytes: int
    sealed_bytes: int
    seconds: float


class BackupFailed(BackupTold, frozen=True, kw_only=True):
    """A backup cannot be relied on: `what` of it failed, and the reason in one sentence.

    `run`: there is none, and no quick try is left. `destination`: it is stored, and not
    everywhere. `verification`: a copy is not as it was written. `drill`: it was restored and
    something was missing or different, or it could not be restored.
    """

    backup_id: str
    what: Trouble
    reason: str


class BackupLate(BackupTold, frozen=True, kw_only=True):
    """A backup should be there by the schedule and is not; said once until there is one.

    `last_at` is when the last good one began, None where there never was one.
    """

    expected_at: datetime
    last_at: datetime | None


class BackupTooSmall(BackupTold, frozen=True, kw_only=True):
    """A backup is much smaller than those before it, as if something had been lost."""

    backup_id: str
    plain_bytes: int
    usual_bytes: int


class BackupRecovered(BackupTold, frozen=True, kw_only=True):
    """Nothing is wrong with a target's backups any more, after something was since `since`.

    It is also said when nobody expects backups of it any more: it was switched off or removed.
    """

    since: datetime
    reason: str


class BackupDestinationEvent(Audited, frozen=True, kw_only=True):
    """The base of what is done to a destination; `shown` is its place without its keys."""

    noun: ClassVar[str] = "backup_destination"
    project_id: str
    destination_id: str
    name: str
    shown: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.destination_id, f"{self.name} ({self.shown})")


class BackupDestinationCreated(BackupDestinationEvent, frozen=True, kw_only=True):
    """Somebody made a place for the copies of a project."""


class BackupDestinationChanged(BackupDestinationEvent, frozen=True, kw_only=True):
    """Somebody renamed a destination or gave it another place or other keys."""


class BackupDestinationRemoved(BackupDestinationEvent, frozen=True, kw_only=True):
    """Somebody removed a destination; what lies there stays there."""


class BackupTargetEvent(Audited, frozen=True, kw_only=True):
    """The base of what is done to something that is backed up; `shown` tells no secret."""

    noun: ClassVar[str] = "backup_target"
    project_id: str
    instance_id: str
    target_id: str
    name: str
    shown: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.target_id, f"{self.name} ({self.shown})")


class BackupTargetCreated(BackupTargetEvent, frozen=True, kw_only=True):
    """Somebody had something backed up."""


class BackupTargetChanged(BackupTargetEvent, frozen=True, kw_only=True):
    """Somebody changed what is backed up, when, where to, how long or for whom it is sealed."""


class BackupTargetRemoved(BackupTargetEvent, frozen=True, kw_only=True):
    """Somebody had something backed up no longer."""


class BackupTargetKeyShown(BackupTargetEvent, frozen=True, kw_only=True):
    """Somebody was shown a new secret key that opens the backups of a target, this once."""

    recipient: str

    @property
    @override
    def details(self) -> Mapping[str, Value]:
        return {"recipient": self.recipient}


class BackupScheduleChanged(Audited, frozen=True, kw_only=True):
    """Somebody said when all of an instance is backed up, and how long it stays."""

    noun: ClassVar[str] = "backup_schedule"
    project_id: str
    instance_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.instance_id, self.name)


class BackupByHand(Audited, frozen=True, kw_only=True):
    """The base of what a person did with one backup; `name` is its target's."""

    noun: ClassVar[str] = "backup"
    project_id: str
    instance_id: str
    backup_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.backup_id, self.name)


class BackupAsked(BackupByHand, frozen=True, kw_only=True):
    """Somebody wanted a backup now, and not only by the schedule."""


class BackupCancelled(BackupByHand, frozen=True, kw_only=True):
    """Somebody wanted a backup no longer."""


class BackupKept(BackupByHand, frozen=True, kw_only=True):
    """Somebody had a backup kept for good, or left it to retention again."""


class BackupRemoved(BackupByHand, frozen=True, kw_only=True):
    """Somebody had the copies of a backup removed."""


class BackupDrillAsked(Audited, frozen=True, kw_only=True):
    """Somebody wanted a backup tried now, and not only by the schedule."""

    noun: ClassVar[str] = "backup_drill"
    project_id: str
    instance_id: str
    drill_id: str
    backup_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.drill_id, self.name)

    @property
    @override
    def details(self) -> Mapping[str, Value]:
        return {"backup": self.backup_id}


class BackupRestoreEvent(Audited, frozen=True, kw_only=True):
    """The base of what is done to a restore; `shown` is where it goes."""

    noun: ClassVar[str] = "backup_restore"
    project_id: str
    instance_id: str
    restore_id: str
    backup_id: str
    name: str
    shown: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.restore_id, f"{self.name} to {self.shown}")

    @property
    @override
    def details(self) -> Mapping[str, Value]:
        return {"backup": self.backup_id}


class BackupRestoreAsked(BackupRestoreEvent, frozen=True, kw_only=True):
    """Somebody had a target filled from a backup."""


class BackupRestoreCancelled(BackupRestoreEvent, frozen=True, kw_only=True):
    """Somebody wanted a restore no longer, before anything was changed."""


@port
def replay_erasures(
    instance_id: str,
    *,
    engine: str,
    config: Mapping[str, Any],
    taken_at: datetime,
    now: datetime,
) -> int:
    """Erase once more, in a target that was just restored, whoever was erased since `taken_at`.

    A backup remembers people whom nobody may remember any more. It is asked before a restore is
    reported done, so before anybody is let in; `config` is how the engine reaches the target. It
    opens transactions of its own, and may be asked again. Returns how many people were erased.

    Raises:
        Problem: somebody could not be erased; the restore has then failed, and says so.
    """
    raise NotImplementedError

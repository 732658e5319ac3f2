"""What heartbeats say: a job went silent or failed, is in half trouble, or reports well again."""

from datetime import datetime
from typing import ClassVar

from typing_extensions import override

from mainstay_server.kernel.events import Audited, Event, Target


class HeartbeatMoved(Event, frozen=True, kw_only=True):
    """The base of what is said of one heartbeat's state; said once per change, in order."""

    organization_id: str
    project_id: str
    instance_id: str
    heartbeat_id: str
    name: str
    since: datetime
    reason: str

    @property
    @override
    def subject(self) -> str:
        return self.heartbeat_id


class HeartbeatWentDown(HeartbeatMoved, frozen=True, kw_only=True):
    """A job said nothing when it should have, said that it failed, or runs for too long."""


class HeartbeatDegraded(HeartbeatMoved, frozen=True, kw_only=True):
    """A job reports, but not as it should: it ended too fast, or reports too often."""


class HeartbeatRecovered(HeartbeatMoved, frozen=True, kw_only=True):
    """A job reports as it should again, after trouble since `troubled_since`."""

    troubled_since: datetime


class HeartbeatFlapping(HeartbeatMoved, frozen=True, kw_only=True):
    """A job goes back and forth too often to be told of each time; said once until it settles."""


class HeartbeatStopped(HeartbeatMoved, frozen=True, kw_only=True):
    """Nobody waits any more (paused, removed) for a job that was in trouble when last known.

    What was opened because of it can be closed: nothing would ever say that it recovered.
    """


class HeartbeatEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said when somebody administers a heartbeat by hand or with a key."""

    noun: ClassVar[str] = "heartbeat"
    project_id: str
    instance_id: str
    heartbeat_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.heartbeat_id, self.name)


class HeartbeatCreated(HeartbeatEvent, frozen=True, kw_only=True):
    """Somebody made a heartbeat, or a job's first report did."""


class HeartbeatChanged(HeartbeatEvent, frozen=True, kw_only=True):
    """Somebody changed what is expected of a job, or paused or resumed its heartbeat."""


class HeartbeatRemoved(HeartbeatEvent, frozen=True, kw_only=True):
    """Somebody removed a heartbeat with its reports and its history."""


class HeartbeatKeyEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one key; `instance_id` is "" for one of the whole project."""

    noun: ClassVar[str] = "heartbeat_key"
    project_id: str
    instance_id: str
    key_id: str
    kind: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.key_id, f"{self.kind} {self.name}")


class HeartbeatKeyCreated(HeartbeatKeyEvent, frozen=True, kw_only=True):
    """Somebody made a key with which jobs report, or with which heartbeats are administered."""


class HeartbeatKeyRemoved(HeartbeatKeyEvent, frozen=True, kw_only=True):
    """A key opens nothing any more."""

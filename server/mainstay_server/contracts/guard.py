"""What the guard asks of other areas, and what they may ask about what passed it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from sqlalchemy.orm import Session
from typing_extensions import override

from mainstay_server.kernel.events import Audited, Target
from mainstay_server.kernel.ports import port
from mainstay_server.kernel.subjects import InstanceRef


@dataclass(frozen=True, kw_only=True)
class Use:
    """So much was used of a meter by `organization` or `owner:<owner>`."""

    subject: str
    meter: str
    amount: int


@dataclass(frozen=True, kw_only=True)
class KeyUse:
    """How often one API key was used on one route from one address, and when last."""

    key_id: str
    route: str
    method: str
    address: str
    total: int
    refused: int
    last_at: datetime


@dataclass(frozen=True, kw_only=True)
class AddressConduct:
    """What one client address did to one instance in a span of time; counts of requests."""

    instance_id: str
    address: str
    total: int
    unauthorized: int
    forbidden: int
    not_found: int
    limited: int
    credentials: int
    key_ids: tuple[str, ...]
    routes: int
    paths: tuple[str, ...]
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, kw_only=True)
class KeyOnTheMove:
    """One API key that was used from several networks (IPv4 by /16, IPv6 by /32) at once."""

    instance_id: str
    key_id: str
    networks: int
    addresses: tuple[str, ...]


@port
def record_use(
    session: Session,
    *,
    instance: InstanceRef,
    batch_id: str,
    uses: Sequence[Use],
    now: datetime,
) -> bool:
    """Count what was used, once per `batch_id` however often it is asked; False for a repeat."""
    raise NotImplementedError


@port
def plans_of_owners(
    session: Session, instance_id: str, *, owners: Sequence[str], now: datetime
) -> dict[str, str]:
    """The plan that the newest usable API key of each owner names; others are absent."""
    raise NotImplementedError


@port
def use_of_keys(
    instance_id: str, *, key_ids: Sequence[str], since: datetime, until: datetime
) -> list[KeyUse]:
    """How some API keys of an instance were used, most used first, at most 1,000 rows."""
    raise NotImplementedError


@port
def last_uses(*, since: datetime) -> dict[tuple[str, str], datetime]:
    """When each API key that was used since then was used last, by its instance and its own id.

    The ids are what apps reported: a key counts only with the instance that it belongs to.
    """
    raise NotImplementedError


@port
def conduct_of_addresses(
    *, since: datetime, until: datetime, at_least: int
) -> list[AddressConduct]:
    """What every address with at least so many refused requests did, worst first, at most 1,000.

    `credentials` counts different keys that were refused, `routes` different routes; `paths` are
    some of the paths that were not found.
    """
    raise NotImplementedError


@port
def keys_on_the_move(*, since: datetime, until: datetime, at_least: int) -> list[KeyOnTheMove]:
    """The API keys that were used from at least so many networks, at most 1,000."""
    raise NotImplementedError


@port
def trusted_networks(session: Session, instance_id: str) -> Sequence[str]:
    """The networks of the proxies in front of an instance."""
    raise NotImplementedError


class GuardKeyEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one guard key."""

    noun: ClassVar[str] = "guard_key"
    project_id: str
    guard_key_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.guard_key_id, self.name)


class GuardKeyCreated(GuardKeyEvent, frozen=True, kw_only=True):
    """A server of the project may read its policy and report."""


class GuardKeyRevoked(GuardKeyEvent, frozen=True, kw_only=True):
    """A guard key opens nothing any more."""


class GuardSettingsChanged(Audited, frozen=True, kw_only=True):
    """Somebody changed the general part of an instance's policy; only what differs is told."""

    noun: ClassVar[str] = "guard_settings"
    project_id: str
    instance_id: str
    environment: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.instance_id, self.environment)

"""Policies: every area's section folded into one document, held compiled, never stale for long."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from mainstay_server.areas.guard.models import Mode
from mainstay_server.kernel.area import installed
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import engine, reading
from mainstay_server.kernel.guard import GuardStep, GuardVersion, changes_here, policy_version
from mainstay_server.kernel.problems import NotFound, Unavailable
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import find_instance

from . import settings

# A policy that another process changed is followed at once through the shared store. Without it,
# the version is asked for again under traffic after the first, and always after the second.
LOOK_AGAIN_SECONDS = 0.4
TRUSTED_SECONDS = 0.8
MOST_HELD = 5_000
# An instance that was not there may have been made since: another process is believed that long.
ABSENT_SECONDS = 0.5
MOST_ABSENT = 10_000

_encoder = msgspec.json.Encoder()


@dataclass(slots=True, kw_only=True)
class Policy:
    """One version of a policy: the document, and each step with its compiled section."""

    engine: Engine
    instance: InstanceRef
    version: int
    mode: Mode
    client: Mapping[str, Any]
    body: bytes
    etag: str
    steps: tuple[tuple[GuardStep, Any], ...]
    looked_at: float = 0.0
    changes_here: int = 0
    stale: bool = False


class _Looking:
    """A lock for each instance whose policy is being looked at, there only as long as it is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()

    def at(self, instance_id: str) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(instance_id, threading.Lock())

    def is_at(self, instance_id: str) -> bool:
        return instance_id in self._locks


@dataclass
class _Held:
    policies: dict[str, Policy] = field(default_factory=dict)
    absent: OrderedDict[str, tuple[int, float]] = field(default_factory=OrderedDict)
    looking: _Looking = field(default_factory=_Looking)
    keeping: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, policy: Policy) -> None:
        with self.keeping:
            self.absent.pop(policy.instance.id, None)
            if len(self.policies) >= MOST_HELD and policy.instance.id not in self.policies:
                del self.policies[next(iter(self.policies))]
            self.policies[policy.instance.id] = policy

    def keep_absent(self, instance_id: str, looked_at: float) -> None:
        with self.keeping:
            self.policies.pop(instance_id, None)
            self.absent.pop(instance_id, None)  # so that the latest stands last
            self.absent[instance_id] = (id(engine()), looked_at)
            if len(self.absent) > MOST_ABSENT:
                self.absent.popitem(last=False)


_held = _Held()


def known_policy(instance_id: str) -> Policy | None:
    """The policy if it is held and surely fresh enough; never blocks, for the event loop.

    Raises:
        NotFound: there cannot be such an instance, or there was none half a second ago.
    """
    policy = _held.policies.get(instance_id)
    if policy is None and _is_absent(instance_id):
        raise _no_instance()
    if policy is None or policy.stale or policy.engine is not engine():
        return None
    if policy.changes_here != changes_here():
        return None
    age = monotonic() - policy.looked_at
    if age >= TRUSTED_SECONDS:
        return None
    if age >= LOOK_AGAIN_SECONDS and not _held.looking.is_at(instance_id):
        threading.Thread(
            target=_look_quietly, args=(instance_id,), name="guard-policy", daemon=True
        ).start()
    return policy


def get_policy(instance_id: str) -> Policy:
    """The present policy of an instance, made anew if its version is another; blocks.

    While the database is away, the policy that is held goes on holding.

    Raises:
        NotFound: there is no such instance.
        Unavailable: the database is away, and nothing is held.
    """
    begun, local = monotonic(), changes_here()
    with _held.looking.at(instance_id):
        held = _held.policies.get(instance_id)
        if held is not None and held.engine is not engine():
            held = None
        fresh = held is not None and held.looked_at >= begun and held.changes_here >= local
        if held is not None and fresh and not held.stale:
            return held
        looked_at, local = monotonic(), changes_here()
        try:
            with reading() as session:
                policy = _made_if_changed(session, instance_id, held, now=utc_now())
        except NotFound:
            _held.keep_absent(instance_id, looked_at)
            raise
        except (SQLAlchemyError, Unavailable):
            if held is None:
                raise Unavailable(
                    "The database is away; ask again soon.", retry_after_seconds=1
                ) from None
            policy = held
        policy.looked_at, policy.changes_here, policy.stale = looked_at, local, False
        _held.keep(policy)
        return policy


def mark_stale(instance_id: str) -> None:
    """Another process said that it changed this policy ("": perhaps any of them)."""
    for policy in list(_held.policies.values()):
        if instance_id in ("", policy.instance.id):
            policy.stale = True


def make_document(session: Session, instance: InstanceRef, *, now: datetime) -> dict[str, Any]:
    """The policy of an instance as `wire/guard` describes it."""
    general = settings.find_settings(session, instance.id)
    document: dict[str, Any] = {
        "version": policy_version(session, instance.id),
        "instanceId": instance.id,
        "environment": instance.environment,
        "mode": general.mode,
        **settings.sections(general),
    }
    for step in steps():
        section = step.publish(session, instance, now)
        if section is not None:
            document[step.section] = section
    return document


def steps() -> list[GuardStep]:
    """What the installed areas have a say with, in the order in which they are asked."""
    return sorted((step for area in installed() for step in area.guard), key=lambda s: s.order)


def versions_of(session: Session, instance_ids: list[str]) -> dict[str, int]:
    """The versions of several policies at once; those that nobody ever changed are absent."""
    rows = session.execute(
        sa.select(GuardVersion.instance_id, GuardVersion.number).where(
            GuardVersion.instance_id.in_(instance_ids)
        )
    )
    return {row.instance_id: row.number for row in rows}


def _look_quietly(instance_id: str) -> None:
    """Look in the background; who asks next and finds it too old is told what is wrong."""
    try:
        get_policy(instance_id)
    except (NotFound, Unavailable):
        mark_stale(instance_id)


def _is_absent(instance_id: str) -> bool:
    """Whether it is no id at all, or one that was looked for in vain a moment ago."""
    found = _held.absent.get(instance_id)
    if found is not None and found[0] == id(engine()):
        return monotonic() - found[1] < ABSENT_SECONDS
    try:
        return str(UUID(instance_id)) != instance_id
    except ValueError:
        return True


def _no_instance() -> NotFound:
    return NotFound("There is no such instance; /api/instances lists yours.")


def _made_if_changed(
    session: Session, instance_id: str, held: Policy | None, *, now: datetime
) -> Policy:
    instance = find_instance(session, instance_id)
    if instance is None:
        raise _no_instance()
    if held is not None and held.version == policy_version(session, instance_id):
        return held
    return compile_policy(instance, make_document(session, instance, now=now))


def compile_policy(instance: InstanceRef, document: Mapping[str, Any]) -> Policy:
    """The policy of a document, with every section ready to be decided by."""
    body = _encoder.encode(document)
    return Policy(
        engine=engine(),
        instance=instance,
        version=document["version"],
        mode=Mode(document.get("mode", Mode.ENFORCE)),
        client=document.get("client", {}),
        body=body,
        etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"',
        steps=tuple(
            (step, step.compile(document[step.section]))
            for step in steps()
            if step.section in document
        ),
    )

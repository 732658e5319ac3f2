"""Policies: every area's section folded into one document, held compiled, never stale for long."""

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any

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


@dataclass
class _Held:
    policies: dict[str, Policy] = field(default_factory=dict)
    looking: threading.Lock = field(default_factory=threading.Lock)


_held = _Held()


def known_policy(instance_id: str) -> Policy | None:
    """The policy if it is held and surely fresh enough; never blocks, for the event loop."""
    policy = _held.policies.get(instance_id)
    if policy is None or policy.stale or policy.engine is not engine():
        return None
    if policy.changes_here != changes_here():
        return None
    age = monotonic() - policy.looked_at
    if age >= TRUSTED_SECONDS:
        return None
    if age >= LOOK_AGAIN_SECONDS and not _held.looking.locked():
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
    with _held.looking:
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
        except (SQLAlchemyError, Unavailable):
            if held is None:
                raise Unavailable(
                    "The database is away; ask again soon.", retry_after_seconds=1
                ) from None
            policy = held
        policy.looked_at, policy.changes_here, policy.stale = looked_at, local, False
        if len(_held.policies) >= MOST_HELD and instance_id not in _held.policies:
            _held.policies.pop(next(iter(_held.policies)))
        _held.policies[instance_id] = policy
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


def _made_if_changed(
    session: Session, instance_id: str, held: Policy | None, *, now: datetime
) -> Policy:
    instance = find_instance(session, instance_id)
    if instance is None:
        _held.policies.pop(instance_id, None)
        raise NotFound("There is no such instance; /api/instances lists yours.")
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

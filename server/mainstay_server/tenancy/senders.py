"""Who is sending: ingest keys and environments, known in memory so that a flood costs no query."""

import logging
import threading
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import engine, reading, transaction
from mainstay_server.kernel.problems import Forbidden, Unauthenticated, Unavailable
from mainstay_server.kernel.subjects import InstanceRef

from .credentials import key_and_number_in_dsn, keys_given
from .models import IngestKey, Project
from .seen import note_sender
from .service.environments import LONGEST_ENVIRONMENT, clean_environment, see_environment
from .subjects import find_environment
from .versions import changes_here, version

log = logging.getLogger(__name__)

# A key that was disabled elsewhere stops within two seconds. Under traffic a thread looks again
# after one, so that no request waits; only the first request after a silence does.
TRUSTED_SECONDS = 2.0
LOOK_AGAIN_SECONDS = 1.0
MOST_INSTANCES_REMEMBERED = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Sender:
    """Whose data arrives, told by an ingest key."""

    project_id: str
    project_number: int
    project_slug: str
    project_name: str
    organization_id: str
    key_id: str


class OfProject(Protocol):
    """Whoever speaks for a project: the holder of one of its keys."""

    @property
    def project_id(self) -> str:
        """The project's id."""


@dataclass(slots=True)
class _Known:
    """All enabled ingest keys of one database at one version, and the instances met since."""

    engine: Engine
    version: int
    senders: dict[str, Sender]
    instances: dict[tuple[str, str], InstanceRef] = field(default_factory=dict)
    looked_at: float = 0.0
    changes_here: int = 0


class _Held:
    known: _Known | None = None
    looking = threading.Lock()


def find_sender(
    scope: MutableMapping[str, Any], number: int | None, *, envelope_dsn: str = ""
) -> Sender:
    """Tell from a raw ASGI request who sends to project `number` (None: whichever the key opens).

    All forms of a Sentry client's credentials are read, and `Authorization: Bearer <ingest key>`;
    the first key that is enabled counts, and the DSN in an envelope's header, which suffices
    alone, must agree with it. Disabled keys stop at once in this process and within two seconds in
    others. Nothing is asked of the database but its version, once a second, whatever arrives.

    Raises:
        Unauthenticated: no key was given.
        Forbidden: no given key is enabled, or it opens another project.
    """
    given = keys_given(scope)
    dsn_key, dsn_number = key_and_number_in_dsn(envelope_dsn) if envelope_dsn else ("", None)
    keys = given or ((dsn_key,) if dsn_key else ())
    if not keys:
        raise Unauthenticated(
            "No ingest key was sent; send the project's DSN key, for example as X-Sentry-Auth."
        )
    sender = _first_known(keys)
    if sender is None:
        raise Forbidden("The ingest key is unknown or disabled; copy the DSN from the project.")
    if number is not None and sender.project_number != number:
        raise Forbidden("The ingest key belongs to another project; copy the DSN from the project.")
    if dsn_key and (dsn_key not in keys or dsn_number not in (None, sender.project_number)):
        raise Forbidden("The envelope's DSN and the request's key differ; send one of them.")
    note_sender(sender.project_id)
    return sender


def known_instance(sender: OfProject, environment: str) -> InstanceRef | None:
    """The instance of an environment if this process has met it; never blocks."""
    known = _Held.known
    if known is None:
        return None
    return known.instances.get((sender.project_id, _remembered_as(environment)))


def instance_for(sender: OfProject, environment: str) -> InstanceRef:
    """The instance of an environment, created at its first sight; blocks when it is not known yet.

    A missing or impossible environment is `production`. A project has at most 100 instances; what
    comes beyond belongs to its default instance.

    Raises:
        Forbidden: the project was deleted meanwhile.
    """
    met = known_instance(sender, environment)
    if met is not None:
        return met
    # What is read belongs to the version held now: a newer one starts with no instances.
    instances = _looked_up().instances
    clean = clean_environment(environment)
    with reading() as session:
        found = find_environment(session, sender.project_id, clean)
    if found is None:
        with transaction() as session:
            found = see_environment(session, sender.project_id, clean, now=utc_now())
    if len(instances) >= MOST_INSTANCES_REMEMBERED:
        instances.clear()
    instances[sender.project_id, _remembered_as(environment)] = found
    return found


def _remembered_as(environment: str) -> str:
    return environment if len(environment) <= LONGEST_ENVIRONMENT else ""


def _first_known(keys: tuple[str, ...]) -> Sender | None:
    for trusted_seconds in (TRUSTED_SECONDS, LOOK_AGAIN_SECONDS):
        senders = _looked_up(trusted_seconds).senders
        for key in keys:
            if key in senders:
                return senders[key]
    return None


def _looked_up(trusted_seconds: float = TRUSTED_SECONDS) -> _Known:
    """What is known, looked up again when it is older than that or was changed by this process."""
    known = _Held.known
    if known is None or known.engine is not engine() or known.changes_here != changes_here():
        return _look()
    age = monotonic() - known.looked_at
    if age >= trusted_seconds:
        return _look()
    if age >= LOOK_AGAIN_SECONDS and not _Held.looking.locked():
        threading.Thread(target=_look, name="ingest-keys", daemon=True).start()
    return known


def _look() -> _Known:
    """Read the keys again if the database's version is another; one thread at a time.

    While the database is away, known keys go on working: what they send is stored elsewhere.
    """
    begun, local = monotonic(), changes_here()
    with _Held.looking:
        known = _Held.known
        if known is not None and known.engine is not engine():
            known = None
        if known and known.looked_at >= begun and known.changes_here >= local:
            return known  # somebody else looked while we waited
        looked_at, local = monotonic(), changes_here()
        try:
            with reading() as session:
                number = version(session)
                if known is None or known.version != number:
                    known = _Known(engine(), number, _read_senders(session))
        except (SQLAlchemyError, Unavailable):
            if known is None:
                raise Unavailable(
                    "The database is away; send it again soon.", retry_after_seconds=1
                ) from None
            log.warning("the database is away; known ingest keys are trusted meanwhile")
        known.looked_at, known.changes_here = looked_at, local
        _Held.known = known
        return known


def _read_senders(session: Session) -> dict[str, Sender]:
    rows = session.execute(
        sa.select(
            IngestKey.key,
            IngestKey.id,
            Project.id,
            Project.number,
            Project.slug,
            Project.name,
            Project.organization_id,
        )
        .join(Project, Project.id == IngestKey.project_id)
        .where(IngestKey.disabled_at.is_(None))
    )
    return {
        key: Sender(
            project_id=project_id,
            project_number=number,
            project_slug=slug,
            project_name=name,
            organization_id=organization_id,
            key_id=key_id,
        )
        for key, key_id, project_id, number, slug, name, organization_id in rows
    }

"""A cluster as of a moment: a base backup, and the runs of its log from there to that moment."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import STORED, Backup, BackupDestination, BackupTarget
from mainstay_server.areas.backups.providers import ENGINES
from mainstay_server.areas.backups.providers.postgresql import logs, returning
from mainstay_server.areas.backups.schemas import EngineFailed
from mainstay_server.kernel.clock import rfc3339
from mainstay_server.kernel.problems import Conflict, Invalid

from . import filling
from .choosing import LOG
from .filling import NotFilled, Source, Watch
from .making import Order
from .manifests import Manifest, manifest_key_of, public_key
from .places import url_of
from .reaching import reached
from .runs import readable_copies
from .verifying import Verdict, find_manifest

log = logging.getLogger(__name__)
MOST_PIECES = 20_000


@dataclass(frozen=True)
class Piece:
    """One run of the log: where a copy of it lies, and what may open it."""

    backup: Backup
    destination: BackupDestination
    drill_key: str = field(repr=False)


def wanted_time(config: Mapping[str, Any] | None) -> str:
    """To which time a restore goes; "" when the base backup alone was asked for."""
    return str((config or {}).get("toTime") or "")


def pieces(session: Session, base: Backup, to_time: str) -> Sequence[Piece]:
    """The runs that lead from a base backup to a time, in order.

    Raises:
        Invalid: the time is before the end of the base backup.
        Conflict: no log is stored that reaches it.
    """
    until = None if to_time == returning.LATEST else datetime.fromisoformat(to_time)
    if until is not None and base.finished_at is not None and until < base.finished_at:
        raise Invalid(
            f"The base backup ended at {rfc3339(base.finished_at)}; choose a later time, or an"
            " earlier backup.",
            code="time-before-base",
        )
    runs = _runs(session, base)
    if until is not None:
        after = next((n for n, run in enumerate(runs) if _began(run) >= until), None)
        if after is None and runs:
            raise Conflict(
                f"The log that is stored reaches until {rfc3339(_began(runs[-1]))}; choose a time"
                f" before that, or {returning.LATEST!r}.",
                code="time-not-reached",
            )
        runs = runs[: (after or 0) + 1]
    if not runs:
        raise Conflict(
            "No log of this cluster was stored since the backup; back up its log (WAL) as a target"
            " of this instance, and choose a backup that was made after its first run.",
            code="no-log",
        )
    return [_piece(session, run) for run in runs]


def complete(
    found: Sequence[Piece],
    config: Mapping[str, Any],
    *,
    identities: Sequence[str],
    known: Mapping[str, str],
    folder: Path,
    watch: Watch,
) -> None:
    """Open every run beside the restored base, and say to PostgreSQL where to stop.

    Raises:
        NotFilled: a run is not as it was written.
        EngineFailed: there is a gap, whose segments are named.
        DestinationFailed: a destination may not be used.
    """
    data, engine = Path(config["path"]), ENGINES[LOG]
    for piece in found:
        source = _source(piece, identities, known)
        place = {"path": str(folder / "piece")}
        filling.fill(engine, place, source, folder=folder, watch=watch)
        differences = filling.compared(engine, place, source.manifest, folder=folder).differences
        if differences:
            raise NotFilled(filling.in_words(differences))
        returning.add(Path(place["path"]), data)
        shutil.rmtree(place["path"])
    returning.finish(data, wanted_time(config))


def let_go(order: Order, manifest: Manifest) -> None:
    """Have a server keep no longer what is stored for good; when it is away, the next run does."""
    if order.engine != LOG:
        return
    try:
        logs.let_go(reached(order.config), manifest.fingerprints)
    except EngineFailed as error:
        log.warning("the server keeps what backup %s stored: %s", order.backup_id, error)


def _runs(session: Session, base: Backup) -> Sequence[Backup]:
    """All stored runs of the log of the same server that began after the base backup did."""
    target = session.get_one(BackupTarget, base.target_id)
    where = [target.config.get(name) for name in ("host", "port")]
    others = sa.select(BackupTarget).where(
        BackupTarget.instance_id == base.instance_id, BackupTarget.engine == LOG
    )
    ids = [
        each.id
        for each in session.scalars(others)
        if [each.config.get(name) for name in ("host", "port")] == where
    ]
    stored = (
        sa.select(Backup)
        .where(
            Backup.target_id.in_(ids),
            Backup.status.in_(STORED),
            Backup.removed_at.is_(None),
            Backup.started_at > base.started_at,
        )
        .order_by(Backup.started_at, Backup.id)
        .limit(MOST_PIECES)
    )
    return session.scalars(stored).all()


def _began(run: Backup) -> datetime:
    assert run.started_at is not None, "it was stored"
    return run.started_at


def _piece(session: Session, run: Backup) -> Piece:
    copies = readable_copies(session, run)
    if not copies:
        raise Conflict(f"The log's run {run.id} has no copy any more; choose an earlier time.")
    key = session.get_one(BackupTarget, run.target_id).drill_key
    return Piece(run, copies[0].destination, key)


def _source(piece: Piece, identities: Sequence[str], known: Mapping[str, str]) -> Source:
    destination = url_of(piece.destination)
    key = manifest_key_of(piece.backup.key, backup_id=piece.backup.id)
    manifest = find_manifest(
        destination=destination,
        manifest_key=key,
        backup_id=piece.backup.id,
        trusted=[public_key()],
    )
    if isinstance(manifest, Verdict):
        raise NotFilled(f"The log of {rfc3339(_began(piece.backup))}: {manifest.text}", manifest)
    keys = [each for each in (*identities, piece.drill_key) if each]
    return Source(
        manifest=manifest,
        destination=destination,
        identities=list(dict.fromkeys(keys)),
        known=known,
    )

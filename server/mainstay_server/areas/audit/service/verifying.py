"""Verifying: the server's own look at a log, with what no export shows: the columns and the end."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import sqlalchemy as sa
from mainstay_cli.audit_verifier.bundles import Bundle
from mainstay_cli.audit_verifier.merkle import leaf_hash
from mainstay_cli.audit_verifier.reports import Report
from mainstay_cli.audit_verifier.verifying import verify
from sqlalchemy.orm import Session

from mainstay_server.areas.audit.models import AuditLog, AuditRow
from mainstay_server.kernel import blobs
from mainstay_server.kernel.database import reading, transaction

from .checkpoints import list_checkpoints, list_removals
from .leaving import blob_folder
from .rows import differs
from .signing import is_signed, trusted_keys

LOOKS_APART = timedelta(hours=6)
MOST_AT_ONCE = 2000
MOST_KEPT = 100
MOST_PAGES = 100
MOST_FAULTS = 50


def verify_log(session: Session, organization_id: str) -> Report:
    """Verify a log against its checkpoints in the database and in the blob store.

    Besides what every export can be verified by, the columns that rows are found by are compared
    with the rows, and the last row with the end that the next one would be chained to.
    """
    watch = _Watch(session, organization_id)
    bundle = Bundle(
        rows=watch.rows(),
        checkpoints={
            f"row {each.size}": each.note for each in list_checkpoints(session, organization_id)
        },
        removals={
            f"row {each.last}": each.note for each in list_removals(session, organization_id)
        },
        keys=[],
    )
    report = verify(
        bundle,
        kept=_kept_in_blobs(organization_id),
        trusted=trusted_keys(organization_id),
        check=is_signed,
    )
    watch.blame(report)
    del report.faults[MOST_FAULTS:]
    return report


def verify_due(*, now: datetime) -> int:
    """Verify every log never looked at or not for six hours; returns how many have a fault."""
    never = AuditLog.verified_at.is_(None)
    with reading() as session:
        logs = session.scalars(
            sa.select(AuditLog.organization_id).where(
                sa.or_(never, AuditLog.verified_at <= now - LOOKS_APART)
            )
        ).all()
    return sum(not verify_and_keep(organization_id, now=now).verified for organization_id in logs)


def verify_and_keep(organization_id: str, *, now: datetime) -> Report:
    """Verify a log, and write down what was found for pages and the scorecard."""
    with reading() as session:
        report = verify_log(session, organization_id)
    with transaction() as session:
        session.execute(
            sa.update(AuditLog)
            .where(AuditLog.organization_id == organization_id)
            .values(
                verified_at=now,
                verified_size=report.last,
                faults=[fault.text for fault in report.faults],
            )
        )
    return report


class _Watch:
    """Hands out the texts of all rows, and compares in passing what an export does not have."""

    def __init__(self, session: Session, organization_id: str) -> None:
        self._session = session
        self._organization_id = organization_id
        self._head = ""
        self._last = 0
        self._misfiled: list[int] = []

    def rows(self) -> Iterator[bytes]:
        position = 0
        while True:
            found = self._session.scalars(
                sa.select(AuditRow)
                .where(
                    AuditRow.organization_id == self._organization_id,
                    AuditRow.position > position,
                )
                .order_by(AuditRow.position)
                .limit(MOST_AT_ONCE)
            ).all()
            for row in found:
                self._look_at(row)
                yield row.body.encode()
            if len(found) < MOST_AT_ONCE:
                return
            position = found[-1].position
            self._session.expunge_all()

    def blame(self, report: Report) -> None:
        """Add the faults that only the database shows."""
        for position in self._misfiled[:MOST_FAULTS]:
            report.blame(
                "row_misfiled", position, f"Row {position} is filed under what it does not say."
            )
        log = self._session.get(AuditLog, self._organization_id, populate_existing=True)
        if log is not None and self._last and (log.size, log.head) != (self._last, self._head):
            text = (
                f"Row {self._last} is not the last one that was written: the log's end says that"
                f" it has {log.size} rows and ends with another."
            )
            report.blame("end_changed", self._last, text)

    def _look_at(self, row: AuditRow) -> None:
        leaf = leaf_hash(row.body.encode()).hex()
        self._last, self._head = row.position, leaf
        try:
            wrong = row.hash != leaf or differs(row)
        except ValueError:  # a text that cannot be read any more, which verifying names
            wrong = False
        if wrong:
            self._misfiled.append(row.position)


def _kept_in_blobs(organization_id: str) -> dict[str, str]:
    """The newest checkpoints that lie in the blob store, up to a hundred, by key."""
    newest: list[str] = []
    after = ""
    for _ in range(MOST_PAGES):
        keys = blobs.list_keys(blob_folder(organization_id), after=after)
        newest = [*newest, *keys][-MOST_KEPT:]
        if not keys:
            break
        after = keys[-1]
    return {key: blobs.get(key).decode() for key in newest}

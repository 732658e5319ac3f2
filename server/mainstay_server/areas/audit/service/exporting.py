"""Exporting: rows as CSV for a spreadsheet, as JSON lines for programs, and to verify elsewhere."""

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from importlib import resources
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.audit.models import NOTHING_BEFORE, AuditLog, AuditRow
from mainstay_server.areas.audit.schemas import RowFilter
from mainstay_server.contracts.audit import AuditLogExported
from mainstay_server.kernel.problems import NotFound

from .checkpoints import list_checkpoints, list_removals
from .reading import Found, every_row
from .removing import subtrees_of
from .signing import trusted_keys

MOST_IN_MEMORY_BYTES = 4_000_000
PIECE_BYTES = 65_536
VERIFIER = "mainstay_cli.audit_verifier"
RISKY = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run as a formula (OWASP)
COLUMNS = (
    "position",
    "time",
    "actor kind",
    "actor id",
    "actor name",
    "actor email",
    "address",
    "client",
    "action",
    "outcome",
    "target kind",
    "target id",
    "target name",
    "project",
    "environment",
    "changes",
    "details",
    "hash",
)
START = """from mainstay_cli.audit_verifier.__main__ import main
import sys
sys.exit(main())
"""
README = """This is an audit log, exported by Mainstay. To verify it, with nothing but Python:

    python3 {name}

Whoever could change the log could also have changed the program in this file: for more than a look,
verify with `mainstay audit verify {name}` or another copy of the program, give the public key that
you kept with --key, and checkpoints that you kept with --checkpoint.

rows.jsonl     the rows, one a line, byte for byte as they were hashed
checkpoints/   signed notes of the log's size and the root of its tree (C2SP tlog-checkpoint)
removed/       signed notes of the rows that retention removed
keys.txt       the log's public keys
"""


def csv_lines(rows: Iterable[Found]) -> Iterator[str]:
    """Rows as CSV (RFC 4180), with a head; no cell is one that a spreadsheet would run."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for found in rows:
        writer.writerow([harmless(cell) for cell in _cells(found)])
        if buffer.tell() > PIECE_BYTES:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def harmless(cell: object) -> str:
    """A cell as text; one that a spreadsheet could take for a formula gets an apostrophe."""
    text = str(cell)
    return f"'{text}" if text.startswith(RISKY) else text


def json_lines(rows: Iterable[Found]) -> Iterator[str]:
    """Rows as JSON lines, each byte for byte as it was hashed."""
    for found in rows:
        yield f"{found.body}\n"


def bundle(session: Session, organization_id: str, wanted: RowFilter, *, name: str) -> IO[bytes]:
    """A zip file of rows, checkpoints, keys and the verifier; by times only, or of all rows.

    Rows of some days come with what stands before and behind them in the tree, so that they lead to
    the root that the newest checkpoint signs.

    Raises:
        NotFound: there is nothing to export, or no checkpoint was signed yet.
    """
    log = session.get(AuditLog, organization_id)
    newest = next(iter(list_checkpoints(session, organization_id, limit=1)), None)
    if log is None or newest is None:
        raise NotFound("Nothing of the log is signed yet; try again in a minute.")
    limits = _limits(session, log, wanted)
    file: IO[bytes] = SpooledTemporaryFile(max_size=MOST_IN_MEMORY_BYTES)  # noqa: SIM115 - given to the caller
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("rows.jsonl", "w") as lines:
            span = RowFilter(since=wanted.since, until=wanted.until)
            for line in json_lines(every_row(organization_id, span, up_to=limits[1])):
                lines.write(line.encode())
        for each in list_checkpoints(session, organization_id):
            archive.writestr(f"checkpoints/{each.size:020d}.txt", each.note)
        for removal in list_removals(session, organization_id)[:1]:
            archive.writestr(f"removed/{removal.last:020d}.txt", removal.note)
        archive.writestr("keys.txt", "".join(f"{k}\n" for k in trusted_keys(organization_id)))
        archive.writestr("README.txt", README.format(name=name))
        if wanted.since or wanted.until:
            part = _part(session, log, *limits, size=newest.size)
            archive.writestr("part.json", json.dumps(part))
        _write_verifier(archive)
    file.seek(0)
    return file


def exported(organization_id: str, wanted: RowFilter, form: str) -> AuditLogExported:
    """What to say of an export, before its first row leaves."""
    return AuditLogExported(
        organization_id=organization_id,
        project_id=wanted.project_id,
        instance_id=wanted.instance_id,
        format=form,
        filters=wanted.told(),
    )


def _limits(session: Session, log: AuditLog, wanted: RowFilter) -> tuple[int, int]:
    """The first and the last row of a span of time."""
    if not (wanted.since or wanted.until):
        return log.removed_size + 1, log.size
    own = [AuditRow.organization_id == log.organization_id]
    if wanted.since:
        own.append(AuditRow.at >= wanted.since)
    if wanted.until:
        own.append(AuditRow.at < wanted.until)
    ends = sa.select(sa.func.min(AuditRow.position), sa.func.max(AuditRow.position)).where(*own)
    first, last = session.execute(ends).one()
    if first is None:
        raise NotFound("There are no rows in that time; choose another one.")
    return first, last


def _part(session: Session, log: AuditLog, first: int, last: int, *, size: int) -> dict[str, Any]:
    subtrees = subtrees_of(session, log)
    own = AuditRow.organization_id == log.organization_id
    previous = sa.select(AuditRow.hash).where(own, AuditRow.position == first - 1)
    return {
        "first": first,
        "size": max(size, last),
        "head": session.scalar(previous) or NOTHING_BEFORE,
        "before": [subtree.hex() for subtree in subtrees.before(first - 1)],
        "after": [subtree.hex() for subtree in subtrees.between(last, max(size, last))],
    }


def _write_verifier(archive: zipfile.ZipFile) -> None:
    archive.writestr("__main__.py", START)
    archive.writestr("mainstay_cli/__init__.py", "")
    for source in resources.files(VERIFIER).iterdir():
        if source.name.endswith(".py"):
            archive.writestr(f"mainstay_cli/audit_verifier/{source.name}", source.read_text())


def _cells(found: Found) -> Iterator[object]:
    row = found.row
    yield from (row.position, row.at, row.actor.kind, row.actor.id, row.actor.name)
    yield from (row.actor.email, row.address, row.client, row.action, row.outcome)
    yield from (row.target.kind, row.target.id, row.target.name)
    yield row.project.slug if row.project else ""
    yield row.instance.environment if row.instance else ""
    yield json.dumps(row.changes, ensure_ascii=False) if row.changes else ""
    yield json.dumps(row.details, ensure_ascii=False) if row.details else ""
    yield found.hash

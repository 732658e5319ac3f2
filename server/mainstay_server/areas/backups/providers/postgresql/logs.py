"""The log of a PostgreSQL cluster (WAL), from where the last run ended up to this moment.

A replication slot makes the server keep what is not stored yet. It is moved on when it is written
down that a run is stored, and not before: whatever is killed, the next run brings the same again.
"""

import hashlib
import json
import re
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mainstay_server.areas.backups.schemas import (
    DumpFailed,
    EngineFailed,
    Fingerprint,
    Fingerprints,
    RestoreFailed,
    Versions,
    failing_as,
)
from mainstay_server.kernel.problems import Conflict, Invalid
from mainstay_server.kernel.programs import ProgramFailed, running, told_by

from . import connecting
from .archives import give_to_server, unpack
from .connecting import KEEPALIVES, Connection, connected, environment, program, versions_on
from .places import checked_folder, keep_filled, of_version, refuse_filled
from .segments import ABOUT, PARTIAL, Span, is_segment, lsn_of, missing, number_of, text_of

LABEL = "PostgreSQL log (WAL)"
EXTENSION = "pgwal.tar"
SLOT = re.compile(r"[a-z0-9_]{1,63}")
CHUNK_BYTES = 1 << 20
ABOUT_SLOT = """
SELECT restart_lsn::text, wal_status, active FROM pg_replication_slots WHERE slot_name = %s
"""
ABOUT_LOG = """
SELECT pg_current_wal_flush_lsn()::text, left(pg_walfile_name(pg_current_wal_flush_lsn()), 8),
    (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size')
"""
MAY = """
SELECT (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user),
    pg_is_in_recovery(), current_setting('wal_level'), current_setting('max_slot_wal_keep_size')
"""


@dataclass(frozen=True)
class LogDump:
    """Segments that have arrived, packed into a file."""

    stream: BinaryIO
    versions: Versions
    found: Fingerprints
    told: tuple[str, ...]

    def finish(self) -> None:
        """It was whole before its first byte was read."""

    def fingerprints(self) -> Fingerprints:
        """Of each segment."""
        return self.found

    def beside(self) -> Mapping[str, bytes]:
        """Nothing: it is all in the archive."""
        return {}

    def notes(self) -> tuple[str, ...]:
        """From where it reaches to where."""
        return self.told


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """A `url` and perhaps a `slot`; or, to restore, the `path` of a new folder."""
    if "path" in config:
        return {"path": str(checked_folder(config))}
    slot = str(config.get("slot") or "mainstay")
    if not SLOT.fullmatch(slot):
        raise Invalid("The slot must be made of small letters, digits and _.")
    return {**connecting.checked({"url": config.get("url", "")}), "slot": slot}


def shown(config: Mapping[str, Any]) -> str:
    """Everything but the password."""
    if "path" in config:
        return str(config["path"])
    return f"{config['user']}@{config['host']}:{config['port']} (slot {config['slot']})"


def find_versions(config: Mapping[str, Any]) -> Versions:
    """The server's and our tools'. Raises `Conflict` for a server that gives no log safely."""
    if "path" in config:
        return Versions(server="", tools="")
    with connected(config) as connection:
        return _versions(connection)


def _versions(connection: Connection) -> Versions:
    known = versions_on(connection)
    found = connection.execute(MAY).fetchone()
    assert found is not None, "it has one row"
    may_replicate, is_standby, level, most_kept = found
    if not may_replicate:
        raise Conflict(
            "The user may not read the log; say ALTER ROLE … REPLICATION there.",
            code="replication-missing",
        )
    if is_standby or level == "minimal":
        raise Conflict(
            "The server keeps no log to restore from; name the primary, with wal_level replica.",
            code="no-log",
        )
    if most_kept == "-1":
        raise Conflict(
            "The server keeps log without bound for who does not fetch it, which could fill its"
            " disk; say ALTER SYSTEM SET max_slot_wal_keep_size = '10GB' there, and reload.",
            code="slot-unbounded",
        )
    return Versions(server=known.server, tools=known.tools)


@contextmanager
def dumping(config: Mapping[str, Any], *, folder: Path) -> Iterator[LogDump]:
    """Fetch what the server keeps for us; it goes on keeping it until `let_go`."""
    home = folder / "log"
    archive = folder / "log.tar"
    try:
        with failing_as(DumpFailed), connected(config) as connection:
            versions = _versions(connection)
            span, told = _span(connection, config)
        home.mkdir(mode=0o700)
        _receive(config, span, home)
        about = {
            "timeline": span.timeline,
            "start": text_of(span.start),
            "end": text_of(span.end),
            "segmentBytes": span.segment_bytes,
        }
        (home / ABOUT).write_text(json.dumps(about))
        found = _pack(home, archive)
        with archive.open("rb") as stream:
            reach = f"It reaches from {about['start']} to {about['end']}."
            yield LogDump(stream, versions, found, (reach, *told))
    finally:
        shutil.rmtree(home, ignore_errors=True)
        archive.unlink(missing_ok=True)


def _span(connection: Connection, config: Mapping[str, Any]) -> tuple[Span, tuple[str, ...]]:
    """What is to be fetched; a slot that is new or was lost is told."""
    slot = config["slot"]
    told: tuple[str, ...] = ()
    found = connection.execute(ABOUT_SLOT, [slot]).fetchone()
    if found is not None and (found[1] == "lost" or found[0] is None):
        connection.execute("SELECT pg_drop_replication_slot(%s)", [slot])
        connection.execute("SELECT pg_create_physical_replication_slot(%s, true)", [slot])
        raise DumpFailed(
            "There is a gap: the server removed log that was not stored yet, since it was more than"
            " max_slot_wal_keep_size. No time between the last run and now can be restored; back"
            " up the cluster anew. The log goes on from here."
        )
    if found is None:
        connection.execute("SELECT pg_create_physical_replication_slot(%s, true)", [slot])
        found = connection.execute(ABOUT_SLOT, [slot]).fetchone()
        told = ("The slot was made: the log begins here, and has a gap if there was one before.",)
    log = connection.execute(ABOUT_LOG).fetchone()
    assert found is not None, "the slot was made"
    assert log is not None, "it has one row"
    return Span(str(log[1]), lsn_of(str(found[0])), lsn_of(str(log[0])), int(log[2])), told


def _receive(config: Mapping[str, Any], span: Span, home: Path) -> None:
    """pg_receivewal begins the newest segment that it finds unfinished anew: that says where."""
    first = home / f"{span.begins_with}{PARTIAL}"
    first.touch(mode=0o600)
    command = [
        *(program("pg_receivewal"), f"--directory={home}", "--no-loop", "--no-sync"),
        *("--no-password", f"--endpos={text_of(span.end - 1)}"),
        "--dbname=" + " ".join(f"{name}={value}" for name, value in KEEPALIVES.items()),
    ]
    secrets = [config["password"]]
    with running(
        command, environment=environment(config), secrets=secrets, gives_output=True
    ) as child:
        while child.output.read(CHUNK_BYTES):  # ends when it does
            pass
        try:
            child.finish()
        except ProgramFailed as error:
            raise DumpFailed(str(error)) from None
    if first.exists() and not first.stat().st_size:
        first.unlink()
    names = {path.name.removesuffix(PARTIAL) for path in home.iterdir()}
    if gaps := missing(span.names, names):
        raise DumpFailed(f"The server did not send {', '.join(gaps[:3])} of its log.")


def _pack(home: Path, archive: Path) -> Fingerprints:
    """Move the segments into one archive, one after the other; returns what they are."""
    found = []
    archive.touch(mode=0o600, exist_ok=False)
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as into:
        for path in sorted(home.iterdir()):
            found.append(_fingerprint(path))
            into.add(path, arcname=path.name)
            path.unlink()
    return tuple(found)


def _fingerprint(path: Path) -> Fingerprint:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]
        return Fingerprint(path.name, file.tell(), digest)


def let_go(config: Mapping[str, Any], stored: Iterable[Fingerprint]) -> None:
    """Have the server keep no longer what a run has stored; the unfinished segment comes again.

    Only once it is written down that it is stored. Raises `EngineFailed`.
    """
    whole = sorted((each for each in stored if is_segment(each.name)), key=lambda each: each.name)
    if not whole:
        return
    last = whole[-1]
    border = text_of((number_of(last.name, last.rows) + 1) * last.rows)
    with connected(config) as connection:
        connection.execute(
            "SELECT pg_replication_slot_advance(slot_name, %s::pg_lsn) FROM pg_replication_slots"
            " WHERE slot_name = %s AND restart_lsn < %s::pg_lsn",
            [border, config["slot"], border],
        )


def check_restore(config: Mapping[str, Any], versions: Versions) -> None:
    """Refuse a folder that holds something, and a server."""
    refuse_filled(config)


def restore(
    config: Mapping[str, Any], stream: BinaryIO, *, versions: Versions, folder: Path
) -> None:
    """Unpack into a new folder, which a `restore_command` takes segments from."""
    check_restore(config, versions)
    path = Path(config["path"])
    unpack(stream, path)
    give_to_server(path)


empty = keep_filled


def fingerprints(config: Mapping[str, Any], *, folder: Path) -> Fingerprints:
    """Of what was unpacked; in a drill each record is then read and its checksum tried."""
    if "path" not in config:
        raise EngineFailed("A log has no state of its own to compare; compare a copy of it.")
    path = Path(config["path"])
    found = tuple(sorted(_fingerprint(each) for each in path.iterdir() if each.is_file()))
    if "isScratch" in config:
        _read_records(path, Versions(server=config["server"], tools=""))
    return found


@contextmanager
def scratch(versions: Versions, *, folder: Path) -> Iterator[Mapping[str, Any]]:
    """A folder in the folder."""
    of_version("pg_waldump", versions)
    path = folder / "log"
    try:
        yield {"path": str(path), "isScratch": True, "server": versions.server}
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _read_records(path: Path, versions: Versions) -> None:
    about = json.loads((path / ABOUT).read_bytes())
    span = Span(
        about["timeline"], lsn_of(about["start"]), lsn_of(about["end"]), about["segmentBytes"]
    )
    names = {each.name.removesuffix(PARTIAL) for each in path.iterdir()}
    if gaps := missing(span.names, names):
        raise RestoreFailed(f"The log lacks {', '.join(gaps[:3])}.")
    for each in path.glob(f"*{PARTIAL}"):
        each.rename(each.with_suffix(""))
    if not any(is_segment(each.name) for each in path.iterdir()):
        return
    command = [
        *(of_version("pg_waldump", versions), "--quiet", f"--path={path}"),
        *(f"--timeline={int(span.timeline, 16)}", f"--start={text_of(span.first)}"),
        f"--end={text_of(span.end)}",
    ]
    if span.end <= span.first:
        return
    try:
        told_by(command)
    except ProgramFailed as error:
        raise RestoreFailed(f"The log cannot be read: {error}") from None

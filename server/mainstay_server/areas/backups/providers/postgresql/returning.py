"""A restored cluster and its log put together, so that PostgreSQL stops at a time by itself."""

import json
import re
import shutil
from pathlib import Path

from mainstay_server.areas.backups.schemas import RestoreFailed
from mainstay_server.areas.backups.settings import refuse_moved

from .archives import give_to_server
from .segments import ABOUT, PARTIAL, is_history, is_segment, name_of, number_of

LOG = "mainstay_log"
LATEST = "latest"
MOST_NAMED = 3
LABEL = re.compile(r"^START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)$", re.MULTILINE)


def add(piece: Path, data: Path) -> None:
    """Move the segments of one run to the others; a whole one takes the place of a part."""
    refuse_moved(data)
    log = data / LOG
    log.mkdir(mode=0o700, exist_ok=True)
    for each in piece.iterdir():
        name = each.name
        if name == ABOUT or is_history(name) or is_segment(name.removesuffix(PARTIAL)):
            shutil.move(each, log / name)
        else:
            raise RestoreFailed(f"{name} is no part of a log.")


def finish(data: Path, to_time: str) -> None:
    """Say where PostgreSQL finds the log and where it stops.

    Until now all is still ours, and then the server's user's. Raises `RestoreFailed` with the names
    of segments that are in no run.
    """
    refuse_moved(data)
    log = data / LOG
    _name_gaps(data, int(json.loads((log / ABOUT).read_bytes())["segmentBytes"]))
    for part in log.glob(f"*{PARTIAL}"):
        whole = part.with_suffix("")
        if whole.exists():
            part.unlink()
        else:
            part.rename(whole)
    # Nobody looks at it meanwhile: so it needs not have as many connections as it had before.
    lines = [f"restore_command = 'cp {log}/%f %p'", "recovery_target_action = 'promote'"]
    lines.append("hot_standby = 'off'")
    if to_time != LATEST:
        lines.append(f"recovery_target_time = '{to_time}'")
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write("\n# Until it has been recovered; added by a restore\n")
        settings.write("".join(f"{line}\n" for line in lines))
    (data / "recovery.signal").touch(mode=0o600)
    give_to_server(data)


def _name_gaps(data: Path, segment_bytes: int) -> None:
    label = LABEL.search((data / "backup_label").read_text(errors="replace"))
    if label is None:
        raise RestoreFailed("The base backup does not say where in the log it begins.")
    names = {
        each.name.removesuffix(PARTIAL)
        for folder in (data / LOG, data / "pg_wal")
        for each in folder.iterdir()
    }
    there = {number_of(name, segment_bytes): name for name in names if is_segment(name)}
    begin = number_of(label.group(1), segment_bytes)
    gaps = [number for number in range(begin, max(there)) if number not in there]
    if gaps:
        first = [name_of(label.group(1)[:8], number, segment_bytes) for number in gaps[:MOST_NAMED]]
        more = f" and {len(gaps) - MOST_NAMED} more" if len(gaps) > MOST_NAMED else ""
        raise RestoreFailed(f"There is a gap in the log: no run has {', '.join(first)}{more}.")

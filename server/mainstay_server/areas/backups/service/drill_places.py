"""Drill places: empty databases, servers or folders that drills may fill and empty.

None may be what anything else here uses. By the looks of a config, that is: one server may have
many names, and so a place is filled only while it is empty.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import (
    BackupDestination,
    BackupDrill,
    BackupTarget,
    DestinationKind,
)
from mainstay_server.areas.backups.providers import ENGINES
from mainstay_server.kernel.problems import Conflict

ENGINES_WITH_PLACES = frozenset(ENGINES) - {"mainstay", "postgresql_cluster", "postgresql_log"}
PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
TAKEN = "drill-place-taken"
HERE = "localhost"


def config_of(target: BackupTarget) -> dict[str, Any]:
    """The config of a target's drill place; of an export it has the target's tables."""
    assert target.drill_place is not None, "asked where there is one"
    tables = {name: target.config[name] for name in ("tables",) if name in target.config}
    return {**target.drill_place, **tables}


def shown(target: BackupTarget) -> str:
    """Where drills of a target restore, without secrets; "" for a scratch server."""
    if target.drill_place is None:
        return ""
    return ENGINES[target.engine].shown(config_of(target))


def key_of(target: BackupTarget) -> str:
    """What tells a target's drill place from others, and no secret; "" when it has none."""
    if target.drill_place is None:
        return ""
    config = config_of(target)
    words = json.dumps([str(_where(config)), sorted(config.get("tables", ()))])
    return hashlib.sha256(words.encode()).hexdigest()


def refuse_taken(session: Session, target: BackupTarget) -> None:
    """Refuse a drill place that is something else as well, and a target that is a drill place.

    Compared are the target itself, and all targets, their drill places and the folders for copies
    of the organization. Raises `Conflict` (code `drill-place-taken`).
    """
    others = sa.select(BackupTarget.config, BackupTarget.drill_place).where(
        BackupTarget.organization_id == target.organization_id, BackupTarget.id != target.id
    )
    with session.no_autoflush:
        rows = session.execute(others).all()
    configs = [config for config, _ in rows]
    places = [place for _, place in rows if place is not None]
    if _is_among(target.config, places):
        raise Conflict(
            f"{target.shown} is a drill place of another target, which drills fill and empty; name"
            " another one.",
            code=TAKEN,
        )
    if target.drill_place is None:
        return
    if _is_among(target.drill_place, [target.config]):
        raise Conflict(
            "The drill place is the target itself; name an empty one that nothing uses.",
            code=TAKEN,
        )
    used = [*configs, *places, *_folders(session, target.organization_id)]
    if _is_among(target.drill_place, used):
        raise Conflict(
            "The drill place is used already: it is another target, its drill place, or where"
            " copies go; name an empty one that nothing uses.",
            code=TAKEN,
        )


def refuse_into(session: Session, organization_id: str, config: Mapping[str, Any]) -> None:
    """Refuse to restore into what drills empty. Raises `Conflict` (code `drill-place-taken`)."""
    places = session.scalars(
        sa.select(BackupTarget.drill_place).where(BackupTarget.organization_id == organization_id)
    )
    if _is_among(config, [each for each in places if each is not None]):
        raise Conflict(
            "That is a drill place, which drills empty; restore into another one.", code=TAKEN
        )


def is_filled(session: Session, target: BackupTarget) -> bool:
    """Whether a drill of the target began to fill its drill place, and did not empty it."""
    left = sa.select(BackupDrill.id).where(
        BackupDrill.target_id == target.id, BackupDrill.filled == key_of(target)
    )
    return session.scalar(left.limit(1)) is not None


def forget_filled(session: Session, target_id: str) -> None:
    """Remember no more that a place holds something of drills: it is empty, or another one now."""
    session.execute(
        sa.update(BackupDrill)
        .where(BackupDrill.target_id == target_id, BackupDrill.filled != "")
        .values(filled="")
    )


def _folders(session: Session, organization_id: str) -> Iterator[dict[str, str]]:
    urls = sa.select(BackupDestination.url).where(
        BackupDestination.organization_id == organization_id,
        BackupDestination.kind == DestinationKind.FOLDER,
    )
    for url in session.scalars(urls):
        yield {"path": unquote(urlsplit(url).path)}


def _is_among(config: Mapping[str, Any], others: list[Mapping[str, Any]]) -> bool:
    where = _where(config)
    return any(_overlap(where, _where(other)) for other in others)


def _overlap(one: object, other: object) -> bool:
    """Whether two places are the same; of paths, also whether one lies in the other."""
    if isinstance(one, Path) and isinstance(other, Path):
        return one.is_relative_to(other) or other.is_relative_to(one)
    return one is not None and one == other


def _where(config: Mapping[str, Any]) -> Path | tuple[str, int, str] | None:
    """Where something is, whichever engine asks and as whom; None for what is nowhere else."""
    if "path" in config:
        return Path(config["path"])
    if "host" not in config:
        return None
    port = config["port"] or PORTS[config["kind"]]
    return (_host(str(config["host"])), port, str(config.get("dbname", "")))


def _host(name: str) -> str:
    plain = name.lower().strip("[]").rstrip(".")
    try:
        return HERE if ip_address(plain).is_loopback else plain
    except ValueError:
        return plain

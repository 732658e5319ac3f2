"""What areas say about instances, folded: summaries for the API, tiles for the overview."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from mainstay_server.kernel.area import Tile, installed


def summaries_of(
    session: Session, instance_ids: Sequence[str], *, now: datetime
) -> Mapping[str, dict[str, Any]]:
    """Per instance, the merged answers of every area; each is asked once for all instances."""
    merged: dict[str, dict[str, Any]] = {id_: {} for id_ in instance_ids}
    for area in installed():
        if area.summary is None or not instance_ids:
            continue
        for instance_id, part in area.summary(session, instance_ids, now).items():
            merged[instance_id].update(part)
    return merged


def tiles_of(
    session: Session, instance_ids: Sequence[str], *, now: datetime
) -> Mapping[str, Sequence[Tile]]:
    """Per instance, one tile of every area that has one, in the order of installation."""
    found: dict[str, list[Tile]] = {id_: [] for id_ in instance_ids}
    for area in installed():
        if area.tiles is None or not instance_ids:
            continue
        for instance_id, tile in area.tiles(session, instance_ids, now).items():
            found[instance_id].append(tile)
    return found

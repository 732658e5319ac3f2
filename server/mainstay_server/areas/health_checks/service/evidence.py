"""What browsers showed: the last failure of a check and its last success, as pictures."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.schemas.orders import Finished
from mainstay_server.kernel import blobs
from mainstay_server.kernel.blobs import BlobMissing
from mainstay_server.kernel.watching import State

FOLDER = "health_checks/screenshots"
FAILURE, SUCCESS = "failure", "success"
WHICH = (FAILURE, SUCCESS)
MOST_BYTES = 1 << 20
KEPT = timedelta(days=30)
AT_ONCE = 500


def keep_screenshots(finished: Sequence[Finished]) -> None:
    """Keep what the browsers of these results showed, in the place of what they showed before."""
    for one in finished:
        if one.result is None or not one.result.screenshot:
            continue
        which = FAILURE if one.result.state == State.UNHEALTHY else SUCCESS
        key = f"{FOLDER}/{one.order.check_id}/{which}-{one.at:%Y%m%d}.jpg"
        before = _keys_of(one.order.check_id, which)
        blobs.put(key, one.result.screenshot)
        for old in before:
            if old != key:
                blobs.delete(old)


def find_screenshot(check_id: str, which: str) -> bytes | None:
    """The picture, as JPEG; None when there is none."""
    keys = _keys_of(check_id, which) if which in WHICH else []
    try:
        return blobs.get(keys[-1], max_bytes=MOST_BYTES) if keys else None
    except BlobMissing:
        return None


def list_screenshots(check_id: str) -> list[str]:
    """Which pictures there are of a check, the failure first."""
    return [which for which in WHICH if _keys_of(check_id, which)]


def remove_old_screenshots(session: Session, *, now: datetime) -> int:
    """Remove pictures of more than 30 days ago, and those of checks that are gone."""
    removed, after = 0, ""
    oldest = f"{now - KEPT:%Y%m%d}"
    while keys := blobs.list_keys(FOLDER, limit=AT_ONCE, after=after):
        after = keys[-1]
        of_key = {key: key.split("/")[-2] for key in keys}
        known = set(
            session.scalars(
                sa.select(HealthCheck.id).where(HealthCheck.id.in_(set(of_key.values())))
            )
        )
        for key, check_id in of_key.items():
            day = key.rpartition("-")[2].removesuffix(".jpg")
            if check_id not in known or day < oldest:
                blobs.delete(key)
                removed += 1
    return removed


def _keys_of(check_id: str, which: str) -> list[str]:
    keys = blobs.list_keys(f"{FOLDER}/{check_id}", limit=len(WHICH) * 10)
    return [key for key in keys if f"/{which}-" in key]

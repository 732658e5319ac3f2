"""Badges: how one heartbeat, or all with a tag, is, under an address that nobody can guess."""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.heartbeats.models import Heartbeat
from mainstay_server.kernel.settings import secret_key
from mainstay_server.kernel.watching import State

from .heartbeats import is_late

SIGNATURE_CHARACTERS = 16
ALL = "*"
FORMATS = ("svg", "json", "shields")
WITH_LATE = 3  # states that a badge tells apart: two, or three with "late"
MOST_COUNTED = 2_000
COLOURS = {"up": "#2f7d43", "late": "#b45f06", "down": "#b3261e"}
SHIELDS = {"up": "success", "late": "important", "down": "critical"}
CHARACTER_WIDTH = 7
PADDING = 10


@dataclass(frozen=True)
class Badge:
    """What a badge says: `up`, `late` or `down`, and of how many."""

    label: str
    status: str
    total: int
    grace: int
    down: int


def badge_path(heartbeat: Heartbeat, *, states: int = 2, form: str = "svg") -> str:
    """The address of one heartbeat's badge."""
    return f"/b/{states}/{heartbeat.id}-{signature(heartbeat.id)}.{form}"


def tag_path(instance_id: str, tag: str, *, states: int = 2, form: str = "svg") -> str:
    """The address of the badge of all heartbeats of an instance that have a tag; `*` is all."""
    name = f"{states}-{tag}" if states == WITH_LATE else tag
    return f"/badge/{instance_id}/{signature(f'{instance_id} {tag}')}/{name}.{form}"


def signature(text: str) -> str:
    """What makes an address ours: 96 bits of an HMAC, too many to guess."""
    key = hashlib.sha256(b"mainstay heartbeat badges" + secret_key()).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:SIGNATURE_CHARACTERS]


def is_signed(text: str, given: str) -> bool:
    """Whether somebody got the address from us."""
    return hmac.compare_digest(signature(text).encode(), given.encode())


def badge_of(heartbeats: Iterable[Heartbeat], *, label: str, states: int, now: datetime) -> Badge:
    """The worst of some heartbeats; lateness counts only where three states are asked for."""
    total = late = down = 0
    for row in heartbeats:
        total += 1
        down += row.state == State.UNHEALTHY
        late += is_late(row, now)
    status = "down" if down else ("late" if late and states == WITH_LATE else "up")
    return Badge(label=label, status=status, total=total, grace=late, down=down)


def with_tag(session: Session, instance_id: str, tag: str) -> Sequence[Heartbeat]:
    """The heartbeats of an instance that have a tag; at most 2,000."""
    rows = session.scalars(
        sa.select(Heartbeat).where(Heartbeat.instance_id == instance_id).limit(MOST_COUNTED)
    ).all()
    return rows if tag == ALL else [row for row in rows if tag in row.tags]


def as_json(badge: Badge) -> dict[str, Any]:
    """What Healthchecks' JSON badges say."""
    return {
        "status": badge.status,
        "total": badge.total,
        "grace": badge.grace,
        "down": badge.down,
    }


def as_shields(badge: Badge) -> dict[str, Any]:
    """What shields.io draws a badge from."""
    return {
        "schemaVersion": 1,
        "label": badge.label,
        "message": badge.status,
        "color": SHIELDS[badge.status],
        "isError": badge.status == "down",
    }


def as_svg(badge: Badge) -> str:
    """The badge as a drawing, readable by itself and by screen readers."""
    left = len(badge.label) * CHARACTER_WIDTH + PADDING
    right = len(badge.status) * CHARACTER_WIDTH + PADDING
    width, label = left + right, escape(badge.label, {'"': "&quot;"})
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img"'
        f' aria-label="{label}: {badge.status}"><title>{label}: {badge.status}</title>'
        f'<rect width="{width}" height="20" rx="3" fill="#444c56"/>'
        f'<path d="M{left} 0h{right - 3}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3H{left}z"'
        f' fill="{COLOURS[badge.status]}"/>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif"'
        f' font-size="11"><text x="{left / 2:g}" y="14">{label}</text>'
        f'<text x="{left + right / 2:g}" y="14">{badge.status}</text></g></svg>'
    )

"""The guard's step `bans`: keeps out who is banned, until the ban is over."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from mainstay_server.kernel.clock import rfc3339
from mainstay_server.kernel.guard import GuardStep, Passage
from mainstay_server.kernel.guard.steps import Section
from mainstay_server.kernel.networks import Networks
from mainstay_server.kernel.problems import TooManyRequests
from mainstay_server.kernel.subjects import InstanceRef

from .bans import active_bans

ABNORMAL_USAGE = "https://iana.org/assignments/http-problem-types#abnormal-usage-detected"


@dataclass(frozen=True, slots=True)
class CompiledBans:
    """All banned networks at once, and each with its end and reason."""

    networks: Networks
    each: tuple[tuple[Networks, datetime, str], ...]


def publish(session: Session, instance: InstanceRef, now: datetime) -> dict[str, Any] | None:
    """The section `bans`: who is kept out until when and why; None while nobody is."""
    found = [
        {
            "id": ban.id,
            "network": ban.network,
            "until": rfc3339(ban.until),
            "reason": ban.reason,
        }
        for ban in active_bans(session, instance.id, now=now)
    ]
    return {"bans": found} if found else None


def compile_bans(section: Section) -> CompiledBans:
    """What decides: one set to ask first, since nearly nobody is in it."""
    given: list[Mapping[str, Any]] = list(section["bans"])
    return CompiledBans(
        Networks(ban["network"] for ban in given),
        tuple(
            (
                Networks([ban["network"]]),
                datetime.fromisoformat(ban["until"]),
                str(ban.get("reason", "")),
            )
            for ban in given
        ),
    )


async def decide(bans: CompiledBans, passage: Passage) -> None:
    """Refuse an address that is banned now, with the end of the latest ban that it is in."""
    address, at = passage.request.address, passage.request.at
    if address not in bans.networks:
        return
    holding = [
        (until, reason)
        for networks, until, reason in bans.each
        if until > at and address in networks
    ]
    if not holding:
        return
    until, reason = max(holding)
    raise TooManyRequests(
        f"Your address is kept out until {until:%Y-%m-%d %H:%M} UTC ({reason});"
        " ask the operator of this API to lift it.",
        code="banned",
        retry_after_seconds=(until - at).total_seconds(),
        type=ABNORMAL_USAGE,
    )


step = GuardStep(section="bans", order=20, publish=publish, compile=compile_bans, decide=decide)

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mainstay_server.areas.abuse.service import bans
from mainstay_server.areas.abuse.service.guarding import ABNORMAL_USAGE, publish, step
from mainstay_server.kernel.guard import GuardedRequest, Passage
from mainstay_server.kernel.problems import TooManyRequests
from sqlalchemy.orm import Session
from tests.areas.abuse.worlds import NOON
from tests.world import a_project

POLICY = json.loads((Path(__file__).parents[4] / "wire/guard/policy.full.json").read_text())


def ask(session: Session, address: str, at: datetime) -> None:
    instance = a_project(session, now=NOON, slug=f"p{at.timestamp()}{address}"[:40], number=at.year)
    request = GuardedRequest(
        instance=instance, method="GET", path="/", address=address, credential="", at=at
    )
    compiled = step.compile(POLICY["bans"])
    asyncio.run(step.decide(compiled, Passage(request=request)))


def test_the_golden_section_keeps_out_who_is_banned_until_it_is_over(session: Session) -> None:
    with pytest.raises(TooManyRequests) as refused:
        ask(session, "198.51.100.77", NOON)
    assert (refused.value.code, refused.value.type) == ("banned", ABNORMAL_USAGE)
    ask(session, "198.51.101.1", datetime(2027, 1, 1, tzinfo=UTC))
    ask(session, "198.51.100.77", datetime(2031, 1, 1, tzinfo=UTC))


def test_only_what_keeps_somebody_out_is_published(session: Session) -> None:
    instance = a_project(session, now=NOON)
    assert publish(session, instance, NOON) is None
    bans.impose(
        session, instance, "192.0.2.1/32", rule="r", reason="simulated", evidence={},
        simulated=True, now=NOON,
    )  # fmt: skip
    assert publish(session, instance, NOON) is None
    ban = bans.ban_by_hand(session, instance, "192.0.2.2", minutes=5, reason="x", now=NOON)
    assert publish(session, instance, NOON) == {
        "bans": [
            {
                "id": ban.id,
                "network": "192.0.2.2/32",
                "until": "2026-11-21T12:05:00.000Z",
                "reason": "x",
            }
        ]
    }

"""What an app depends on: each part of its document has a line and a history of its own."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa
from mainstay_server.areas.health_checks.models import (
    HealthCheck,
    HealthPart,
    HealthPartSpell,
    HealthState,
)
from mainstay_server.areas.health_checks.schemas.orders import Part
from mainstay_server.areas.health_checks.service import parts, recording
from sqlalchemy.orm import Session
from tests.areas.health_checks.worlds import GRACE, MINUTE, NOON, a_check, finished

WELL, SLOW, DOWN = HealthState.HEALTHY, HealthState.DEGRADED, HealthState.UNHEALTHY


def told(
    session: Session,
    check: HealthCheck,
    at: datetime,
    state: HealthState,
    *lines: tuple[str, HealthState],
) -> None:
    """Record a result whose document has these lines."""
    one = finished(check, state, at=at)
    assert one.result is not None
    found = tuple(Part(name=name, state=each, response_ms=3.0) for name, each in lines)
    one = replace(one, result=replace(one.result, parts=found))
    recording.record_results(session, [one], grace_seconds=GRACE)


def history(
    session: Session, check: HealthCheck, until: datetime
) -> dict[str, Sequence[tuple[str, float]]]:
    """The states of each part, with how many minutes each lasted."""
    rows = parts.list_parts(session, check.id)
    spells = parts.spells_of_parts(session, rows, since=NOON, until=until)
    return {
        row.name: [
            (spell.state.value, (spell.ended_at - spell.started_at) / MINUTE)
            for spell in spells[row.id]
        ]
        for row in rows
    }


def test_each_part_has_its_own_spells(session: Session) -> None:
    check = a_check(session)
    told(session, check, NOON, WELL, ("database", WELL), ("queue", WELL))
    told(session, check, NOON + MINUTE, SLOW, ("database", WELL), ("queue", SLOW))
    told(session, check, NOON + 2 * MINUTE, SLOW, ("database", WELL), ("queue", SLOW))
    told(session, check, NOON + 3 * MINUTE, WELL, ("database", WELL), ("queue", WELL))

    assert history(session, check, NOON + 5 * MINUTE) == {
        "database": [("healthy", 5)],
        "queue": [("healthy", 1), ("degraded", 2), ("healthy", 2)],
    }


def test_without_its_document_a_part_is_unknown(session: Session) -> None:
    check = a_check(session)
    told(session, check, NOON, WELL, ("database", WELL), ("queue", DOWN))
    told(session, check, NOON + MINUTE, DOWN)
    told(session, check, NOON + 3 * MINUTE, WELL, ("database", WELL))

    assert history(session, check, NOON + 4 * MINUTE) == {
        "database": [("healthy", 1), ("unknown", 2), ("healthy", 1)],
        "queue": [("unhealthy", 1), ("unknown", 3)],
    }


def test_a_check_without_a_document_has_no_parts(session: Session) -> None:
    check = a_check(session)
    told(session, check, NOON, WELL)
    told(session, check, NOON + MINUTE, DOWN)

    assert parts.list_parts(session, check.id) == []


def test_no_document_makes_more_than_fifty(session: Session) -> None:
    check = a_check(session)
    told(session, check, NOON, WELL, *((f"part {n}", WELL) for n in range(80)))
    told(session, check, NOON + MINUTE, WELL, *((f"other {n}", WELL) for n in range(80)))

    assert len(parts.list_parts(session, check.id)) == 50


def test_old_spells_are_forgotten_and_all_goes_with_the_check(session: Session) -> None:
    check = a_check(session)
    told(session, check, NOON, WELL, ("database", WELL))
    told(session, check, NOON + MINUTE, DOWN, ("database", DOWN))

    assert parts.forget_old_spells(session, now=NOON + parts.KEPT) == 0
    assert parts.forget_old_spells(session, now=NOON + 2 * MINUTE + parts.KEPT) == 1
    session.delete(check)
    session.flush()
    for kept in (HealthPart, HealthPartSpell):
        assert session.scalar(sa.select(sa.func.count()).select_from(kept)) == 0

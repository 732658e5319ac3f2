"""The scorecard: live answers, in the order in which they should be mended."""

from collections.abc import Callable
from datetime import datetime

import pytest
from mainstay_server.areas.scorecard import area as scorecard
from mainstay_server.kernel.area import Area
from mainstay_server.kernel.problems import Unavailable
from mainstay_server.kernel.readiness import (
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Weight,
    readiness_check,
)
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.world import World


@readiness_check("t.fine", "Is the deck clean?")
def fine(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    return Passed(evidence="swept an hour ago")


@readiness_check("t.advice", "Is there a spare sail?", weight=Weight.SHOULD)
def advice(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    return Finding(problem="There is none.", fix="Sew one.", fix_url="/sails")


@readiness_check("t.leak", "Is the hull tight?")
def leak(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    return Finding(problem="Water comes in.", fix="Caulk it.")


@readiness_check("t.away", "Does the lookout answer?")
def away(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    raise Unavailable("The lookout is asleep; ask again.")


@readiness_check("t.never", "Are the oars there?")
def never(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    return NotApplicable(reason="It has sails.")


def ship(*checks: object) -> Area:
    return Area(name="ship", title="Ship", readiness=checks)  # type: ignore[arg-type]  # declared above


def card(world: World) -> dict[str, object]:
    answer = world.bob.get(f"/api/instances/{world.instance.id}/scorecard")
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_what_to_mend_comes_first_and_each_red_line_has_its_fix(
    client_for: Callable[..., World],
) -> None:
    found = card(client_for(scorecard, ship(never, fine, advice, away, leak)))

    checks = found["checks"]
    assert isinstance(checks, list)
    assert [(check["id"], check["status"]) for check in checks] == [
        ("t.leak", "failed"),
        ("t.away", "unknown"),
        ("t.advice", "failed"),
        ("t.fine", "passed"),
        ("t.never", "notApplicable"),
    ]
    assert checks[0]["fix"] == "Caulk it."
    assert checks[1]["evidence"] == "The lookout is asleep; ask again."
    assert (found["ready"], found["passed"], found["asked"]) == (False, 1, 4)


@pytest.mark.parametrize(
    ("checks", "ready"),
    [((fine,), True), ((fine, advice), True), ((fine, leak), False), ((away,), False)],
)
def test_an_instance_is_ready_when_no_must_is_open(
    client_for: Callable[..., World], *, checks: tuple[object, ...], ready: bool
) -> None:
    assert card(client_for(scorecard, ship(*checks)))["ready"] is ready

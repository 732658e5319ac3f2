"""Heartbeats in documents: with the addresses that jobs know already."""

from typing import Any
from uuid import uuid4

import pytest
from mainstay_server.areas.heartbeats.configured import HEARTBEATS, HeartbeatShape
from mainstay_server.areas.heartbeats.schemas.api import NewHeartbeat
from mainstay_server.contracts.heartbeats import (
    HeartbeatChanged,
    HeartbeatCreated,
    HeartbeatRemoved,
)
from mainstay_server.kernel.configured import KEPT, ConfiguredProject, Held
from mainstay_server.kernel.events import Event
from mainstay_server.kernel.problems import Conflict
from pydantic import ValidationError
from sqlalchemy.orm import Session
from tests.conftest import Said
from tests.world import NOON_YESTERDAY as NOON
from tests.world import a_project, configured_project


@pytest.fixture
def project(session: Session) -> ConfiguredProject:
    instance = a_project(session, now=NOON)
    return configured_project(instance)


def shape(**fields: Any) -> HeartbeatShape:
    given = {"instance": "production", "name": "Nightly backup", **fields}
    return HeartbeatShape.model_validate(given)


def only(session: Session, project: ConfiguredProject) -> Held:
    (held,) = HEARTBEATS.export(session, project)
    return held


def test_a_heartbeat_is_held_as_it_was_written(
    session: Session, project: ConfiguredProject, said: Said
) -> None:
    wanted = shape(
        scheduleKind="cron",
        expression=" 0  3 * * * ",
        timeZone="Europe/Berlin",
        pingId=str(uuid4()).upper(),
        pushToken="kuma-token",
        tags=["backup"],
        maxDurationSeconds=3_600,
        startWords="begun",
        paused=True,
    )
    assert (wanted.slug, wanted.expression) == ("nightly-backup", "0 3 * * *")
    HEARTBEATS.write(session, project, wanted, None, NOON)
    made = only(session, project)
    assert made.shape == wanted
    changed = wanted.model_copy(update={"paused": False, "grace_seconds": 60, "tags": []})
    HEARTBEATS.write(session, project, changed, made.id, NOON)
    assert only(session, project).shape == changed
    HEARTBEATS.remove(session, project, made, NOON)
    assert HEARTBEATS.export(session, project) == []
    kinds = {type(event) for event in said()}
    expected: set[type[Event]] = {HeartbeatCreated, HeartbeatChanged, HeartbeatRemoved}
    assert kinds >= expected


def test_an_address_is_made_once_kept_and_nobody_elses(
    session: Session, project: ConfiguredProject
) -> None:
    HEARTBEATS.write(session, project, shape(), None, NOON)
    made = only(session, project)
    assert isinstance(made.shape, HeartbeatShape)
    assert made.shape.ping_id != KEPT
    HEARTBEATS.write(session, project, shape(graceSeconds=90), made.id, NOON)
    kept = only(session, project).shape
    assert isinstance(kept, HeartbeatShape)
    assert (kept.ping_id, kept.grace_seconds) == (made.shape.ping_id, 90)
    with pytest.raises(Conflict, match="belongs to another"):
        HEARTBEATS.write(session, project, shape(name="other", pingId=kept.ping_id), None, NOON)


def test_whatever_a_heartbeat_can_be_told_a_document_can_say() -> None:
    assert set(NewHeartbeat.model_fields) <= set(HeartbeatShape.model_fields)


def test_what_is_no_heartbeat_is_no_shape() -> None:
    wrongs: list[dict[str, Any]] = [
        {"pingId": "no uuid"},
        {"scheduleKind": "cron"},
        {"scheduleKind": "cron", "expression": "0 3 30 2 *"},
        {"timeZone": "Mars/Olympus"},
        {"pushToken": "a b"},
        {"colour": "red"},
    ]
    for wrong in wrongs:
        with pytest.raises(ValidationError):
            shape(**wrong)

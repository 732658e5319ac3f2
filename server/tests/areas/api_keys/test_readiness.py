"""The scorecard is told what a careful operator would ask about keys, with one fix for each."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import pytest
from mainstay_server.areas.api_keys import readiness
from mainstay_server.areas.api_keys.schemas import ApiKeySettingsBody
from mainstay_server.areas.api_keys.service import asking, rotating
from mainstay_server.contracts.guard import KeyUse, use_of_keys
from mainstay_server.kernel.ports import install_answers
from mainstay_server.kernel.readiness import (
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    ReadinessCheck,
    Weight,
)
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.areas.api_keys.conftest import DAY, HOUR, NOON, a_key
from tests.world import a_project

ALL = (
    readiness.keys_are_rotated,
    readiness.production_keys_end,
    readiness.keys_are_narrow,
    readiness.old_keys_rest,
)
PAGE = "/dashboard/projects/inspections/api-keys?instance=production"


def ask(
    session: Session, instance: InstanceRef, check: ReadinessCheck, now: datetime = NOON
) -> Outcome:
    return check.ask(session, instance, now)


@pytest.fixture
def old_key_used() -> Iterator[list[KeyUse]]:
    uses: list[KeyUse] = []

    def answer(
        instance_id: str, *, key_ids: Sequence[str], since: datetime, until: datetime
    ) -> list[KeyUse]:
        return uses

    install_answers((use_of_keys.answered_by(answer),))
    yield uses
    use_of_keys.answer = None


def test_without_keys_nothing_is_asked_and_only_age_blocks_going_live(
    session: Session, instance: InstanceRef
) -> None:
    for check in ALL:
        assert isinstance(ask(session, instance, check), NotApplicable), check.id
    assert [check.id for check in ALL if check.weight is Weight.MUST] == ["api_keys.rotated"]


def test_a_key_that_is_too_old_is_found(session: Session, instance: InstanceRef) -> None:
    a_key(session, instance)

    young = ask(session, instance, readiness.keys_are_rotated, NOON + 90 * DAY - HOUR)
    assert young == Passed(evidence="1 API key is at most 90 days old.")
    found = ask(session, instance, readiness.keys_are_rotated, NOON + 100 * DAY)
    assert found == Finding(
        problem="1 API key is older than 90 days; the oldest is 100 days old.",
        fix="Rotate them: the old key works beside the new one for a grace period.",
        fix_url=PAGE,
    )
    body = ApiKeySettingsBody(rotate_after_days=0)
    asking.change_settings(session, instance, body, now=NOON)
    never = ask(session, instance, readiness.keys_are_rotated, NOON + 100 * DAY)
    assert isinstance(never, NotApplicable)


def test_production_keys_without_an_end_are_found_and_those_of_staging_are_not(
    session: Session, instance: InstanceRef
) -> None:
    staging = a_project(
        session, now=NOON, organization="Other", slug="other", number=2, environment="staging"
    )
    a_key(session, staging)
    a_key(session, instance, expires_at=NOON + DAY)
    assert isinstance(ask(session, instance, readiness.production_keys_end), Passed)
    a_key(session, instance)
    a_key(session, instance)

    found = ask(session, instance, readiness.production_keys_end)

    assert isinstance(found, Finding)
    assert found.problem.startswith("2 API keys are without an end")
    assert isinstance(ask(session, staging, readiness.production_keys_end), NotApplicable)


def test_a_key_that_has_every_scope_is_found(session: Session, instance: InstanceRef) -> None:
    a_key(session, instance, name="reader", scopes=["insight:read", "other:read"])
    one = {"paths": ["/a"], "scopes": ["insight:read"]}
    other = {"paths": ["/b"], "scopes": ["insight:write"]}

    def asks_for(*rules: dict[str, list[str]]) -> None:
        body = ApiKeySettingsBody.model_validate({"scopes": rules})
        asking.change_settings(session, instance, body, now=NOON)

    asks_for(one)
    assert isinstance(ask(session, instance, readiness.keys_are_narrow), NotApplicable)
    asks_for(one, other)
    assert isinstance(ask(session, instance, readiness.keys_are_narrow), Passed)
    a_key(session, instance, name="all of it", scopes=["insight:write", "insight:read"])

    found = ask(session, instance, readiness.keys_are_narrow)

    assert isinstance(found, Finding)
    assert found.problem == "1 API key is given all 2 scopes: all of it."


def test_a_replaced_key_that_is_still_used_is_found_with_who_and_until_when(
    session: Session, instance: InstanceRef, old_key_used: list[KeyUse]
) -> None:
    old, _ = a_key(session, instance)
    rotating.rotate_key(session, instance, old.id, grace=DAY, now=NOON)
    assert isinstance(ask(session, instance, readiness.old_keys_rest, NOON + HOUR), Passed)
    old_key_used += [
        KeyUse(
            key_id=old.id,
            route="/api/insights",
            method="GET",
            address=address,
            total=1,
            refused=0,
            last_at=NOON + timedelta(minutes=5),
        )
        for address in ("203.0.113.7", "203.0.113.8")
    ]

    found = ask(session, instance, readiness.old_keys_rest, NOON + HOUR)

    assert found == Finding(
        problem="The replaced key 'billing service' is still used from 2 addresses; it ends at"
        " 2026-03-02 12:00 UTC.",
        fix="Look at who uses it, and have them take the new key.",
        fix_url=PAGE.replace("?", f"/{old.id}?"),
    )

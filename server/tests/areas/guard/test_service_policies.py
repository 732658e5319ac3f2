import threading
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from mainstay_server.areas.guard.service import policies
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.problems import NotFound, Unavailable
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.models import Instance
from sqlalchemy.orm import Session
from tests.areas.guard.worlds import Doorman
from tests.waiting import PATIENCE_SECONDS
from tests.world import NOON_YESTERDAY, World


def test_a_policy_is_made_once_and_again_when_it_changed(world: World, doorman: Doorman) -> None:
    first = policies.get_policy(world.instance.id)
    assert policies.get_policy(world.instance.id) is first

    doorman.change(world, "new")

    assert policies.known_policy(world.instance.id) is None
    second = policies.get_policy(world.instance.id)
    assert second.version == first.version + 1
    assert second.etag != first.etag


def test_a_policy_that_somebody_else_changed_is_looked_at_again(world: World) -> None:
    policies.get_policy(world.instance.id)
    assert policies.known_policy(world.instance.id) is not None

    policies.mark_stale(world.instance.id)

    assert policies.known_policy(world.instance.id) is None


def test_the_policy_that_is_held_goes_on_while_the_database_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = policies.get_policy(world.instance.id)

    def away() -> None:
        raise Unavailable("gone")

    monkeypatch.setattr(policies, "reading", away)
    policies.mark_stale(world.instance.id)

    assert policies.get_policy(world.instance.id) is held
    with pytest.raises(Unavailable):
        policies.get_policy(world.charlies_instance.id)


def test_there_is_no_policy_of_an_instance_that_is_not_there(world: World) -> None:
    with pytest.raises(NotFound):
        policies.get_policy("0" * 36)


def test_what_is_no_id_is_refused_without_a_query(world: World) -> None:
    for text in ("0" * 36, "nowhere", "", world.instance.id.upper(), "{" + world.instance.id + "}"):
        with pytest.raises(NotFound):
            policies.known_policy(text)


def test_who_asks_for_an_instance_that_is_not_there_is_soon_refused_from_memory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "ABSENT_SECONDS", PATIENCE_SECONDS)
    nobodys = str(uuid4())
    assert policies.known_policy(nobodys) is None
    with pytest.raises(NotFound):
        policies.get_policy(nobodys)

    with pytest.raises(NotFound):
        policies.known_policy(nobodys)

    monkeypatch.setattr(policies, "ABSENT_SECONDS", 0)
    with transaction() as session:
        made = Instance(
            id=nobodys,
            project_id=world.instance.project_id,
            environment="staging",
            url="",
            created_at=NOON_YESTERDAY,
        )
        session.add(made)
    assert policies.known_policy(nobodys) is None, "it may be there by now, so one looks"
    assert policies.get_policy(nobodys).instance.environment == "staging"
    assert policies.known_policy(nobodys) is not None


def test_only_so_many_that_are_not_there_are_remembered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "MOST_ABSENT", 3)
    for _ in range(5):
        with pytest.raises(NotFound):
            policies.get_policy(str(uuid4()))
    assert len(policies._held.absent) == 3


def test_one_policy_that_takes_long_to_make_keeps_no_other_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = policies.make_document
    begun, go_on = threading.Event(), threading.Event()

    def slow(session: Session, instance: InstanceRef, *, now: datetime) -> dict[str, Any]:
        if instance.id == world.instance.id:
            begun.set()
            assert go_on.wait(PATIENCE_SECONDS)
        return made(session, instance, now=now)

    monkeypatch.setattr(policies, "make_document", slow)
    policies._held.policies.clear()
    slowly = threading.Thread(target=policies.get_policy, args=(world.instance.id,))
    slowly.start()
    try:
        assert begun.wait(PATIENCE_SECONDS)
        assert policies.get_policy(world.charlies_instance.id).instance == world.charlies_instance
        assert slowly.is_alive()
    finally:
        go_on.set()
        slowly.join()
    assert policies.known_policy(world.instance.id) is not None

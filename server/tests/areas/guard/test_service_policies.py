import pytest
from mainstay_server.areas.guard.service import policies
from mainstay_server.kernel.problems import NotFound, Unavailable
from tests.areas.guard.worlds import Doorman
from tests.world import World


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

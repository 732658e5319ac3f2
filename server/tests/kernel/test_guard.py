from collections.abc import Iterator
from queue import SimpleQueue

import pytest
from mainstay_server.kernel import shared
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.guard import CHANNEL, policy_version, touch_policies

ONE = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
OTHER = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c"
SOON_SECONDS = 30

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def heard() -> Iterator[SimpleQueue[bytes]]:
    """What other processes are told, in order."""
    shared.open_shared("memory://")
    words: SimpleQueue[bytes] = SimpleQueue()
    shared.subscribe(CHANNEL, words.put)
    yield words
    shared.close_shared()


def touch(*instance_ids: str) -> None:
    with transaction() as session:
        touch_policies(session, instance_ids)


def version_of(instance_id: str) -> int:
    with transaction() as session:
        return policy_version(session, instance_id)


def test_a_policy_that_nobody_changed_has_version_zero() -> None:
    assert version_of(ONE) == 0


def test_each_change_makes_the_version_grow_by_one(heard: SimpleQueue[bytes]) -> None:
    touch(ONE)
    touch(ONE, OTHER, ONE)

    assert (version_of(ONE), version_of(OTHER)) == (2, 1)
    told = [heard.get(timeout=SOON_SECONDS) for _ in range(3)]
    assert told == [ONE.encode(), ONE.encode(), OTHER.encode()]


def test_nobody_is_told_of_what_was_rolled_back(heard: SimpleQueue[bytes]) -> None:
    with pytest.raises(ValueError, match="no"), transaction() as session:
        touch_policies(session, [ONE])
        raise ValueError("no")
    touch(OTHER)

    assert heard.get(timeout=SOON_SECONDS) == OTHER.encode()
    assert version_of(ONE) == 0

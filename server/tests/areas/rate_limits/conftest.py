"""One instance with its limits, and the answer of the guard about whom they held back."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from mainstay_server.areas import rate_limits
from mainstay_server.contracts.guard import AddressConduct, conduct_of_addresses
from mainstay_server.kernel import limits, shared
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.ports import install_answers
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.world import World, a_project

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Empty buckets in memory, and no other area that answers, whichever was tested before."""
    monkeypatch.setattr(conduct_of_addresses, "answer", None)
    limits.open_limits("memory://")
    yield
    limits.close_limits()


@pytest.fixture
def session(database: None) -> Iterator[Session]:
    """One writing transaction on the fresh database, open for the whole test."""
    shared.open_shared("memory://")
    with transaction() as opened:
        yield opened
    shared.close_shared()


@pytest.fixture
def instance(session: Session) -> InstanceRef:
    return a_project(session, now=NOON)


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(rate_limits.area)


class Passed:
    """The answer of the area that keeps what passed."""

    def __init__(self) -> None:
        self.conducts: list[AddressConduct] = []
        self.asked: list[tuple[timedelta, int]] = []

    def tell(self, *, since: datetime, until: datetime, at_least: int) -> list[AddressConduct]:
        self.asked.append((until - since, at_least))
        return [each for each in self.conducts if each.limited >= at_least]

    def refused(self, instance: InstanceRef, times: int, *, address: str = "203.0.113.9") -> None:
        self.conducts.append(
            AddressConduct(
                instance_id=instance.id,
                address=address,
                total=times + 100,
                unauthorized=0,
                forbidden=0,
                not_found=0,
                limited=times,
                credentials=0,
                key_ids=("key-1",),
                routes=1,
                paths=(),
                first_at=NOON,
                last_at=NOON,
            )
        )


@pytest.fixture
def passed(alone: None) -> Passed:
    made = Passed()
    install_answers((conduct_of_addresses.answered_by(made.tell),))
    return made

"""Administrative actions: what changed is told as plain values, and all of it is heard once."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from threading import Event as Flag
from typing import ClassVar

import msgspec
import pytest
import sqlalchemy as sa
from mainstay_server.kernel.database import is_sqlite, reading, transaction
from mainstay_server.kernel.events import (
    Audited,
    DeliveryStatus,
    Event,
    Heard,
    Origin,
    OutboxDelivery,
    OutboxEvent,
    Target,
    changes_between,
    facts_of,
    install_reactions,
    on,
    on_audited,
    run_waiting,
    say,
    spoken_by,
)
from sqlalchemy.orm import Session
from tests.waiting import PATIENCE_SECONDS
from typing_extensions import override

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Metal(StrEnum):
    BRONZE = "bronze"
    IRON = "iron"


@dataclass
class Bell:
    name: str
    metal: Metal
    weight: float
    tones: list[str]
    cast_at: datetime
    secret_inscription: str = "for nobody's eyes"


class BellTowerRaised(Audited, frozen=True, kw_only=True):
    noun: ClassVar[str] = "bell_tower"
    tower_id: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.tower_id, "the tower")


class BellTowerClosed(BellTowerRaised, frozen=True, kw_only=True):
    pass


class BellRangOut(Event, frozen=True, kw_only=True):
    bell: str


SHOWN = ("name", "metal", "weight", "tones", "cast_at")
EAST = timezone(timedelta(hours=2))


def a_bell() -> Bell:
    cast = datetime(2026, 3, 1, 14, tzinfo=EAST)
    return Bell(name="Old Tom", metal=Metal.BRONZE, weight=9.5, tones=["e", "g"], cast_at=cast)


def test_only_what_is_different_is_told_with_how_it_was_and_is() -> None:
    bell = a_bell()
    before = facts_of(bell, SHOWN)
    bell.metal, bell.tones = Metal.IRON, ["e"]

    assert changes_between(before, facts_of(bell, SHOWN)) == {
        "metal": ("bronze", "iron"),
        "tones": (["e", "g"], ["e"]),
    }
    assert changes_between(before, before) == {}


def test_what_was_made_had_nothing_before_and_what_was_removed_has_nothing_after() -> None:
    facts = facts_of(a_bell(), SHOWN)

    assert changes_between({}, facts)["cast_at"] == (None, "2026-03-01T12:00:00.000Z")
    assert changes_between(facts, {})["weight"] == (9.5, None)


def test_a_field_that_sounds_secret_is_refused() -> None:
    for name in ("secret_inscription", "password_hash", "token"):
        with pytest.raises(AssertionError, match="a secret"):
            facts_of(a_bell(), [name])


def test_an_event_keeps_its_changes_through_the_outbox_and_knows_its_action() -> None:
    event = BellTowerRaised(
        organization_id="o",
        tower_id="t",
        changes=changes_between({}, {"height": 30.5, "bells": ["a", "b"], "open": True}),
    )

    again = msgspec.json.decode(msgspec.json.encode(event), type=BellTowerRaised)

    assert again == event
    assert again.action() == "bell_tower.raised"
    assert again.subject == "t"


def test_what_lies_within_a_mapping_is_told_by_its_path() -> None:
    before = {"headers": {"set": {"A": "1"}, "remove": ["Server"]}, "cors": None}
    after = {"headers": {"set": {"A": "2"}, "remove": ["Server"]}, "cors": {"origins": ["*"]}}

    assert changes_between(before, after) == {
        "headers.set.A": ("1", "2"),
        "cors.origins": (None, ["*"]),
    }


def test_long_values_are_cut() -> None:
    changes = changes_between({}, {"text": "x" * 5000, "list": ["y" * 5000] * 500})
    text, items = changes["text"][1], changes["list"][1]

    assert isinstance(text, str)
    assert isinstance(items, list)
    assert (len(text), len(items), len(items[0])) == (1000, 100, 1000)


@pytest.fixture(autouse=True)
def no_reactions_left() -> Iterator[None]:
    yield
    install_reactions(())


def tell(organization_id: str, tower_id: str, *, closed: bool = False) -> None:
    kind = BellTowerClosed if closed else BellTowerRaised
    with transaction() as session:
        say(session, kind(organization_id=organization_id, tower_id=tower_id), now=NOON)


def test_every_kind_of_audited_event_is_heard_in_order_with_who_and_from_where(
    database: None,
) -> None:
    heard: list[Heard] = []

    @on_audited
    def listen(session: Session, found: Sequence[Heard], *, now: datetime) -> None:
        heard.extend(found)

    install_reactions([listen])
    alice = Origin(
        actor="person:1",
        name="Alice",
        email="alice@ships.example",
        address="203.0.113.7",
        client="curl/8",
    )
    with spoken_by(alice):
        tell("ships", "1")
        tell("ships", "2", closed=True)
    with transaction() as session:
        say(session, BellRangOut(bell="noon"), now=NOON)
    tell("ships", "3")

    assert run_waiting(now=NOON) == 1, "all that waits is heard at once"
    assert [(type(each.event), each.event.target.id) for each in heard] == [
        (BellTowerRaised, "1"),
        (BellTowerClosed, "2"),
        (BellTowerRaised, "3"),
    ]
    assert [each.origin for each in heard] == [alice, alice, Origin()]
    assert [each.said_at for each in heard] == [NOON, NOON, NOON]
    assert [each.position for each in heard] == sorted(each.position for each in heard)
    assert run_waiting(now=NOON + HOUR) == 0


def test_organizations_do_not_wait_for_each_other_and_other_reactions_hear_too(
    database: None,
) -> None:
    heard: list[list[str]] = []
    raised: list[str] = []

    @on_audited
    def listen(session: Session, found: Sequence[Heard], *, now: datetime) -> None:
        if found[0].event.organization_id == "ships":
            raise RuntimeError("not yet")
        heard.append([each.event.organization_id for each in found])

    @on(BellTowerRaised)
    def note(session: Session, event: BellTowerRaised, *, now: datetime) -> None:
        raised.append(event.tower_id)

    install_reactions([listen, note])
    tell("ships", "1")
    tell("rivals", "2")
    tell("rivals", "3")
    run_waiting(now=NOON)

    assert heard == [["rivals", "rivals"]]
    assert raised == ["1", "2", "3"]


def test_one_that_cannot_be_heard_leaves_nothing_and_the_others_are_heard_after_it(
    database: None,
) -> None:
    attempts: list[list[str]] = []

    @on_audited
    def listen(session: Session, found: Sequence[Heard], *, now: datetime) -> None:
        attempts.append([each.event.target.id for each in found])
        for each in found:
            say(session, BellRangOut(bell=each.event.target.id), now=now)
            if each.event.target.id == "2" and len(attempts) < 4:
                raise RuntimeError("not yet")

    install_reactions([listen])
    for tower in ("1", "2", "3"):
        tell("ships", tower)
    for hour in range(6):
        run_waiting(now=NOON + hour * HOUR)

    assert attempts == [["1", "2", "3"], ["1"], ["2"], ["2"], ["3"]]
    with reading() as session:
        bells = session.scalars(
            sa.select(OutboxEvent.body).where(OutboxEvent.name == "BellRangOut")
        ).all()
    assert bells == ['{"bell":"1"}', '{"bell":"2"}', '{"bell":"3"}'], "each had its effect once"


def test_what_no_code_understands_any_more_does_not_hold_up_the_rest(database: None) -> None:
    heard: list[str] = []

    @on_audited
    def listen(session: Session, found: Sequence[Heard], *, now: datetime) -> None:
        heard.extend(each.event.target.id for each in found)

    install_reactions([listen])
    for tower in ("1", "2", "3"):
        tell("ships", tower)
    with transaction() as session:
        session.execute(sa.update(OutboxEvent).where(OutboxEvent.position == 2).values(body="{}"))
    run_waiting(now=NOON)

    assert heard == ["1", "3"]
    with reading() as session:
        dead = sa.select(OutboxDelivery.position).where(OutboxDelivery.status == "dead")
        assert session.scalars(dead).all() == [2]


def test_what_is_committed_late_is_heard_once_while_what_was_said_after_it_is_being_heard(
    database: None,
) -> None:
    if is_sqlite():
        return  # one writer at a time: nothing is committed late
    heard: list[str] = []
    inside, late = Flag(), Flag()

    @on_audited
    def listen(session: Session, found: Sequence[Heard], *, now: datetime) -> None:
        if found[0].event.target.id == "second":
            inside.set()
            assert late.wait(PATIENCE_SECONDS)
        heard.extend(each.event.target.id for each in found)

    install_reactions([listen])
    with ThreadPoolExecutor(2) as pool:
        with transaction() as early:
            say(early, BellTowerRaised(organization_id="ships", tower_id="first"), now=NOON)
            for tower in ("second", "third"):
                pool.submit(tell, "ships", tower).result()
            slow = pool.submit(run_waiting, now=NOON)
            assert inside.wait(PATIENCE_SECONDS)
        run_waiting(now=NOON)  # the first, and not what the other is hearing
        late.set()
        slow.result()

    assert heard == ["first", "second", "third"]


def test_workers_at_once_hear_each_event_once_and_in_order(database: None) -> None:
    @on_audited
    def listen(session: Session, found: Sequence[Heard], *, now: datetime) -> None:
        for each in found:
            say(session, BellRangOut(bell=each.event.target.id), now=now)

    install_reactions([listen])
    with transaction() as session:
        for number in range(1300):
            organization = f"org-{number % 2}"
            raised = BellTowerRaised(organization_id=organization, tower_id=str(number))
            say(session, raised, now=NOON)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(run_waiting, now=NOON)

    with reading() as session:
        rang = session.scalars(
            sa.select(OutboxEvent.body)
            .where(OutboxEvent.name == "BellRangOut")
            .order_by(OutboxEvent.position)
        ).all()
        waiting = sa.select(sa.func.count()).where(OutboxDelivery.status == DeliveryStatus.WAITING)
        assert session.scalar(waiting) == 0
    bells = [msgspec.json.decode(body, type=BellRangOut).bell for body in rang]
    for remainder in (0, 1):
        numbers = [int(bell) for bell in bells if int(bell) % 2 == remainder]
        assert numbers == list(range(remainder, 1300, 2))

"""Saying and reacting: with the change or not at all, at least once, in order per subject."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import (
    Delivered,
    Delivery,
    DeliveryStatus,
    Event,
    NotYet,
    Origin,
    OutboxDelivery,
    OutboxEvent,
    Reaction,
    Refused,
    RetryLater,
    dead_letters,
    hasten,
    install_reactions,
    on,
    origin,
    prune_outbox,
    resend,
    run_waiting,
    say,
    say_all,
    sends,
    spoken_by,
)
from mainstay_server.kernel.events.deliveries import claim_for_sending, release_dead_owners
from mainstay_server.kernel.events.runner import OutboxRunner, record, send_one
from sqlalchemy.orm import Session
from tests.waiting import PATIENCE_SECONDS, eventually
from typing_extensions import override

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


class BellRang(Event, frozen=True, kw_only=True):
    bell: str
    times: int = 1

    @property
    @override
    def subject(self) -> str:
        return self.bell


@pytest.fixture(autouse=True)
def no_reactions_left() -> Iterator[None]:
    yield
    install_reactions(())


def ring(bell: str, times: int = 1) -> None:
    with transaction() as session:
        say(session, BellRang(bell=bell, times=times), now=NOON)


def test_a_reaction_hears_what_was_committed_and_nothing_else(database: None) -> None:
    heard: list[str] = []

    @on(BellRang)
    def listen(session: Session, event: BellRang, *, now: datetime) -> None:
        heard.append(event.bell)

    install_reactions([listen])
    ring("noon")
    with pytest.raises(RuntimeError), transaction() as session:
        say(session, BellRang(bell="never"), now=NOON)
        raise RuntimeError

    assert run_waiting(now=NOON) == 1
    assert heard == ["noon"]
    assert run_waiting(now=NOON) == 0


def test_a_reaction_that_fails_leaves_nothing_and_is_tried_again_later(database: None) -> None:
    heard: list[str] = []

    @on(BellRang)
    def fail_once(session: Session, event: BellRang, *, now: datetime) -> None:
        say(session, BellRang(bell="echo", times=0), now=now)
        heard.append(event.bell)
        if len(heard) == 1:
            raise RuntimeError("not yet")

    install_reactions([fail_once])
    ring("noon")

    assert run_waiting(now=NOON) == 1
    with reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(OutboxEvent)) == 1
    assert run_waiting(now=NOON) == 0  # its pause is not over

    install_reactions([fail_once])
    with transaction() as session:
        session.execute(sa.update(OutboxDelivery).values(due_at=NOON))
    heard.append("second try")
    run_waiting(now=NOON, most=1)
    assert heard[-1] == "noon"


def test_one_subject_waits_for_its_earlier_event_and_others_do_not(database: None) -> None:
    heard: list[tuple[str, int]] = []

    @sends(BellRang)
    def send(event: BellRang, *, delivery: Delivery) -> None:
        if event.times == 1 and delivery.attempt == 1:
            raise RetryLater("the line is busy", after_seconds=60)
        heard.append((event.bell, event.times))

    install_reactions([send])
    ring("door", times=1)
    ring("door", times=2)
    ring("church", times=3)

    run_waiting(now=NOON)
    assert heard == [("church", 3)]
    run_waiting(now=NOON + 2 * MINUTE)
    assert heard == [("church", 3), ("door", 1), ("door", 2)]


def test_a_sender_keeps_its_idempotency_key_over_all_tries(database: None) -> None:
    keys: list[str] = []

    @sends(BellRang)
    def send(event: BellRang, *, delivery: Delivery) -> None:
        keys.append(delivery.id)
        if delivery.attempt < 4:
            raise RetryLater("busy")

    install_reactions([send])
    ring("noon")
    for hour in range(6):
        run_waiting(now=NOON + hour * 60 * MINUTE)

    assert len(keys) == 4
    assert len(set(keys)) == 1


def test_waiting_for_a_turn_is_no_try_and_loses_nothing(database: None) -> None:
    tries: list[int] = []

    @sends(BellRang)
    def send(event: BellRang, *, delivery: Delivery) -> None:
        tries.append(delivery.attempt)
        if delivery.at < NOON + 40 * MINUTE:
            raise NotYet("others first", seconds=60)

    install_reactions([send])
    ring("noon")
    for minute in range(45):
        run_waiting(now=NOON + minute * MINUTE)

    assert tries == [1] * 41, "more often than there are tries, and none was counted"
    with reading() as session:
        assert session.scalars(sa.select(OutboxDelivery.status)).all() == [DeliveryStatus.DONE]


def test_a_crowd_that_waits_for_its_turn_holds_nothing_up_that_was_said_later(
    database: None,
) -> None:
    heard: list[str] = []

    @sends(BellRang)
    def send(event: BellRang, *, delivery: Delivery) -> None:
        if event.bell != "fire":
            raise NotYet("others first", seconds=1)
        heard.append(event.bell)

    install_reactions([send])
    for number in range(5):
        ring(f"market-{number}")
    ring("fire")
    for second in range(6):
        run_waiting(now=NOON + timedelta(seconds=second), most=1)

    assert heard == ["fire"]


def test_what_waits_for_its_next_try_can_have_it_now(database: None) -> None:
    tries: list[str] = []

    @sends(BellRang)
    def send(event: BellRang, *, delivery: Delivery) -> None:
        tries.append(delivery.id)
        if len(tries) == 1:
            raise RetryLater("busy", after_seconds=3600)

    install_reactions([send])
    ring("noon")
    run_waiting(now=NOON)
    run_waiting(now=NOON + MINUTE)
    assert len(tries) == 1
    with transaction() as session:
        assert hasten(session, tries, now=NOON + MINUTE) == 1
        assert hasten(session, tries, now=NOON + MINUTE) == 0
    run_waiting(now=NOON + MINUTE)

    assert len(tries) == 2


def test_a_refusal_goes_to_the_dead_letters_is_told_once_and_can_be_sent_again(
    database: None,
) -> None:
    told: list[str] = []
    answers: list[Exception | None] = [Refused("no such address"), None]

    def give_up(session: Session, event: BellRang, *, reason: str, now: datetime) -> None:
        told.append(reason)

    @sends(BellRang, given_up=give_up)
    def send(event: BellRang, *, delivery: Delivery) -> None:
        answer = answers.pop(0)
        if answer:
            raise answer

    install_reactions([send])
    ring("noon")
    run_waiting(now=NOON)
    run_waiting(now=NOON + DAY)
    assert told == ["no such address"]

    with transaction() as session:
        (letter,) = dead_letters(session)
        assert letter.last_error == "no such address"
        assert resend(session, letter.id, now=NOON)
        assert not resend(session, letter.id, now=NOON)
    run_waiting(now=NOON)
    with reading() as session:
        assert session.scalars(sa.select(OutboxDelivery.status)).all() == [DeliveryStatus.DONE]


def test_a_sender_that_never_succeeds_is_given_up_within_two_days(database: None) -> None:
    tries: list[int] = []

    @sends(BellRang)
    def send(event: BellRang, *, delivery: Delivery) -> None:
        tries.append(delivery.attempt)
        raise RetryLater("busy")

    install_reactions([send])
    ring("noon")
    for quarter in range(4 * 48):
        run_waiting(now=NOON + quarter * 15 * MINUTE)

    assert len(tries) == 30
    with reading() as session:
        assert [letter.attempts for letter in dead_letters(session)] == [30]


def test_what_a_dead_process_was_sending_is_sent_by_the_next_one(
    database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    @sends(BellRang)
    def send(event: BellRang, *, delivery: Delivery) -> None:
        sent.append(delivery.id)

    install_reactions([send])
    ring("noon")
    with transaction() as session:
        claim_for_sending(session, now=NOON, lease=MINUTE, limit=5)
        claimed = session.scalars(sa.select(OutboxDelivery)).one()
        host = claimed.owner.rsplit("/", 2)[0]
        claimed.owner = f"{host}/4000000/1"  # a process id that cannot exist

    assert run_waiting(now=NOON) == 0
    with transaction() as session:
        assert release_dead_owners(session) == 1
    assert run_waiting(now=NOON) == 1
    assert len(sent) == 1


def test_a_lease_that_ran_out_is_taken_over_and_done_is_said_once(database: None) -> None:
    @sends(BellRang)
    def send(event: BellRang, *, delivery: Delivery) -> None: ...

    install_reactions([send])
    ring("noon")
    with transaction() as session:
        (slow,) = claim_for_sending(session, now=NOON, lease=MINUTE, limit=5)
    assert run_waiting(now=NOON) == 0
    assert run_waiting(now=NOON + 2 * MINUTE) == 1

    late = NOON + 3 * MINUTE
    record(send_one(slow, clock=lambda: late), now=late)  # the slow one finishes after all

    with reading() as session:
        delivery = session.scalars(sa.select(OutboxDelivery)).one()
    assert delivery.done_at == NOON + 2 * MINUTE


def test_what_came_of_a_try_is_written_down_with_its_being_done_or_it_is_tried_again(
    database: None,
) -> None:
    keys: list[str] = []
    noted: list[object] = []

    def note(session: Session, tries: list[Delivered], *, now: datetime) -> None:
        if len(keys) == 1:
            raise RuntimeError("the note could not be written")
        noted.extend((one.event, one.delivery.id, one.answer) for one in tries)

    @sends(BellRang, delivered=note)
    def send(event: BellRang, *, delivery: Delivery) -> str:
        keys.append(delivery.id)
        return "heard"

    install_reactions([send])
    ring("noon")
    run_waiting(now=NOON)
    with reading() as session:
        waiting = session.scalars(sa.select(OutboxDelivery)).one()
    run_waiting(now=NOON + MINUTE)

    assert (waiting.status, waiting.last_error) == ("waiting", "the note could not be written")
    assert len(keys) == 2
    assert noted == [(BellRang(bell="noon"), keys[0], "heard")]
    assert set(keys) == {keys[0]}


def test_what_cannot_be_written_down_of_one_try_undoes_nothing_of_the_others(
    database: None,
) -> None:
    at_once: list[int] = []
    all_sent = threading.Barrier(4)

    def note(session: Session, tries: list[Delivered], *, now: datetime) -> None:
        at_once.append(len(tries))
        if any(one.event == BellRang(bell="bad") for one in tries):
            raise RuntimeError("the note could not be written")

    @sends(BellRang, delivered=note)
    def send(event: BellRang, *, delivery: Delivery) -> None:
        all_sent.wait(PATIENCE_SECONDS)

    def states() -> dict[str, tuple[str, str]]:
        with reading() as session:
            rows = session.scalars(sa.select(OutboxDelivery))
            return {row.subject: (row.status, row.last_error) for row in rows}

    def recorded() -> bool:
        found = states()
        return bool(found.pop("bad")[1]) and {status for status, _ in found.values()} == {"done"}

    install_reactions([send])
    for bell in ("one", "two", "bad", "three"):
        ring(bell)
    runner = OutboxRunner(lease=MINUTE)
    runner.start()
    try:
        assert eventually(recorded)
    finally:
        all_sent.abort()
        runner.stop()

    assert states()["bad"] == ("waiting", "the note could not be written")
    assert sum(at_once) >= 4


def test_what_senders_that_begin_together_need_to_know_is_read_once(database: None) -> None:
    asked: list[int] = []
    told: dict[str, object] = {}
    all_sent = threading.Barrier(4)

    def known(session: Session, events: list[BellRang], *, now: datetime) -> list[str]:
        asked.append(len(events))
        return [event.bell.upper() for event in events]

    @sends(BellRang, reads=known)
    def send(event: BellRang, *, delivery: Delivery, read: str) -> None:
        told[event.bell] = read
        all_sent.wait(PATIENCE_SECONDS)

    install_reactions([send])
    for bell in ("one", "two", "three", "four"):
        ring(bell)
    runner = OutboxRunner(lease=MINUTE)
    runner.start()
    try:
        assert eventually(lambda: len(told) == 4)
    finally:
        runner.stop()

    assert told == {"one": "ONE", "two": "TWO", "three": "THREE", "four": "FOUR"}
    assert asked == [4]


def test_what_cannot_be_read_of_one_keeps_no_other_from_being_sent(database: None) -> None:
    sent: list[str] = []

    def known(session: Session, events: list[BellRang], *, now: datetime) -> list[str]:
        if any(event.bell == "bad" for event in events):
            raise RuntimeError("it makes no sense")
        return [event.bell for event in events]

    @sends(BellRang, reads=known)
    def send(event: BellRang, *, delivery: Delivery, read: str) -> None:
        sent.append(read)

    def states() -> dict[str, tuple[str, str]]:
        with reading() as session:
            rows = session.scalars(sa.select(OutboxDelivery))
            return {row.subject: (row.status, row.last_error) for row in rows}

    install_reactions([send])
    for bell in ("one", "bad", "two"):
        ring(bell)
    runner = OutboxRunner(lease=MINUTE)
    runner.start()
    try:
        assert eventually(lambda: states()["bad"][1] and len(sent) == 2)
    finally:
        runner.stop()

    assert sorted(sent) == ["one", "two"]
    assert states() == {
        "one": ("done", ""),
        "two": ("done", ""),
        "bad": ("waiting", "it makes no sense"),
    }


def test_what_is_being_sent_when_the_server_stops_is_written_down(database: None) -> None:
    begun, go_on = threading.Event(), threading.Event()

    @sends(BellRang)
    def send(event: BellRang, *, delivery: Delivery) -> None:
        begun.set()
        go_on.wait(PATIENCE_SECONDS)

    install_reactions([send])
    ring("noon")
    runner = OutboxRunner(lease=MINUTE)
    runner.start()
    assert begun.wait(PATIENCE_SECONDS)
    threading.Timer(0.2, go_on.set).start()
    runner.stop(timeout_seconds=PATIENCE_SECONDS)

    with reading() as session:
        assert session.scalars(sa.select(OutboxDelivery.status)).one() == DeliveryStatus.DONE


def test_several_things_said_at_once_are_heard_in_that_order(database: None) -> None:
    heard: list[int] = []

    @on(BellRang)
    def listen(session: Session, event: BellRang, *, now: datetime) -> None:
        heard.append(event.times)

    install_reactions([listen])
    with transaction() as session:
        say_all(session, [BellRang(bell="noon", times=n) for n in range(50)], now=NOON)
    run_waiting(now=NOON)

    assert heard == list(range(50))


def test_the_reaction_acts_in_the_name_of_the_speaker(database: None) -> None:
    names: list[Origin] = []

    @on(BellRang)
    def listen(session: Session, event: BellRang, *, now: datetime) -> None:
        names.append(origin())

    install_reactions([listen])
    alice = Origin(actor="person:alice", address="203.0.113.7", client="curl/8")
    with spoken_by(alice):
        ring("noon")
    run_waiting(now=NOON)

    assert names == [alice]
    assert origin() == Origin()


def test_two_reactions_of_one_name_are_refused() -> None:
    def react(session: Session, event: BellRang, *, now: datetime) -> None: ...

    twice: list[Reaction] = [on(BellRang)(react), on(BellRang)(react)]
    with pytest.raises(ValueError, match="two reactions are called"):
        install_reactions(twice)


def test_the_outbox_forgets_what_was_heard_a_month_ago_and_keeps_dead_letters(
    database: None,
) -> None:
    answers: list[Exception | None] = [None, Refused("no such address")]

    @sends(BellRang)
    def send(event: BellRang, *, delivery: Delivery) -> None:
        answer = answers.pop(0)
        if answer:
            raise answer

    install_reactions([send])
    ring("heard")
    ring("dead")
    run_waiting(now=NOON)

    with transaction() as session:
        assert prune_outbox.function(session, now=NOON + 29 * DAY) == 0
        assert prune_outbox.function(session, now=NOON + 31 * DAY) == 1
        assert session.scalars(sa.select(OutboxEvent.subject)).all() == ["dead"]

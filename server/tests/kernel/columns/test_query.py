"""Questions: values cannot become SQL, answers are bounded, and reading never waits for writing."""

import threading
from datetime import UTC, datetime

import pytest
from mainstay_server.kernel import columns
from tests.waiting import eventually

from .worlds import VISITS, YESTERDAY, visit, visits

HOSTILE = "'; DROP TABLE visits; -- \\' {number:UInt64} \t\n ü"


def test_a_hostile_value_is_only_a_value(store: str) -> None:
    columns.append_blocking(VISITS, visit(1), rows=1)

    answer = columns.query(
        "SELECT {text:String} AS text, {texts:Array(String)} AS texts",
        text=HOSTILE,
        texts=[HOSTILE],
    )

    assert answer == [{"text": HOSTILE, "texts": [HOSTILE]}]
    assert columns.query_value("SELECT count() FROM visits") == 1


def test_times_go_in_and_come_out_as_aware_utc(store: str) -> None:
    second = datetime.fromisoformat(f"{YESTERDAY}T03:06:45+00:00")
    number = f'{{"time":{second.timestamp() + 0.789:.3f},"instance":"shop","number":3}}'
    columns.append_blocking(VISITS, visit(1, at=f"{YESTERDAY}T03:06:45.123Z"), rows=1)
    columns.append_blocking(VISITS, visit(2, at=f"{YESTERDAY}T05:06:45.456+02:00"), rows=1)
    columns.append_blocking(VISITS, number.encode(), rows=1)

    rows = columns.query(
        "SELECT time FROM visits WHERE time >= {since:DateTime64(3)} ORDER BY number", since=second
    )

    times = [row["time"] for row in rows]
    assert [at.utcoffset() for at in times] == [UTC.utcoffset(None)] * 3
    assert times[:2] == [second.replace(microsecond=123_000), second.replace(microsecond=456_000)]
    assert times[2] == second.replace(microsecond=789_000)
    assert (
        columns.query("SELECT 1 FROM visits WHERE time < {until:DateTime64(3)}", until=second) == []
    )


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE visits",
        "INSERT INTO visits (number) VALUES (1)",
        "ALTER TABLE visits DELETE WHERE 1",
        "SET readonly = 0",
    ],
)
def test_a_question_changes_nothing(store: str, sql: str) -> None:
    columns.append_blocking(VISITS, visit(1), rows=1)

    with pytest.raises(columns.EngineError):
        columns.query(sql)

    assert columns.query_value("SELECT count() FROM visits") == 1


def test_an_answer_that_is_too_large_asks_for_less(store: str) -> None:
    numbers = "SELECT number FROM numbers({count:UInt64})"
    with pytest.raises(columns.TooBroad, match="narrow the time range") as refusal:
        columns.query(numbers, count=columns.QUERY_ROWS + 1)

    assert refusal.value.status == 400
    assert len(columns.query(numbers, count=columns.QUERY_ROWS)) == 100_000


def test_a_question_that_failed_half_way_leaves_nothing_in_later_answers(store: str) -> None:
    for _ in range(10):
        with pytest.raises(columns.TooBroad):
            columns.query("SELECT number FROM numbers(300000)")

        assert columns.query("SELECT 1 AS one") == [{"one": 1}]


def test_an_answer_that_takes_too_long_asks_for_less(store: str) -> None:
    with pytest.raises(columns.TooBroad):
        columns.query(
            "SELECT sum(cityHash64(number)) FROM numbers(1000000000000)"
            " SETTINGS max_execution_time = 0.3"
        )


def test_wrong_sql_is_a_bug_and_not_a_refusal(store: str) -> None:
    with pytest.raises(columns.EngineError) as error:
        columns.query("SELECT nonsense FROM visits")

    assert error.value.code == 47


def test_one_row_and_one_value(store: str) -> None:
    columns.append_blocking(VISITS, visits(range(4)), rows=4)

    assert columns.query_row("SELECT min(number) AS low, max(number) AS high FROM visits") == {
        "low": 0,
        "high": 3,
    }
    assert columns.query_value("SELECT sum(number) FROM visits") == 6


def test_questions_are_answered_while_rows_go_in_and_while_others_ask(store: str) -> None:
    done = threading.Event()

    def ask_something_long() -> None:
        columns.query("SELECT sleepEachRow(0.5) FROM numbers(4) SETTINGS max_block_size = 1")

    def keep_appending() -> None:
        while not done.is_set():
            columns.append_blocking(VISITS, visits(range(1_000)), rows=1_000)

    def answers_meanwhile() -> int:
        asking = threading.Thread(target=ask_something_long)
        asking.start()
        answered = 0
        while asking.is_alive():
            columns.query_value("SELECT count() FROM visits")
            answered += 1
        return answered

    appending = threading.Thread(target=keep_appending)
    appending.start()
    try:
        # If one waited for the other, there would never be more than one or two.
        eventually(lambda: answers_meanwhile() >= 10)
    finally:
        done.set()
        appending.join()

    assert columns.stats().tables["visits"].rows >= 2_000

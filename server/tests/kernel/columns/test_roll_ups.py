"""A roll-up counts what its table stored: all of it, once, whatever was killed in between."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mainstay_server.kernel import columns
from mainstay_server.kernel.columns import Measure, RollUp, writers
from mainstay_server.kernel.columns.layouts import Layout
from mainstay_server.kernel.columns.writers import Waiting, Writer
from tests.servers.clickhouse import ClickHouseServer

from .worlds import (
    DAY_BEFORE,
    SUMMED_VISITS,
    VISITS,
    VISITS_BY_HOUR,
    YESTERDAY,
    visit,
    visits,
)

DAY = timedelta(days=1)


@pytest.fixture
def summed(url: str) -> str:
    """An empty open store with the table VISITS and its roll-up."""
    columns.open_columns(url, tables=[SUMMED_VISITS])
    return url


def append(*bodies: bytes) -> None:
    for body in bodies:
        columns.append_blocking(SUMMED_VISITS, body, rows=body.count(b"\n"))


def reopen(url: str, *, table: columns.Table = SUMMED_VISITS) -> None:
    columns.close_columns()
    columns.open_columns(url, tables=[table])


def command(sql: str) -> None:
    columns.store._opened().engine.command(sql)


def sums() -> list[tuple[int, str, int, int]]:
    """What the roll-up holds: hour of the day, path, how many, the sum of their numbers."""
    rows = columns.query(
        "SELECT toHour(bucket) AS hour, path, sum(total) AS total, sum(numbers) AS numbers"
        " FROM visits_by_hour GROUP BY bucket, path ORDER BY bucket, path"
    )
    return [(row["hour"], row["path"], row["total"], row["numbers"]) for row in rows]


def totals() -> tuple[int, int]:
    """How many rows the table has, and how many of them the roll-up counts."""
    return (
        columns.query_value("SELECT count() FROM visits"),
        columns.query_value("SELECT sum(total) FROM visits_by_hour"),
    )


def test_what_was_appended_is_in_the_roll_up_by_hour_and_keys(summed: str) -> None:
    append(
        visit(1) + visit(2, path="/b"),
        visit(3),
        visit(4, at=f"{YESTERDAY}T04:00:00Z"),
    )

    assert sums() == [(3, "/", 2, 4), (3, "/b", 1, 2), (4, "/", 1, 4)]


def test_a_state_answers_as_its_function_over_all_rows_does(summed: str) -> None:
    for first in range(0, 1_000, 100):
        append(visits(range(first, first + 100)))

    found = columns.query_value(
        "SELECT quantilesDDMerge(0.005, 0.5)(spread)[1] AS median FROM visits_by_hour"
    )

    assert found == columns.query_value("SELECT quantilesDD(0.005, 0.5)(number)[1] FROM visits")
    assert found == pytest.approx(500, rel=0.006)


def test_the_same_row_appended_twice_counts_twice(summed: str) -> None:
    append(visit(1), visit(1))

    assert sums() == [(3, "/", 2, 2)]


def test_opening_again_changes_nothing(summed: str) -> None:
    append(visit(1), visit(2))

    reopen(summed)
    append(visit(3))

    assert sums() == [(3, "/", 3, 6)]


def test_a_new_roll_up_is_filled_from_all_that_is_stored(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns.migrations, "ROWS_AT_ONCE", 100)
    columns.open_columns(url, tables=[VISITS])
    for hour in range(24):
        body = b"".join(visit(n, at=f"{DAY_BEFORE}T{hour:02}:06:45Z") for n in range(30))
        columns.append_blocking(VISITS, body, rows=30)
    columns.append_blocking(VISITS, visit(7), rows=1)

    reopen(url)
    append(visit(8))

    assert sums() == [
        *((hour, "/", 30, sum(range(30))) for hour in range(24)),
        (3, "/", 2, 15),
    ]


def test_a_table_that_is_partitioned_by_month_fills_its_roll_ups_too(url: str) -> None:
    monthly = replace(VISITS, retention_days=90)
    columns.open_columns(url, tables=[monthly])
    for at in (f"{DAY_BEFORE}T03:06:45Z", f"{YESTERDAY}T03:06:45Z"):
        columns.append_blocking(monthly, visit(1, at=at), rows=1)

    reopen(url, table=replace(monthly, roll_ups=SUMMED_VISITS.roll_ups))

    assert sums() == [(3, "/", 1, 1), (3, "/", 1, 1)]


def test_what_a_roll_up_lacks_is_summed_up_at_the_next_open_and_no_table_is_left(
    summed: str,
) -> None:
    append(visit(1), visit(2, at=f"{DAY_BEFORE}T03:06:45Z"))
    command(f"ALTER TABLE visits_by_hour DROP PARTITION {DAY_BEFORE.replace('-', '')}")
    command("CREATE TABLE visits_by_hour_filling_of_a_killed_process AS visits_by_hour")

    reopen(summed)

    assert sums() == [(3, "/", 1, 2), (3, "/", 1, 1)]
    tables = columns.query("SELECT name FROM system.tables WHERE database = currentDatabase()")
    names = {row["name"] for row in tables} - {"visits_by_hour_filling_of_a_killed_process"}
    assert names == {"visits", "visits_by_hour", "visits_by_hour_view"}
    if summed.startswith("chdb"):
        assert len(tables) == 3


def test_sums_outlive_the_rows_they_were_made_of(summed: str) -> None:
    old = (datetime.now(UTC) - 40 * DAY).isoformat()
    append(visit(1), visit(2, at=old))
    # What the engine does by itself in the background, but now.
    command("OPTIMIZE TABLE visits FINAL")

    reopen(summed)

    assert totals() == (1, 2)


def retention_of(table: str) -> str:
    definition: str = columns.query_value(
        "SELECT create_table_query FROM system.tables"
        " WHERE database = currentDatabase() AND name = {table:String}",
        table=table,
    )
    return definition.partition("toIntervalDay(")[2].partition(")")[0]


def test_a_roll_up_is_kept_as_long_as_is_set_and_never_shorter_than_its_table(url: str) -> None:
    days: list[str] = []
    for kept in ({}, {"visits_by_hour": 400}, {"visits": 100}):
        columns.open_columns(url, tables=[SUMMED_VISITS], retention_days=kept)
        days.append(retention_of("visits_by_hour"))
        columns.close_columns()

    assert days == ["90", "400", "100"]


def test_a_roll_up_that_was_declared_otherwise_is_refused(summed: str) -> None:
    other = replace(VISITS_BY_HOUR, keys=("instance",))
    columns.close_columns()

    with pytest.raises(ValueError, match="give what is declared now a new name"):
        columns.open_columns(summed, tables=[replace(VISITS, roll_ups=(other,))])


def of_hour(**changes: object) -> RollUp:
    return replace(VISITS_BY_HOUR, **changes)  # type: ignore[arg-type] # wrong on purpose, or not


@pytest.mark.parametrize(
    ("roll_up", "reason"),
    [
        (of_hour(name="visits"), "two tables share a name"),
        (of_hour(name="visits; DROP"), "not a lower_case_name"),
        (of_hour(keys=()), "must be columns of visits"),
        (of_hour(keys=("country",)), "must be columns of visits"),
        (of_hour(bucket_seconds=7), "divide a day evenly"),
        (of_hour(measures={"number": Measure(kind="UInt64", of="1")}), "names of their own"),
        (of_hour(measures={"total": Measure(kind="UInt64", of="1")}), "names of their own"),
    ],
)
def test_a_wrong_declaration_is_refused_before_anything_is_made(
    tmp_path: Path, roll_up: RollUp, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        columns.open_columns(
            f"chdb://{tmp_path}/columns", tables=[replace(VISITS, roll_ups=(roll_up,))]
        )

    assert list(tmp_path.iterdir()) == []


def test_a_table_with_roll_ups_gathers_longer_as_an_insert_costs_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns.open_columns(f"chdb://{tmp_path}/columns", tables=[SUMMED_VISITS])

    monkeypatch.setattr(writers, "GATHER_SECONDS", 0.3)
    began: list[float] = []
    insert = Writer._insert

    def insert_and_note(writer: Writer, batch: Sequence[Waiting]) -> None:
        began.append(time.monotonic())
        insert(writer, batch)

    monkeypatch.setattr(Writer, "_insert", insert_and_note)

    async def append_twice() -> None:
        # After several at once the writer gathers; it does not for a caller who is alone.
        await asyncio.gather(*(columns.append(SUMMED_VISITS, visit(n), rows=1) for n in range(9)))
        await columns.append(SUMMED_VISITS, visit(9), rows=1)

    asyncio.run(append_twice())
    assert began[-1] - began[-2] > 0.35


def test_parts_that_a_power_cut_broke_are_summed_up_anew(tmp_path: Path) -> None:
    url = f"chdb://{tmp_path}/columns"
    columns.open_columns(url, tables=[SUMMED_VISITS])
    append(visit(1), visit(2, at=f"{DAY_BEFORE}T03:06:45Z"))
    (folder,) = columns.query(
        "SELECT data_paths[1] FROM system.tables WHERE name = 'visits_by_hour'"
    )
    columns.close_columns()
    broken = [file for value in folder.values() for file in Path(value).glob("2*/*.bin")]
    assert broken
    for file in broken:
        file.write_bytes(b"")

    reopen(url)

    assert sums() == [(3, "/", 1, 2), (3, "/", 1, 1)]


def test_an_insert_whose_answer_was_lost_counts_once(clickhouse: ClickHouseServer) -> None:
    columns.open_columns(clickhouse.new_database(), tables=[SUMMED_VISITS])
    append(visit(1))

    clickhouse.lose_answers(1)
    append(visit(2))

    assert sums() == [(3, "/", 2, 3)]


def test_an_insert_that_is_asked_again_reaches_the_roll_ups_it_missed(
    clickhouse: ClickHouseServer,
) -> None:
    columns.open_columns(clickhouse.new_database(), tables=[SUMMED_VISITS])
    append(visit(1))
    token = "SETTINGS insert_deduplication_token = 'of one insert'"
    row = f"SELECT toDateTime64('{YESTERDAY} 03:06:45', 3, 'UTC'), 'shop', '/', 5"
    command("DETACH TABLE visits_by_hour_view")
    command(f"INSERT INTO visits {row} {token}")
    command("ATTACH TABLE visits_by_hour_view")
    assert totals() == (2, 1)

    for _ in range(2):
        command(f"INSERT INTO visits {row} {token}, {DEDUPLICATE_ALL}")

    assert totals() == (2, 2)


DEDUPLICATE_ALL = "deduplicate_blocks_in_dependent_materialized_views = 1"


def test_on_a_server_the_day_that_is_not_over_is_left_to_those_who_append(
    clickhouse: ClickHouseServer,
) -> None:
    url = clickhouse.new_database()
    columns.open_columns(url, tables=[SUMMED_VISITS])
    now = datetime.now(UTC)
    append(visit(1, at=now.isoformat()), visit(2, at=(now - DAY).isoformat()))
    for at in (now, now - DAY):
        command(f"ALTER TABLE visits_by_hour DROP PARTITION {at:%Y%m%d}")

    reopen(url)

    assert [numbers for _, _, _, numbers in sums()] == [2]


LATER = replace(VISITS_BY_HOUR, on_insert=False)
LATER_SUMMED = replace(VISITS, roll_ups=(LATER,))


def test_one_that_is_not_on_insert_has_the_intervals_that_are_over(url: str) -> None:
    columns.open_columns(url, tables=[LATER_SUMMED])
    times = [f"{DAY_BEFORE}T23:59:59.999Z", f"{YESTERDAY}T03:06:45Z", f"{YESTERDAY}T04:00:00Z"]
    for number, at in enumerate(times, 1):
        columns.append_blocking(LATER_SUMMED, visit(number, at=at), rows=1)
    assert sums() == []

    columns.sum_up(LATER_SUMMED, until=datetime.fromisoformat(f"{YESTERDAY}T04:59:00Z"))
    assert sums() == [(23, "/", 1, 1), (3, "/", 1, 2)]

    columns.append_blocking(LATER_SUMMED, visit(5, at=times[1]), rows=1)
    for _ in range(2):
        columns.sum_up(LATER_SUMMED, until=datetime.fromisoformat(f"{YESTERDAY}T05:00:00Z"))
    assert sums() == [(23, "/", 1, 1), (3, "/", 2, 7), (4, "/", 1, 3)]


def test_one_that_is_not_on_insert_leaves_the_insert_and_the_open_alone(tmp_path: Path) -> None:
    url = f"chdb://{tmp_path}/columns"
    columns.open_columns(url, tables=[LATER_SUMMED])
    columns.append_blocking(LATER_SUMMED, visit(1), rows=1)

    reopen(url, table=LATER_SUMMED)

    assert sums() == []
    assert not columns.query("SELECT name FROM system.tables WHERE name = 'visits_by_hour_view'")


def test_on_a_cluster_the_sums_are_made_where_the_rows_are() -> None:
    layout = Layout(cluster="eu")
    view = layout.create_view(VISITS_BY_HOUR, VISITS)

    assert view == (
        "CREATE MATERIALIZED VIEW IF NOT EXISTS `visits_by_hour_view` ON CLUSTER `eu`"
        " TO `visits_by_hour_local` AS SELECT `instance`, `path`,"
        " toDateTime(intDiv(toUnixTimestamp(`time`), 3600) * 3600, 'UTC') AS `bucket`,"
        " count() AS `total`, sum(number) AS `numbers`,"
        " quantilesDDState(0.005, 0.5)(number) AS `spread`"
        " FROM `visits_local` GROUP BY `instance`, `path`, `bucket`"
    )
    assert layout.create_filling(VISITS_BY_HOUR, VISITS, name="filling") == [
        "CREATE TABLE `filling_local` ON CLUSTER `eu` AS `visits_by_hour_local`",
        (
            "CREATE TABLE IF NOT EXISTS `filling` ON CLUSTER `eu` AS `filling_local`"
            " ENGINE = Distributed(`eu`, currentDatabase(), `filling_local`, cityHash64(instance))"
        ),
    ]
    assert layout.replace_day(VISITS_BY_HOUR, VISITS, day=20261121, name="filling") == (
        "ALTER TABLE `visits_by_hour_local` ON CLUSTER `eu`"
        " REPLACE PARTITION 20261121 FROM `filling_local`"
    )


@pytest.mark.parametrize(
    ("layout", "engine", "settings"),
    [
        (
            Layout(cluster="eu"),
            "ReplicatedAggregatingMergeTree",
            "ttl_only_drop_parts = 1, index_granularity = 128",
        ),
        (
            Layout(),
            "AggregatingMergeTree",
            (
                "ttl_only_drop_parts = 1, index_granularity = 128,"
                " non_replicated_deduplication_window = 1000"
            ),
        ),
        (
            Layout(durable=True),
            "AggregatingMergeTree",
            (
                "ttl_only_drop_parts = 1, index_granularity = 128,"
                " min_rows_to_fsync_after_merge = 1, old_parts_lifetime = 30,"
                " max_suspicious_broken_parts = 100000"
            ),
        ),
    ],
)
def test_sums_are_kept_in_an_aggregating_table_a_part_per_day(
    layout: Layout, engine: str, settings: str
) -> None:
    stored = columns.roll_ups.sums_table(VISITS_BY_HOUR, VISITS)

    created = layout.create(stored, retention_days=90, sums="what was declared")[0]

    assert created.endswith(
        f" ENGINE = {engine} PARTITION BY toYYYYMMDD(`bucket`) ORDER BY (instance, bucket, path)"
        f" TTL toDateTime(`bucket`) + toIntervalDay(90) SETTINGS {settings}"
        " COMMENT 'what was declared'"
    )

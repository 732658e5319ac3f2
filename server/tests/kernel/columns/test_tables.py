"""Declared tables are made, changed and emptied as declared, whoever comes first."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from mainstay_server.kernel import columns
from mainstay_server.kernel.columns.layouts import Layout
from tests.servers.clickhouse import ClickHouseServer
from tests.waiting import PATIENCE_SECONDS

from .worlds import VISITS, YESTERDAY, visit

SERVER_FOLDER = Path(__file__).parents[3]
OPENER = """
import sys
from mainstay_server.kernel import columns
from tests.kernel.columns.worlds import VISITS, YESTERDAY, visit
print("ready", flush=True)
sys.stdin.readline()
columns.open_columns(sys.argv[1], tables=[VISITS], retention_days={"visits": int(sys.argv[2])})
columns.append_blocking(VISITS, visit(int(sys.argv[2])), rows=1)
columns.close_columns()
"""


def definition() -> str:
    text: str = columns.query_value(
        "SELECT create_table_query FROM system.tables"
        " WHERE database = currentDatabase() AND name = 'visits'"
    )
    return text


def test_opening_again_changes_nothing_and_keeps_the_rows(store: str) -> None:
    columns.append_blocking(VISITS, visit(1), rows=1)
    before = definition()
    columns.close_columns()

    columns.open_columns(store, tables=[VISITS])

    assert definition() == before
    assert columns.query_value("SELECT count() FROM visits") == 1


def test_the_operators_retention_replaces_the_declared_one_and_may_change(store: str) -> None:
    assert "toIntervalDay(30)" in definition()
    columns.close_columns()

    columns.open_columns(store, tables=[VISITS], retention_days={"visits": 3})

    assert "toIntervalDay(3)" in definition()


def test_rows_are_deleted_after_the_retention(store: str) -> None:
    columns.append_blocking(VISITS, visit(1, at="2020-01-01T00:00:00Z"), rows=1)
    columns.append_blocking(VISITS, visit(2, at="2099-01-01T00:00:00Z"), rows=1)

    # What the engine does by itself in the background, but now.
    columns.store._opened().engine.command("OPTIMIZE TABLE visits FINAL")

    assert columns.query("SELECT number FROM visits") == [{"number": 2}]


def test_long_retention_is_partitioned_by_month_and_short_by_day(url: str) -> None:
    logs = replace(VISITS, name="logs", retention_days=90)
    columns.open_columns(url, tables=[VISITS, logs])

    rows = columns.query(
        "SELECT name, partition_key FROM system.tables"
        " WHERE database = currentDatabase() ORDER BY name"
    )

    assert [(row["name"], row["partition_key"]) for row in rows] == [
        ("logs", "toYYYYMM(time)"),
        ("visits", "toYYYYMMDD(time)"),
    ]


def test_a_column_that_is_declared_later_is_added(store: str) -> None:
    columns.append_blocking(VISITS, visit(1), rows=1)
    columns.close_columns()
    wider = replace(
        VISITS, columns={**VISITS.columns, "country": "LowCardinality(String) DEFAULT 'unknown'"}
    )

    columns.open_columns(store, tables=[wider])
    columns.append_blocking(
        wider,
        b'{"time":"%b","instance":"shop","number":2,"country":"DE"}' % YESTERDAY.encode(),
        rows=1,
    )

    rows = columns.query("SELECT number, country FROM visits ORDER BY number")
    assert rows == [{"number": 1, "country": "unknown"}, {"number": 2, "country": "DE"}]


def test_an_older_program_still_appends_to_a_table_that_has_grown(store: str) -> None:
    columns.close_columns()
    wider = replace(VISITS, columns={**VISITS.columns, "country": "String"})
    columns.open_columns(store, tables=[wider])
    columns.close_columns()

    columns.open_columns(store, tables=[VISITS])
    columns.append_blocking(VISITS, visit(1), rows=1)

    assert columns.query_value("SELECT country FROM visits") == ""


def test_two_processes_may_start_at_once(clickhouse: ClickHouseServer) -> None:
    url = clickhouse.new_database()
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, url, str(days)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(SERVER_FOLDER)},
        )
        for days in (5, 6)
    ]
    for opener in openers:
        assert opener.stdout is not None
        assert opener.stdout.readline() == b"ready\n"
    for opener in openers:
        assert opener.stdin is not None
        opener.stdin.write(b"\n")
        opener.stdin.flush()
    for opener in openers:
        opener.communicate(timeout=PATIENCE_SECONDS)

    assert [opener.returncode for opener in openers] == [0, 0]
    columns.open_columns(url, tables=[VISITS])
    assert columns.query_value("SELECT count() FROM visits") == 2


def test_a_folder_that_another_process_has_open_is_refused_with_the_reason(
    tmp_path: Path,
) -> None:
    url = f"chdb://{tmp_path}/columns"
    columns.open_columns(url, tables=[VISITS])

    second = subprocess.run(
        [sys.executable, "-c", OPENER, url, "5"],
        input=b"\n",
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(SERVER_FOLDER)},
        check=False,
    )

    assert second.returncode == 1
    assert b"It holds one process at a time" in second.stderr


@pytest.mark.parametrize(
    ("tables", "retention_days", "reason"),
    [
        ([VISITS, VISITS], {}, "two tables share a name"),
        ([VISITS], {"visitors": 3}, "nobody declared"),
        ([VISITS], {"visits": 0}, "one day at least"),
        ([replace(VISITS, name="visits; DROP")], {}, "not a lower_case_name"),
        ([replace(VISITS, time_column="at")], {}, "no column 'at'"),
    ],
)
def test_a_wrong_declaration_is_refused_before_anything_is_made(
    tmp_path: Path, tables: Sequence[columns.Table], retention_days: dict[str, int], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        columns.open_columns(
            f"chdb://{tmp_path}/columns", tables=tables, retention_days=retention_days
        )

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url", ["sqlite:///x", "chdb://relative/path", "clickhouse://host/db?replicas=2"]
)
def test_a_wrong_url_says_what_a_right_one_looks_like(url: str) -> None:
    with pytest.raises(ValueError, match=r"chdb:///folder|clickhouse://user:password@host"):
        columns.open_columns(url, tables=[VISITS])


def test_a_table_that_was_not_given_to_open_cannot_be_appended_to(store: str) -> None:
    with pytest.raises(LookupError, match="other"):
        columns.append_blocking(replace(VISITS, name="other"), visit(1), rows=1)


def test_deleted_rows_are_found_by_no_question(store: str) -> None:
    for number in range(4):
        columns.append_blocking(VISITS, visit(number), rows=1)

    columns.delete_rows(VISITS, "number IN {numbers:Array(UInt64)}", numbers=[1, 2])

    assert columns.query("SELECT number FROM visits ORDER BY number") == [
        {"number": 0},
        {"number": 3},
    ]


def test_on_a_cluster_rows_are_replicated_behind_one_name() -> None:
    layout = Layout(cluster="eu")

    assert layout.create(VISITS, retention_days=30) == [
        (
            "CREATE TABLE IF NOT EXISTS `visits_local` ON CLUSTER `eu`"
            " (`time` DateTime64(3, 'UTC'), `instance` LowCardinality(String), `path` String,"
            " `number` UInt64, CONSTRAINT time_is_real CHECK toYear(`time`) >= 2000 AND"
            " toYear(`time`) < 2100) ENGINE = ReplicatedMergeTree PARTITION BY toYYYYMMDD(`time`)"
            " ORDER BY (instance, time) TTL toDateTime(`time`) + toIntervalDay(30)"
            " SETTINGS ttl_only_drop_parts = 1"
        ),
        (
            "CREATE TABLE IF NOT EXISTS `visits` ON CLUSTER `eu` AS `visits_local`"
            " ENGINE = Distributed(`eu`, currentDatabase(), `visits_local`, cityHash64(instance))"
        ),
    ]
    assert layout.change(
        VISITS,
        existing=["time", "instance", "path"],
        definition="… TTL toDateTime(time) + toIntervalDay(30) …",
        retention_days=7,
    ) == [
        "ALTER TABLE `visits_local` ON CLUSTER `eu` ADD COLUMN IF NOT EXISTS `number` UInt64",
        "ALTER TABLE `visits` ON CLUSTER `eu` ADD COLUMN IF NOT EXISTS `number` UInt64",
        (
            "ALTER TABLE `visits_local` ON CLUSTER `eu` MODIFY TTL"
            " toDateTime(`time`) + toIntervalDay(7)"
        ),
    ]

"""Bring what is stored to what is declared: tables, their roll-ups, and what these lack."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import uuid4

import structlog

from .engines import Engine
from .roll_ups import declared, sums_of, sums_table, view_name
from .tables import BUCKET, DAY_NUMBER, TOTAL, RollUp, Table

ROWS_AT_ONCE = 4_000_000
"""How many rows are summed up by one statement: some seconds, and memory that is bounded."""

MEMORY_BYTES_BEFORE_DISK = 256 << 20

log = structlog.get_logger(__name__)


def migrate(engine: Engine, table: Table, *, retention_days: Mapping[str, int]) -> None:
    """Create the table and its roll-ups, or bring those that exist to what is declared.

    Raises ValueError when a roll-up is stored that was declared otherwise.
    """
    days = retention_days.get(table.name, table.retention_days)
    for statement in engine.layout.create(table, retention_days=days):
        engine.command(statement)
    _change(engine, table, retention_days=days)
    for roll_up in table.roll_ups:
        longest = max(days, retention_days.get(roll_up.name, roll_up.retention_days))
        _migrate_roll_up(engine, table, roll_up, retention_days=longest)


def _change(engine: Engine, table: Table, *, retention_days: int) -> None:
    names = engine.layout.names(table)
    existing = engine.rows(
        "SELECT name FROM system.columns WHERE database = currentDatabase()"
        " AND table IN {tables:Array(String)}"
        " GROUP BY name HAVING count() = length({tables:Array(String)})",
        {"tables": names},
    )
    (definition,) = engine.rows(
        "SELECT create_table_query AS text FROM system.tables WHERE database = currentDatabase()"
        " AND name = {table:String}",
        {"table": names[0]},
    )
    for statement in engine.layout.change(
        table,
        existing=[row["name"] for row in existing],
        definition=definition["text"],
        retention_days=retention_days,
    ):
        engine.command(statement)


def sum_up(engine: Engine, table: Table, *, until: datetime) -> None:
    """Bring those roll-ups that inserts do not fill to date, for intervals over before `until`."""
    for roll_up in table.roll_ups:
        if not roll_up.on_insert:
            seconds = roll_up.bucket_seconds
            over = int(until.timestamp()) // seconds * seconds
            _fill(engine, table, roll_up, until=f"toDateTime({over}, 'UTC')")


def _migrate_roll_up(engine: Engine, table: Table, roll_up: RollUp, *, retention_days: int) -> None:
    stored = sums_table(roll_up, table)
    comments = {
        row["name"]: row["comment"]
        for row in engine.rows(
            "SELECT name, comment FROM system.tables WHERE database = currentDatabase()"
            " AND name IN {names:Array(String)}",
            {"names": [*engine.layout.names(stored), view_name(roll_up)]},
        )
    }
    declaration = declared(roll_up, table)
    if comments.get(engine.layout.names(stored)[0], declaration) != declaration:
        raise ValueError(
            f"the roll-up {roll_up.name} is stored as it was declared before, and never changes;"
            " give what is declared now a new name"
        )
    for statement in engine.layout.create(stored, retention_days=retention_days, sums=declaration):
        engine.command(statement)
    _change(engine, stored, retention_days=retention_days)
    if roll_up.on_insert:
        engine.command(engine.layout.create_view(roll_up, table))
        everything = engine.layout.alone or view_name(roll_up) not in comments
        _fill(engine, table, roll_up, until="" if everything else "toStartOfDay(now('UTC'))")


def _fill(engine: Engine, table: Table, roll_up: RollUp, *, until: str) -> None:
    """Sum up every day of which the roll-up counts fewer rows than the table has, up to `until`.

    An insert reaches the table first and then its roll-ups, so a crash in between can only leave
    too few in a roll-up. It has more when the table's rows have expired, which is as it should be.

    A day is summed up beside the roll-up and then put in the place of what was there at once, so
    that it may be killed at any moment, and two processes may do it at the same time. `until` is
    what the engine calls the time from which on others may be appending.
    """
    # On a server another process may be filling one at this moment.
    age_days = 0 if engine.layout.alone else 1
    _drop_fillings(engine, f"{roll_up.name}_filling_", age_days=age_days)
    before = f"`{table.time_column}` < {until}" if until else ""
    lacking = _days_lacking(engine, table, roll_up, before=before)
    if not lacking:
        return
    log.info("roll_up_lacks_rows", roll_up=roll_up.name, days=len(lacking))
    name = f"{roll_up.name}_filling_{uuid4().hex}"
    try:
        for statement in engine.layout.create_filling(roll_up, table, name=name):
            engine.command(statement)
        for day, total in lacking.items():
            for statement, edges in _summing(roll_up, table, day=day, total=total, before=before):
                engine.command(f"INSERT INTO `{name}` {statement}", edges)
            engine.command(engine.layout.replace_day(roll_up, table, day=day, name=name))
    finally:
        _drop_fillings(engine, name, age_days=0)
    log.info("roll_up_is_whole", roll_up=roll_up.name, rows=sum(lacking.values()))


def _drop_fillings(engine: Engine, beginning: str, *, age_days: int) -> None:
    """Drop the tables beside a roll-up, also those that a killed process left."""
    left = engine.rows(
        "SELECT name FROM system.tables WHERE database = currentDatabase()"
        " AND startsWith(name, {beginning:String})"
        " AND metadata_modification_time <= now() - toIntervalDay({days:UInt8})",
        {"beginning": beginning, "days": age_days},
    )
    for row in left:
        engine.command(engine.layout.drop(row["name"]))


def _days_lacking(engine: Engine, table: Table, roll_up: RollUp, *, before: str) -> dict[int, int]:
    """Return the days that the roll-up lacks rows of, with how many rows the table has of each.

    Whole partitions first, as the engine knows by heart how many rows they have. The table is
    always counted first: what others append in between can only make a roll-up count more.
    """
    number = f"{table.partition}(`{table.time_column}`)"
    there = _counted(engine, "count()", of=table.name, by=number)
    summed = _counted(
        engine, f"sum(`{TOTAL}`)", of=roll_up.name, by=f"{table.partition}(`{BUCKET}`)"
    )
    day = f"{DAY_NUMBER}(`{table.time_column}`)"
    conditions = f" AND {before}" if before else ""
    there = {
        each: total
        for partition in _fewer(summed, there)
        for each, total in _counted(
            engine, "count()", of=table.name, by=day, where=f"{number} = {partition}{conditions}"
        ).items()
    }
    summed = _counted(engine, f"sum(`{TOTAL}`)", of=roll_up.name, by=f"{DAY_NUMBER}(`{BUCKET}`)")
    return _fewer(summed, there)


def _fewer(summed: Mapping[int, int], there: Mapping[int, int]) -> dict[int, int]:
    """Return what is there where fewer are summed, the newest first."""
    return {
        number: total
        for number, total in sorted(there.items(), reverse=True)
        if total > summed.get(number, 0)
    }


def _counted(engine: Engine, figure: str, *, of: str, by: str, where: str = "") -> dict[int, int]:
    condition = f" WHERE {where}" if where else ""
    rows = engine.rows(
        f"SELECT {by} AS number, {figure} AS figure FROM `{of}`{condition} GROUP BY number",  # noqa: S608 - what an area declares
        {},
    )
    return {row["number"]: row["figure"] for row in rows}


def _summing(
    roll_up: RollUp, table: Table, *, day: int, total: int, before: str
) -> Iterator[tuple[str, dict[str, datetime]]]:
    """Return what to insert for one day: of a large one several pieces, with their edges."""
    begin = datetime.strptime(str(day), "%Y%m%d").replace(tzinfo=UTC)
    pieces = 1 + total // ROWS_AT_ONCE
    edges = [begin + timedelta(days=1) * piece / pieces for piece in range(pieces + 1)]
    time = f"`{table.time_column}`"
    conditions = [
        f"{time} >= {{since:DateTime64(3, 'UTC')}}",
        f"{time} < {{until:DateTime64(3, 'UTC')}}",
        *([before] if before else []),
    ]
    select = sums_of(roll_up, table, source=table.name, where=" AND ".join(conditions))
    columns = ", ".join(f"`{name}`" for name in sums_table(roll_up, table).columns)
    # Two pieces of a day may have the same sums, which is no reason to drop one of them.
    settings = (
        f"insert_deduplicate = 0, max_bytes_before_external_group_by = {MEMORY_BYTES_BEFORE_DISK}"
    )
    for since, until in pairwise(edges):
        yield f"({columns}) {select} SETTINGS {settings}", {"since": since, "until": until}

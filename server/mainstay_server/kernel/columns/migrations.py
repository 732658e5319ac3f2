"""Bring what is stored to what is declared: tables, their roll-ups, and what these lack."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import uuid4

import structlog

from .engines import Engine
from .roll_ups import declared, sums_of, sums_table, view_name
from .tables import BUCKET, TOTAL, RollUp, Table

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


def _migrate_roll_up(engine: Engine, table: Table, roll_up: RollUp, *, retention_days: int) -> None:
    stored = sums_table(roll_up, table)
    views = engine.rows(
        "SELECT comment FROM system.tables WHERE database = currentDatabase()"
        " AND name = {view:String}",
        {"view": view_name(roll_up)},
    )
    if any(view["comment"] != declared(roll_up, table) for view in views):
        raise ValueError(
            f"the roll-up {roll_up.name} is stored as it was declared before, and never changes;"
            " give what is declared now a new name"
        )
    for statement in engine.layout.create(stored, retention_days=retention_days, sums=True):
        engine.command(statement)
    _change(engine, stored, retention_days=retention_days)
    engine.command(engine.layout.create_view(roll_up, table))
    _fill(engine, table, roll_up, today=engine.layout.alone or not views)


def _fill(engine: Engine, table: Table, roll_up: RollUp, *, today: bool) -> None:
    """Sum up every day of which the roll-up counts fewer rows than the table has.

    An insert reaches the table first and then its roll-ups, so a crash in between can only leave
    too few in a roll-up. It has more when the table's rows have expired, which is as it should be.

    A day is summed up beside the roll-up and then put in the place of what was there at once, so
    that it may be killed at any moment, and two processes may do it at the same time. `today` tells
    whether the day that is not over is compared too: others may be appending to it.
    """
    # On a server another process may be filling one at this moment.
    age_days = 0 if engine.layout.alone else 1
    _drop_fillings(engine, f"{roll_up.name}_filling_", age_days=age_days)
    lacking = _days_lacking(engine, table, roll_up, today=today)
    if not lacking:
        return
    log.info("roll_up_lacks_rows", roll_up=roll_up.name, days=len(lacking))
    name = f"{roll_up.name}_filling_{uuid4().hex}"
    try:
        for statement in engine.layout.create_filling(roll_up, table, name=name):
            engine.command(statement)
        for day, total in lacking.items():
            _sum_up(engine, table, roll_up, day=day, total=total, into=name)
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


def _days_lacking(engine: Engine, table: Table, roll_up: RollUp, *, today: bool) -> dict[int, int]:
    """Return the days that the roll-up lacks rows of, with how many rows the table has of each.

    The table is counted first: what others append in between can only make a roll-up count more.
    """
    time = table.time_column
    until = "" if today else f" WHERE `{time}` < toStartOfDay(now('UTC'))"
    there = _by_day(engine, "count()", of=f"`{table.name}`{until}", time=time)
    summed = _by_day(engine, f"sum(`{TOTAL}`)", of=f"`{roll_up.name}`", time=BUCKET)
    return {day: total for day, total in there.items() if total > summed.get(day, 0)}


def _by_day(engine: Engine, figure: str, *, of: str, time: str) -> dict[int, int]:
    rows = engine.rows(
        f"SELECT toYYYYMMDD(`{time}`) AS day, {figure} AS figure FROM {of}"  # noqa: S608 - what an area declares
        " GROUP BY day ORDER BY day DESC",
        {},
    )
    return {row["day"]: row["figure"] for row in rows}


def _sum_up(
    engine: Engine, table: Table, roll_up: RollUp, *, day: int, total: int, into: str
) -> None:
    """Insert the sums of one day, of a large one in several pieces."""
    begin = datetime.strptime(str(day), "%Y%m%d").replace(tzinfo=UTC)
    pieces = 1 + total // ROWS_AT_ONCE
    edges = [begin + timedelta(days=1) * piece / pieces for piece in range(pieces + 1)]
    select = sums_of(
        roll_up,
        table,
        source=table.name,
        where=f"`{table.time_column}` >= {{since:DateTime64(3, 'UTC')}}"
        f" AND `{table.time_column}` < {{until:DateTime64(3, 'UTC')}}",
    )
    columns = ", ".join(f"`{name}`" for name in sums_table(roll_up, table).columns)
    for since, until in pairwise(edges):
        engine.command(
            # Two pieces of a day may have the same sums, which is no reason to drop one of them.
            f"INSERT INTO `{into}` ({columns}) {select} SETTINGS insert_deduplicate = 0,"
            f" max_bytes_before_external_group_by = {MEMORY_BYTES_BEFORE_DISK}",
            {"since": since, "until": until},
        )

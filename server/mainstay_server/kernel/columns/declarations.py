"""Refuse what is declared wrongly before anything is made of it."""

import re
from collections.abc import Mapping, Sequence

from .roll_ups import sums_table
from .tables import BUCKET, TOTAL, RollUp, Table

DAY_SECONDS = 86_400
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def check_declared(tables: Sequence[Table], retention_days: Mapping[str, int]) -> None:
    """Refuse declarations that could not be stored, before any of them is; raises ValueError."""
    stored = [
        each
        for table in tables
        for each in (table, *(sums_table(roll_up, table) for roll_up in table.roll_ups))
    ]
    names = [table.name for table in stored]
    if len(set(names)) != len(names):
        raise ValueError(f"two tables share a name: {sorted(names)}")
    unknown = sorted(set(retention_days) - set(names))
    if unknown:
        raise ValueError(f"retention is set for tables that nobody declared: {unknown}")
    for table in stored:
        _check_table(table, retention_days.get(table.name, table.retention_days))
    for table in tables:
        for roll_up in table.roll_ups:
            _check_roll_up(roll_up, table)


def _check_table(table: Table, retention_days: int) -> None:
    for name in (table.name, *table.columns):
        if not _NAME.fullmatch(name):
            raise ValueError(f"{table.name}: {name!r} is not a lower_case_name")
    if table.time_column not in table.columns:
        raise ValueError(f"{table.name}: there is no column {table.time_column!r}")
    if retention_days < 1:
        raise ValueError(f"{table.name}: rows must be kept for one day at least")


def _check_roll_up(roll_up: RollUp, table: Table) -> None:
    if not roll_up.keys or not set(roll_up.keys) <= set(table.columns):
        raise ValueError(f"{roll_up.name}: its keys must be columns of {table.name}, at least one")
    own = {BUCKET, TOTAL}
    if own & set(roll_up.measures) or (own | set(roll_up.measures)) & set(table.columns):
        raise ValueError(
            f"{roll_up.name}: its measures, {BUCKET} and {TOTAL} need names of their own, which no"
            f" column of {table.name} has"
        )
    if roll_up.bucket_seconds < 1 or DAY_SECONDS % roll_up.bucket_seconds:
        raise ValueError(f"{roll_up.name}: its buckets must divide a day evenly")

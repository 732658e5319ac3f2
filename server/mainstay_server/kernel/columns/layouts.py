"""The SQL that differs between one engine and a cluster: creating, changing and deleting."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .roll_ups import sums_of, sums_table, view_name
from .tables import DAY_NUMBER, Encoding, RollUp, Table

_RETENTION = re.compile(r"\bTTL\b.*?toIntervalDay\((\d+)\)", re.DOTALL)

FIRST_YEAR = 2000
ROWS_PER_MARK = 128
LAST_YEAR = 2100


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where a table lives.

    Embedded (`durable`): MergeTree in this process, where an insert returns after fsync, as nobody
    else holds a copy. One server: MergeTree that remembers the tokens of its last inserts, so an
    insert can be repeated after a broken connection. A cluster: the rows are in `<name>_local`, a
    ReplicatedMergeTree on every node, behind a Distributed table `<name>`.

    A roll-up is one more such table, of the Aggregating kind and in a part per day; when it is on
    insert, a view `<name>_view` fills it from what each insert brings. Embedded it is not synced
    with every insert: what a power cut takes from it is summed up anew from the table.

    The cluster's SQL is tested as text only: it was not run against a real cluster.
    """

    durable: bool = False
    cluster: str = ""

    @property
    def alone(self) -> bool:
        """Whether nobody but this process can append."""
        return self.durable

    def create(self, table: Table, *, retention_days: int, sums: str = "") -> list[str]:
        """Return the statements that make the table where there is none.

        `sums` makes it the table of a roll-up, and is kept as its comment: what was declared, by
        which a later declaration is compared.
        """
        columns = [f"`{name}` {kind}" for name, kind in table.columns.items()]
        columns.append(
            f"CONSTRAINT time_is_real CHECK toYear(`{table.time_column}`) >= {FIRST_YEAR}"
            f" AND toYear(`{table.time_column}`) < {LAST_YEAR}"
        )
        partition = DAY_NUMBER if sums else table.partition
        engine = f"{'Replicated' if self.cluster else ''}{'Aggregating' if sums else ''}MergeTree"
        settings = ", ".join(
            f"{name} = {value}"
            for name, value in self._settings(daily=partition == DAY_NUMBER, sums=bool(sums))
        )
        comment = f" COMMENT {quoted(sums)}" if sums else ""
        stored = (
            f"CREATE TABLE IF NOT EXISTS `{self.names(table)[0]}`{self._on_cluster}"
            f" ({', '.join(columns)}) ENGINE = {engine}"
            f" PARTITION BY {partition}(`{table.time_column}`)"
            f" ORDER BY ({', '.join(table.order_by)})"
            f" TTL {_expiry(table, retention_days)} SETTINGS {settings}{comment}"
        )
        return [stored, *self._create_distributed(table)]

    def create_view(self, roll_up: RollUp, table: Table) -> str:
        """Return the statement that makes inserts bring their sums, where they do not yet."""
        (source, *_), (target, *_) = self.names(table), self.names(sums_table(roll_up, table))
        return (
            f"CREATE MATERIALIZED VIEW IF NOT EXISTS `{view_name(roll_up)}`{self._on_cluster}"
            f" TO `{target}` AS {sums_of(roll_up, table, source=source)}"
        )

    def create_filling(self, roll_up: RollUp, table: Table, *, name: str) -> list[str]:
        """Return the statements that make an empty table, like that of the roll-up, to be dropped.

        `name` is what to insert into.
        """
        stored = sums_table(roll_up, table)
        filling = replace(stored, name=name)
        return [
            (
                f"CREATE TABLE `{self.names(filling)[0]}`{self._on_cluster}"
                f" AS `{self.names(stored)[0]}`"
            ),
            *self._create_distributed(filling),
        ]

    def replace_day(self, roll_up: RollUp, table: Table, *, day: int, name: str) -> str:
        """Return the statement that puts a day (20261121) of a filled table in place of the old."""
        stored = sums_table(roll_up, table)
        return (
            f"ALTER TABLE `{self.names(stored)[0]}`{self._on_cluster}"
            f" REPLACE PARTITION {day} FROM `{self.names(replace(stored, name=name))[0]}`"
        )

    def drop(self, name: str) -> str:
        """Return the statement that drops one table by the name that the engine gives it."""
        return f"DROP TABLE IF EXISTS `{name}`{self._on_cluster} SYNC"

    def change(
        self, table: Table, *, existing: Sequence[str], definition: str, retention_days: int
    ) -> list[str]:
        """Return the statements that bring a stored table to what is declared; often none.

        `existing` are the columns that all its `names` have and `definition` is the CREATE
        statement of the first, both as the engine tells them. Every statement
        may be run twice, and by two processes at once.
        """
        statements = []
        for name, kind in table.columns.items():
            if name not in existing:
                statements += [
                    f"ALTER TABLE `{stored}`{self._on_cluster}"
                    f" ADD COLUMN IF NOT EXISTS `{name}` {kind}"
                    for stored in self.names(table)
                ]
        kept = _RETENTION.search(definition)
        if kept is None or int(kept.group(1)) != retention_days:
            statements.append(
                f"ALTER TABLE `{self.names(table)[0]}`{self._on_cluster}"
                f" MODIFY TTL {_expiry(table, retention_days)}"
            )
        return statements

    def delete(self, table: Table, *, where: str) -> str:
        """Return the statement that deletes rows by a condition and waits until it is done."""
        return (
            f"ALTER TABLE `{self.names(table)[0]}`{self._on_cluster} DELETE WHERE {where}"
            " SETTINGS mutations_sync = 2"
        )

    def names(self, table: Table) -> list[str]:
        """Return what the engine calls the table: first the one that holds the rows on a node."""
        return [f"{table.name}_local", table.name] if self.cluster else [table.name]

    @property
    def _on_cluster(self) -> str:
        return f" ON CLUSTER `{self.cluster}`" if self.cluster else ""

    def _create_distributed(self, table: Table) -> list[str]:
        if not self.cluster:
            return []
        distributed = (
            f"CREATE TABLE IF NOT EXISTS `{table.name}`{self._on_cluster}"
            f" AS `{self.names(table)[0]}` ENGINE = Distributed(`{self.cluster}`,"
            f" currentDatabase(), `{self.names(table)[0]}`, cityHash64({table.order_by[0]}))"
        )
        return [distributed]

    def _settings(self, *, daily: bool, sums: bool) -> list[tuple[str, int]]:
        settings = [("ttl_only_drop_parts", 1)] if daily else [("merge_with_ttl_timeout", 86_400)]
        if sums:
            # A question reads the states of some keys; of others only those in the same few rows.
            settings.append(("index_granularity", ROWS_PER_MARK))
        if self.durable:
            # Merged parts are synced too, so that their many small sources (one per insert) may be
            # removed after half a minute instead of eight, which would be thousands of folders.
            settings += [("min_rows_to_fsync_after_merge", 1), ("old_parts_lifetime", 30)]
            if sums:
                # A power cut may leave any number of parts broken that were not synced. They are
                # set aside, instead of keeping the table shut, and summed up anew.
                settings.append(("max_suspicious_broken_parts", 100_000))
            else:
                settings += [("fsync_after_insert", 1), ("fsync_part_directory", 1)]
        elif not self.cluster:
            settings.append(("non_replicated_deduplication_window", 1_000))
        return settings


def insert_into(table: Table, encoding: Encoding, *, source: str) -> str:
    """Return `INSERT INTO table … SELECT …` of an encoding that transforms what arrives."""
    into = ", ".join(f"`{name}`" for name in encoding.into)
    return f"INSERT INTO `{table.name}` ({into}) {encoding.select.replace('{source}', source)}"


def quoted(text: str) -> str:
    """Return the text as a ClickHouse string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _expiry(table: Table, retention_days: int) -> str:
    return f"toDateTime(`{table.time_column}`) + toIntervalDay({retention_days})"

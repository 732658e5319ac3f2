"""The SQL of roll-ups that is the same everywhere: what is stored of them, and how it is summed."""

import re

from .tables import BUCKET, TOTAL, TOTAL_TYPE, Measure, RollUp, Table

_BEHIND_THE_TYPE = re.compile(r"\s+(?:CODEC|DEFAULT|MATERIALIZED)\b.*", re.DOTALL)


def sums_table(roll_up: RollUp, table: Table) -> Table:
    """Return the table that holds the rows of a roll-up."""
    keys = {
        key: _BEHIND_THE_TYPE.sub("", table.columns[key])
        for key in roll_up.keys
        if key in table.columns
    }
    measures = {name: measure.kind for name, measure in roll_up.measures.items()}
    return Table(
        name=roll_up.name,
        columns={**keys, BUCKET: "DateTime('UTC')", TOTAL: TOTAL_TYPE, **measures},
        order_by=(*roll_up.keys[:1], BUCKET, *roll_up.keys[1:]),
        time_column=BUCKET,
        retention_days=roll_up.retention_days,
    )


def view_name(roll_up: RollUp) -> str:
    """Return what the engine calls the view that fills a roll-up."""
    return f"{roll_up.name}_view"


def sums_of(roll_up: RollUp, table: Table, *, source: str, where: str = "") -> str:
    """Return the SELECT that makes rows of a roll-up from rows of the table, or some of them."""
    keys = ", ".join(f"`{key}`" for key in roll_up.keys)
    seconds = roll_up.bucket_seconds
    bucket = f"intDiv(toUnixTimestamp(`{table.time_column}`), {seconds}) * {seconds}"
    measures = {TOTAL: Measure(kind=TOTAL_TYPE, of="count()"), **roll_up.measures}
    figures = ", ".join(f"{measure.of} AS `{name}`" for name, measure in measures.items())
    condition = f" WHERE {where}" if where else ""
    return (
        f"SELECT {keys}, toDateTime({bucket}, 'UTC') AS `{BUCKET}`, {figures}"  # noqa: S608 - what an area declares
        f" FROM `{source}`{condition} GROUP BY {keys}, `{BUCKET}`"
    )


def declared(roll_up: RollUp, table: Table) -> str:
    """Return all that may not change of a roll-up once it is stored, as one text."""
    kinds = ", ".join(f"{name} {kind}" for name, kind in sums_table(roll_up, table).columns.items())
    return f"({kinds}) {sums_of(roll_up, table, source=table.name)}"

"""The column table of error events, and the questions that the area asks it."""

from mainstay_server.kernel.columns import Table

RETENTION_DAYS = 90

ERROR_EVENTS = Table(
    name="error_events",
    columns={
        "project_id": "LowCardinality(String)",
        "instance_id": "LowCardinality(String)",
        "issue_id": "String",
        "event_id": "String",
        "intake": "LowCardinality(String)",
        "batch": "UInt64 CODEC(ZSTD(1))",
        "received_at": "DateTime64(3, 'UTC') CODEC(ZSTD(1))",
        "grouping_hash": "String",
        "title": "String CODEC(ZSTD(1))",
        "culprit": "LowCardinality(String)",
        "level": "LowCardinality(String)",
        "release": "LowCardinality(String)",
        "trace_id": "String",
        "user_key": "String CODEC(ZSTD(1))",
        "tags": "Map(LowCardinality(String), String) CODEC(ZSTD(1))",
        "payload": "String CODEC(ZSTD(1))",
    },
    order_by=("project_id", "issue_id", "received_at"),
    time_column="received_at",
    retention_days=RETENTION_DAYS,
)
"""`received_at` is when the server got it: a wrong clock of a client moves no event out of sight.

`tags` are the app's own and what is told of the event beside them (environment, transaction,
server_name, user.id, user.email, user.ip …), `user_key` tells users apart (id, else address, else
name, else IP), and `payload` is the event as it was sent. `intake` and `batch` say which batch
stored the row, see `IntakeName`. Every column costs each insert and merge: 26 of them took a third
more processor time than these.
"""

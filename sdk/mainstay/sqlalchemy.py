"""Care for the app's own database: batches, pages, archives, statistics, timing, findings."""

from mainstay._internal.databases.archive import (
    ArchiveConflict,
    Archived,
    archive,
    archive_table,
)
from mainstay._internal.databases.batches import Batched, insert_in_batches, update_in_batches
from mainstay._internal.databases.cursors import BadCursor
from mainstay._internal.databases.offenders import BadRow, RowRefused
from mainstay._internal.databases.pages import Page, page
from mainstay._internal.databases.pools import PoolStatistics
from mainstay._internal.databases.readiness import Finding, check_database
from mainstay._internal.databases.statistics import (
    IndexStatistics,
    TableStatistics,
    table_statistics,
)
from mainstay._internal.databases.timing import (
    QueryStatistics,
    QueryTiming,
    RepeatedQuery,
    SlowQuery,
)

__all__ = [
    "ArchiveConflict",
    "Archived",
    "BadCursor",
    "BadRow",
    "Batched",
    "Finding",
    "IndexStatistics",
    "Page",
    "PoolStatistics",
    "QueryStatistics",
    "QueryTiming",
    "RepeatedQuery",
    "RowRefused",
    "SlowQuery",
    "TableStatistics",
    "archive",
    "archive_table",
    "check_database",
    "insert_in_batches",
    "page",
    "table_statistics",
    "update_in_batches",
]

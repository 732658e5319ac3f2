"""Whoever backs the columns up reads one moment of them, while rows go on arriving."""

import pytest
from mainstay_server.kernel import columns
from mainstay_server.kernel.columns import JSON_LINES, Table, held_files, tables_in
from tests.column_stores import empty_columns

ODD = Table(
    name="odd_ones",
    columns={"at": "DateTime64(3, 'UTC')", "n": "UInt32"},
    order_by=("at",),
    time_column="at",
    retention_days=3650,
)
LINE = b'{"at": "2026-06-01T12:00:00.000Z", "n": 1}\n'


@pytest.mark.slow
def test_what_is_held_is_what_was_there_and_nothing_is_left_of_it() -> None:
    with empty_columns(ODD):
        columns.append_blocking(ODD, LINE, rows=1, encoding=JSON_LINES)
        with held_files("held1") as held:
            assert held is not None
            before = {name: path.stat().st_ino for name, path in held if path.is_file()}
            columns.append_blocking(ODD, LINE * 5, rows=5, encoding=JSON_LINES)
            after = {name: path.stat().st_ino for name, path in held if path.is_file()}
            (table,) = [key for key, name in tables_in(held.folder).items() if name == "odd_ones"]
            parts = {name.split("/")[3] for name in before if table in name and name.count("/") > 3}
            assert len(parts) == 1
            assert after == before
            frozen = held.frozen
        assert not frozen.exists()
        assert columns.query_value("SELECT count() FROM odd_ones") == 6

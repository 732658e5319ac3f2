"""The column store of a test: empty, and the one of the test before where nobody can tell."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mainstay_server.kernel import columns
from mainstay_server.kernel.columns import Table
from mainstay_server.kernel.columns.store import Store, _Open
from mainstay_server.kernel.columns.writers import Counts


class _Kept:
    """A store between two tests: its engine runs, and nobody finds it open."""

    store: Store | None = None
    folder: Path | None = None


@contextmanager
def empty_columns(*tables: Table) -> Iterator[None]:
    """Open an empty store with these tables in this process.

    Opening one takes 30 ms and 20 more for each table, emptying one a single millisecond. So it is
    kept for the next test with the same tables, unless the test closed it.
    """
    store, _Kept.store = _Kept.store, None
    if store is not None and [id(table) for table in store.tables.values()] == list(
        map(id, tables)
    ):
        _Open.store = store
    else:
        _close(store)
        _Kept.folder = Path(tempfile.mkdtemp(prefix="mainstay-columns-"))
        columns.open_columns(f"chdb://{_Kept.folder / 'columns'}", tables=tables)
        store = _Open.store
    assert store is not None
    try:
        yield
    finally:
        if _Open.store is store and store.room.waiting_bytes == 0:
            _empty(store)
            _Open.store, _Kept.store = None, store
        columns.close_columns()


def let_go_of_columns() -> None:
    """Close what is kept, for a test that opens a folder itself: the engine has one at a time."""
    store, _Kept.store = _Kept.store, None
    _close(store)


def _close(store: Store | None) -> None:
    """Close it, and remove what it kept; the folder of one that a test closed goes too."""
    if store is not None:
        store.close()
    if _Kept.folder is not None:
        shutil.rmtree(_Kept.folder, ignore_errors=True)
    _Kept.folder = None


def _empty(store: Store) -> None:
    store.engine.command("TRUNCATE ALL TABLES FROM default")
    for counts in store.counts.values():
        vars(counts).update(vars(Counts()))

"""Looking into snapshots: a page of entries, and one of them by its path."""

from collections.abc import Sequence

from mainstay_server.areas.sync.schemas.entries import Entry
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.pagination import Page, decode_cursor, page_of
from mainstay_server.kernel.problems import NotFound
from mainstay_server.tenancy.subjects import ProjectRef

from .folders import get_folder
from .snapshots import entries_of, get_snapshot


def entries_at(project: ProjectRef, folder: str, number: int) -> list[Entry]:
    """All entries of a snapshot by path, read while no transaction is open. Raises `NotFound`."""
    with reading() as session:
        snapshot = get_snapshot(session, get_folder(session, project, folder), number)
    return entries_of(project.id, snapshot.id)


def list_entries(
    entries: Sequence[Entry], *, text: str = "", below: str = "", limit: int, cursor: str = ""
) -> Page[Entry]:
    """A page of a snapshot's entries by path: those below a folder, those with a text in it."""
    after = decode_cursor(cursor, parts=1)
    last = str(after[0]) if after else ""
    wanted, folder = text.casefold(), f"{below.strip('/')}/" if below.strip("/") else ""
    found: list[Entry] = []
    for entry in entries:
        if entry.path <= last or not entry.path.startswith(folder):
            continue
        if wanted in entry.path.casefold():
            found.append(entry)
            if len(found) > limit:
                break
    return page_of(found, limit=limit, key=lambda entry: (entry.path,))


def get_entry(entries: Sequence[Entry], path: str) -> Entry:
    """The entry of a path. Raises `NotFound`."""
    found = next((entry for entry in entries if entry.path == path), None)
    if found is None:
        raise NotFound(f"The snapshot has no {path[:200]!r}; list its files.")
    return found

"""Bringing an entry of an older snapshot back, as a snapshot of its own."""

from datetime import datetime

from mainstay_server.areas.sync.models import SyncSnapshot
from mainstay_server.areas.sync.schemas.entries import Entry, Push, Tree, digest_of, in_order
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import Conflict
from mainstay_server.tenancy.subjects import ProjectRef

from .files import entries_at, get_entry
from .folders import get_folder
from .snapshots import draft_of, forgotten_if_refused, record_snapshot, tree_at_head

MACHINE = "Mainstay"


def bring_back(
    project: ProjectRef,
    name: str,
    number: int,
    path: str,
    *,
    made_by: str,
    now: datetime,
) -> SyncSnapshot:
    """Make a new snapshot in which one entry is as it was in an older one.

    It opens transactions of its own: trees are read and stored while nobody waits to write.

    Raises:
        NotFound: there is no such folder, snapshot or entry.
        Conflict: the newest snapshot has it like that, or another one was pushed meanwhile.
        Invalid: something else lies in its place, such as a file where its folder was.
    """
    old = get_entry(entries_at(project, name, number), path)
    with reading() as session:
        folder = get_folder(session, project, name)
        before = tree_at_head(session, project, name, folder.head)
    draft = draft_of(project, before, _with(before, old, parent=folder.head))
    with forgotten_if_refused(project, draft), transaction() as session:
        return record_snapshot(session, project, name, draft, made_by=made_by, now=now)


def _with(before: Tree, old: Entry, *, parent: int) -> Push:
    if before.get(old.path) == old:
        raise Conflict("The newest snapshot has it as it was then.")
    tree = {**before, old.path: old}
    return Push(parent=parent, digest=digest_of(in_order(tree)), changed=[old], machine=MACHINE)

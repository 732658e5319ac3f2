"""Snapshots on both stores: a chain of pushes is what a dict would be, and chunks lie once."""

import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mainstay_server.areas.sync.schemas.entries import Entry, Push, applied, digest_of, in_order
from mainstay_server.areas.sync.service import chunks, folders, snapshots
from mainstay_server.kernel import blobs
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.problems import Conflict, Invalid
from mainstay_server.tenancy.subjects import ProjectRef
from sqlalchemy.orm import Session
from tests.areas.sync.worlds import digest, part
from tests.databases import on_both_stores
from tests.world import NOON_YESTERDAY, a_project

NOW = NOON_YESTERDAY
PATHS = ("a", "b/c", "b/d", "e")


@pytest.fixture(autouse=True)
def in_memory() -> Iterator[None]:
    blobs.open_blobs("memory://")
    yield
    blobs.close_blobs()


@pytest.fixture
def project(session: Session) -> ProjectRef:
    ours = a_project(session, now=NOW)
    return ProjectRef(
        id=ours.project_id,
        number=1,
        slug=ours.project_slug,
        name=ours.project_name,
        organization_id=ours.organization_id,
    )


def store(session: Session, project: ProjectRef, *data: bytes) -> int:
    records = chunks.read_part(part(*data))
    fresh = chunks.fresh_of(session, project.id, records)
    if fresh:
        pack = chunks.put_pack(project.id, fresh)
        chunks.record_pack(session, project.id, pack, fresh, now=NOW)
    return len(fresh)


def push(
    session: Session, project: ProjectRef, name: str, tree: dict[str, bytes], parent: int
) -> int:
    """Push a whole tree as the difference to its parent."""
    before = snapshots.tree_at_head(session, project, name, parent)
    wanted = {
        path: Entry(path=path, size=len(data), chunks=(digest(data),))
        for path, data in tree.items()
    }
    told = Push(
        parent=parent,
        digest=digest_of(in_order(wanted)),
        changed=[entry for path, entry in wanted.items() if before.get(path) != entry],
        removed=[path for path in before if path not in wanted],
    )
    draft = snapshots.draft_of(project, before, told)
    recorded = snapshots.record_snapshot(session, project, name, draft, made_by="Ada", now=NOW)
    return recorded.number


def content_at(session: Session, project: ProjectRef, name: str, number: int) -> dict[str, bytes]:
    folder = folders.get_folder(session, project, name)
    found = snapshots.entries_of(project.id, snapshots.get_snapshot(session, folder, number).id)
    return {
        entry.path: b"".join(
            chunks.content_of(project.id, chunks.places_of(session, project.id, entry.chunks))
        )
        for entry in found
    }


trees = st.lists(
    st.dictionaries(st.sampled_from(PATHS), st.sampled_from([b"1", b"22", b"3" * 999])),
    min_size=1,
    max_size=6,
)


@given(states=trees)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_each_snapshot_stays_what_was_pushed_whatever_comes_after(
    session: Session, project: ProjectRef, states: list[dict[str, bytes]]
) -> None:
    name = new_id()
    folders.create_folder(session, project, name, now=NOW)
    for number, tree in enumerate(states):
        store(session, project, *tree.values())
        assert push(session, project, name, tree, number) == number + 1
    for number, tree in enumerate(states):
        assert content_at(session, project, name, number + 1) == tree


@on_both_stores
def test_what_is_stored_once_is_shared_by_the_folders_of_a_project(
    session: Session, project: ProjectRef
) -> None:
    assert store(session, project, b"same", b"same", b"other") == 2
    assert store(session, project, b"same") == 0
    for name in ("one", "two"):
        folders.create_folder(session, project, name, now=NOW)
        assert push(session, project, name, {"a": b"same"}, 0) == 1
        assert content_at(session, project, name, 1) == {"a": b"same"}
    assert folders.stored_bytes_of(session, project.id) == len(part(b"same", b"other"))


@on_both_stores
def test_a_push_from_an_older_snapshot_is_refused(session: Session, project: ProjectRef) -> None:
    folders.create_folder(session, project, "one", now=NOW)
    store(session, project, b"1", b"2")
    push(session, project, "one", {"a": b"1"}, 0)
    with pytest.raises(Conflict) as told:
        push(session, project, "one", {"a": b"2"}, 0)
    assert told.value.code == "folder-moved"
    assert push(session, project, "one", {"a": b"2"}, 1) == 2


def test_paths_of_thousands_of_folders_do_not_fill_the_memory() -> None:
    deep = {f"{n}" + "/a" * 1900: Entry(path=f"{n}" + "/a" * 1900) for n in range(20)}
    push = Push(parent=0, digest=digest_of(in_order(deep)), changed=list(deep.values()))
    tracemalloc.start()
    try:
        assert applied({}, push) == deep
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("paths", [("a", "a!", "a/b"), ("a/b", "a.c", "a"), ("é/a/b/c", "é/a")])
def test_nothing_lies_below_a_file_however_the_names_are_sorted(paths: tuple[str, ...]) -> None:
    tree = {path: Entry(path=path) for path in paths}
    push = Push(parent=0, digest=digest_of(in_order(tree)), changed=list(tree.values()))
    with pytest.raises(Invalid, match="has others below it"):
        applied({}, push)

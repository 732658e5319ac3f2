"""What `mainstay sync` decides by itself: merging, ignoring, cutting, and where it never writes."""

import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mainstay_cli.syncing.entries import FILE, Entry, HostileTree, digest_of, read_tree, to_json
from mainstay_cli.syncing.ignoring import Ignored
from mainstay_cli.syncing.merging import copy_names, merge
from mainstay_cli.syncing.planning import Plan, met, plan, removals_to_confirm
from mainstay_cli.syncing.scanning import MOST_BYTES, cut, scan
from mainstay_cli.syncing.writing import ChangedMeanwhile, Writer

PATHS = ["a", "b", "b/c", "b/d", "b/c/e", "f (conflict x)", "f"]
Tree = dict[str, Entry]


def a_file(path: str, content: str, modified_us: int = 0) -> Entry:
    return Entry(path, FILE, 0o644, modified_us, len(content), (content,))


def whole(tree: Tree) -> Tree:
    """Only what a real folder could have: nothing below a file."""
    above = {path for path in tree for other in tree if other.startswith(f"{path}/")}
    return {path: entry for path, entry in tree.items() if path not in above}


def contents(tree: Tree) -> set[tuple[object, ...]]:
    return {entry.content for entry in tree.values()}


def nothing_hidden(_path: str) -> bool:
    return False


trees = st.dictionaries(
    st.sampled_from(PATHS), st.tuples(st.sampled_from("123"), st.integers(0, 1)), max_size=7
).map(lambda found: whole({path: a_file(path, *about) for path, about in found.items()}))


@given(base=trees, here=trees, there=trees)
@settings(max_examples=400, deadline=None)
def test_nothing_that_either_side_changed_is_ever_lost(base: Tree, here: Tree, there: Tree) -> None:
    merged = merge(base, here, there, label="x").tree
    for side in (here, there):
        for path, entry in side.items():
            if base.get(path) != entry:
                assert entry.content in contents(merged), f"{path} of one side is lost"
    assert whole(merged) == merged
    for path, entry in merged.items():
        assert entry.path == path
        assert entry.content in contents(here) | contents(there)


@given(base=trees, here=trees, there=trees)
@settings(max_examples=400, deadline=None)
def test_a_side_that_did_nothing_takes_what_the_other_did(
    base: Tree, here: Tree, there: Tree
) -> None:
    assert merge(base, base, there, label="x").tree == there
    assert merge(base, here, base, label="x").tree == here
    assert merge(base, here, here, label="x").tree == here


class Machine:
    """A folder as a dict, synced by plan; `base` is what it remembers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tree: Tree = {}
        self.base: Tree = {}

    def sync(self, server: Tree) -> Tree:
        made = plan(self.base, self.tree, server, hidden=nothing_hidden, label=self.name)
        self.carry_out(made)
        there = dict(server)
        for entry in made.push_removed:
            del there[entry.path]
        there |= {entry.path: entry for entry in made.push}
        assert there == made.tree == self.tree
        self.base = met(made, self.base, here=self.tree, there=there)
        assert self.base == there
        return there

    def carry_out(self, made: Plan) -> None:
        for old, copy in made.copies.items():
            assert copy not in self.tree
            self.tree[copy] = self.tree.pop(old)._replace(path=copy)
        for entry in made.remove:
            del self.tree[entry.path]
        for entry in (*made.write, *made.make):
            self.tree[entry.path] = entry
        for entry in made.mark:
            assert self.tree[entry.path].content == entry.content
            self.tree[entry.path] = entry


changes = st.lists(
    st.tuples(
        st.sampled_from(["laptop", "desk", "sync laptop", "sync desk"]),
        st.sampled_from(PATHS),
        st.sampled_from(["1", "2", "3", ""]),
    ),
    max_size=30,
)


@given(changes=changes)
@settings(max_examples=300, deadline=None)
def test_whatever_two_machines_do_they_come_to_the_same_and_keep_every_content(
    changes: list[tuple[str, str, str]],
) -> None:
    machines = {name: Machine(name) for name in ("laptop", "desk")}
    server: Tree = {}
    for who, path, content in changes:
        machine = machines[who.removeprefix("sync ")]
        if who.startswith("sync"):
            written = {
                entry.content
                for each, entry in machine.tree.items()
                if machine.base.get(each) != entry
            }
            server = machine.sync(server)
            assert written <= contents(server), "what was written before a sync is in its snapshot"
        elif not content:
            machine.tree.pop(path, None)
        else:
            machine.tree[path] = a_file(path, content)
            machine.tree = whole(machine.tree)
    for name in ("laptop", "desk", "laptop"):
        server = machines[name].sync(server)
    assert machines["laptop"].tree == machines["desk"].tree == server


def test_a_conflict_copy_has_a_name_that_fits_and_is_nobody_elses() -> None:
    assert next(copy_names("a/report.txt", "desk")) == "a/report (conflict desk).txt"
    assert next(copy_names(".profile", "desk")) == ".profile (conflict desk)"
    names = copy_names("é" * 127, "desk")
    assert [len(next(names).encode()) <= 255 for _ in range(3)] == [True] * 3
    base, mine = {"f": a_file("f", "1")}, {"f": a_file("f", "2")}
    taken = {"f": a_file("f", "3"), "f (conflict x)": a_file("f (conflict x)", "4")}
    assert merge(base, mine, taken, label="x").copies == {"f": "f (conflict x 2)"}


def test_more_than_half_of_the_files_are_not_removed_unasked() -> None:
    tree = {str(n): a_file(str(n), "1") for n in range(10)}
    few = dict(list(tree.items())[:5])
    made = plan(tree, few, tree, hidden=nothing_hidden, label="x")
    assert removals_to_confirm(made, few, tree) == []
    fewer = dict(list(tree.items())[:4])
    made = plan(tree, fewer, tree, hidden=nothing_hidden, label="x")
    (told,) = removals_to_confirm(made, fewer, tree)
    assert told == "6 of 10 files in the folder on the server would be removed."
    many = {str(n): a_file(str(n), "1") for n in range(5000)}
    made = plan(many, dict(list(many.items())[:3999]), many, hidden=nothing_hidden, label="x")
    assert removals_to_confirm(made, many, many)


def test_what_is_ignored_is_left_alone_on_both_sides() -> None:
    base = {name: a_file(name, "1") for name in ("kept", "cache/x")}
    there = {**base, "cache/y": a_file("cache/y", "2")}
    made = plan(
        base,
        {"kept": base["kept"]},
        there,
        hidden=lambda path: path.startswith("cache/"),
        label="x",
    )
    assert made.is_empty
    assert made.tree == there


def test_ignore_rules_are_those_of_git(tmp_path: Path) -> None:
    rules = "# a comment\n*.log\n!keep.log\n/build/\n**/cache/\ndocs/*.tmp\n"
    (tmp_path / ".mainstayignore").write_text(rules)
    for path in (
        "a.log",
        "keep.log",
        "x/b.log",
        "build/out",
        "x/build/out",
        "x/cache/f",
        "docs/a.tmp",
        "docs/x/a.tmp",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    ignored = Ignored(tmp_path)
    found = scan(tmp_path, ignored, {}, lambda _digest, _data: None)
    expected = {".mainstayignore", "keep.log", "x/build/out", "docs/x/a.tmp"}
    assert set(found.tree) == expected
    assert ignored.leaves_out_any("build/deep/er")
    assert not ignored.leaves_out_any("x/build/out")


def test_only_what_changed_is_read_again(tmp_path: Path) -> None:
    read: list[str] = []
    for name in "abc":
        (tmp_path / name).write_text(name)
    os.utime(tmp_path / "a", ns=(time.time_ns(), time.time_ns()))
    settled = time.time_ns() - 10**10
    for name in "bc":
        os.utime(tmp_path / name, ns=(settled, settled))
    nothing = Ignored(tmp_path)
    first = scan(tmp_path, nothing, {}, lambda digest, _data: read.append(digest))
    assert len(read) == 3
    (tmp_path / "b").write_text("B")
    os.utime(tmp_path / "b", ns=(settled, settled))  # as a careless tool would
    read.clear()
    again = scan(tmp_path, nothing, first.known, lambda digest, _data: read.append(digest))
    names = [path for path in "abc" if again.tree[path].chunks[0] in read]
    assert names == ["a", "b"], "the changed one, and the one that had not settled"


def test_what_is_no_file_and_what_cannot_be_named_is_left_out_and_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / os.fsdecode(b"caf\xe9")).write_text("latin-1")
    (tmp_path / "line\nbreak 'and' \\ more").write_text("odd")
    (tmp_path / "to nowhere").symlink_to("../nowhere")
    (tmp_path / "empty").mkdir()
    (tmp_path / ".mainstay").mkdir()
    (tmp_path / ".mainstay/sync").write_text("ours")
    found = scan(tmp_path, Ignored(tmp_path), {}, lambda _digest, _data: None)
    assert set(found.tree) == {"line\nbreak 'and' \\ more", "to nowhere", "empty"}
    assert found.tree["to nowhere"].target == "../nowhere"
    assert sorted(found.skipped.values()) == [
        "has a name that is not UTF-8",
        "is a socket, a pipe or a device",
    ]


@pytest.mark.parametrize("size", [0, 1, MOST_BYTES, 9 << 20, (16 << 20) + 1])
def test_pieces_are_the_file_and_no_larger_than_allowed(tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    (tmp_path / "large").write_bytes(data)
    with (tmp_path / "large").open("rb") as file:
        pieces = list(cut(file.fileno()))
    assert b"".join(pieces) == data
    assert max(map(len, pieces), default=0) <= MOST_BYTES


def test_an_insertion_changes_a_piece_or_two(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(24 << 20)
    pieces = []
    for content in (data, data[: 5 << 20] + b"inserted" + data[5 << 20 :]):
        (tmp_path / "large").write_bytes(content)
        with (tmp_path / "large").open("rb") as file:
            pieces.append(set(cut(file.fileno())))
    assert len(pieces[0]) > 20
    assert len(pieces[1] - pieces[0]) <= 2


@pytest.mark.parametrize(
    "path",
    ["../x", "/etc/x", "a/../../x", "a//b", "", ".", "a/.", ".mainstay/x", ".MainStay/x", "a\0b"],
)
def test_a_tree_with_a_path_that_leads_elsewhere_is_not_believed(path: str) -> None:
    with pytest.raises(HostileTree):
        read_tree([{"path": "fine"}, {"path": path}])


@pytest.mark.parametrize("of", ["write", "make", "remove", "mark"])
def test_no_step_follows_a_link_out_of_the_folder(tmp_path: Path, of: str) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (outside / "victim").write_text("untouched")
    (root / "out").symlink_to(outside)
    (root / "direct").symlink_to(outside / "victim")
    writer = Writer(root)
    steps: dict[str, Callable[[str], object]] = {
        "write": lambda path: writer.write(a_file(path, "evil"), [b"evil"], None),
        "make": lambda path: writer.make(Entry(path, "folder", 0o755)),
        "remove": lambda path: writer.remove(a_file(path, "x"), None),
        "mark": lambda path: writer.set_marks(
            a_file(path, "x"),
            scan(root, Ignored(root), {}, lambda *_: None).known.get(path),  # type: ignore[arg-type] # there is none
        ),
    }
    for path in ("out/victim", "out/new", "direct"):
        with suppress(ChangedMeanwhile, OSError):
            steps[of](path)
    writer.close()
    assert [child.name for child in outside.iterdir()] == ["victim"]
    assert (outside / "victim").read_text() == "untouched"


def test_a_file_that_changed_since_it_was_looked_at_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("looked at")
    known = scan(tmp_path, Ignored(tmp_path), {}, lambda *_: None).known["a"]
    (tmp_path / "a").write_text("written meanwhile")
    writer = Writer(tmp_path)
    with pytest.raises(ChangedMeanwhile):
        writer.write(a_file("a", "new"), [b"new"], known)
    with pytest.raises(ChangedMeanwhile):
        writer.remove(a_file("a", "1"), known)
    (tmp_path / "b").write_text("made meanwhile")
    with pytest.raises(ChangedMeanwhile):
        writer.write(a_file("b", "new"), [b"new"], None)
    writer.close()
    assert (tmp_path / "a").read_text() == "written meanwhile"
    assert (tmp_path / "b").read_text() == "made meanwhile"
    assert list((tmp_path / ".mainstay/incoming").iterdir()) == []


def test_folders_that_become_empty_go_and_a_file_may_take_their_place(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_text("1")
    known = scan(tmp_path, Ignored(tmp_path), {}, lambda *_: None).known
    writer = Writer(tmp_path)
    writer.remove(a_file("a/b/c", "1"), known["a/b/c"])
    writer.remove_empty_folders()
    assert not (tmp_path / "a").exists()
    writer.write(a_file("a", "file"), [b"file"], None)
    writer.close()
    assert (tmp_path / "a").read_text() == "file"


def test_the_digest_of_a_tree_is_the_one_of_the_documented_example() -> None:
    hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    entry = Entry("data/hello.txt", modified_us=1_795_254_105_001_000, size=5, chunks=(hello,))
    documented = "22eff579659b70e3563b0c542cdc8e0f855993a2e6131fcbcfdd2a1e7ef3acb6"
    assert digest_of({entry.path: entry}) == documented
    assert read_tree([to_json(entry)]) == {entry.path: entry}

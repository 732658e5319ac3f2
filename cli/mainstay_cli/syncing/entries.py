"""Entries of a tree, as the server knows them, and the digest by which two trees are the same."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

FILE = "file"
LINK = "link"
FOLDER = "folder"
PRIVATE = ".mainstay"
LONGEST_PATH_BYTES = 4000
LONGEST_NAME_BYTES = 255
MODE_BITS = 0o777
NAMES = ("kind", "mode", "modifiedUs", "size", "chunks", "target")


class HostileTree(Exception):
    """What was pulled names a path that no honest server would."""


class Entry(NamedTuple):
    """One file, link or empty folder; `modified_us` are microseconds since 1970."""

    path: str
    kind: str = FILE
    mode: int = 0o644
    modified_us: int = 0
    size: int = 0
    chunks: tuple[str, ...] = ()
    target: str = ""

    @property
    def content(self) -> tuple[object, ...]:
        """What is in it, whatever its name, mode and time."""
        return (self.kind, self.size, self.chunks, self.target)


Tree = Mapping[str, Entry]


def digest_of(tree: Tree) -> str:
    """The SHA-256 of a tree: each entry's fields by path, each followed by a NUL."""
    total = hashlib.sha256()
    for path in sorted(tree):
        _, kind, mode, modified_us, size, chunks, target = tree[path]
        joined = ",".join(chunks)
        total.update(
            f"{path}\0{kind}\0{mode}\0{modified_us}\0{size}\0{target}\0{joined}\0".encode()
        )
    return total.hexdigest()


def to_json(entry: Entry) -> dict[str, Any]:
    """An entry as the API takes it; what has its default is left out."""
    told = zip(NAMES, entry[1:], Entry("")[1:], strict=True)
    different = {name: value for name, value, usual in told if value != usual}
    return {"path": entry.path, **different}


def read_tree(listed: Iterable[Mapping[str, Any]]) -> dict[str, Entry]:
    """A tree as the API tells it, believed in nothing: its paths stay within the folder.

    Raises:
        HostileTree: one of them would lead elsewhere.
    """
    tree: dict[str, Entry] = {}
    for told in listed:
        entry = Entry(
            str(told["path"]),
            str(told.get("kind", FILE)),
            int(told.get("mode", 0o644)) & MODE_BITS,
            int(told.get("modifiedUs", 0)),
            int(told.get("size", 0)),
            tuple(map(str, told.get("chunks", ()))),
            str(told.get("target", "")),
        )
        if not may_be_synced(entry.path) or entry.kind not in {FILE, LINK, FOLDER}:
            raise HostileTree(f"The server names {entry.path[:200]!r}, which is refused here.")
        tree[entry.path] = entry
    return tree


def may_be_synced(path: str) -> bool:
    """Whether a path stays within the folder, and is none of our own."""
    names = path.split("/")
    try:
        long = len(path.encode()) > LONGEST_PATH_BYTES
        long = long or any(len(name.encode()) > LONGEST_NAME_BYTES for name in names)
    except UnicodeEncodeError:
        return False  # a name in no encoding that others could read
    return (
        not long
        and names[0].lower() not in {PRIVATE, f"{PRIVATE}.toml"}
        and not any(name in {"", ".", ".."} or "\0" in name for name in names)
    )


def folders_above(path: str) -> Iterable[str]:
    """The folders that a path lies in, the nearest first."""
    cut = path.rfind("/")
    while cut > 0:
        yield path[:cut]
        cut = path.rfind("/", 0, cut)

"""Entries of a tree: files, links and empty folders by their paths, and the digest of all."""

import hashlib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from itertools import pairwise
from typing import Annotated

import msgspec
from msgspec import Meta

from mainstay_server.kernel.problems import Invalid

LONGEST_PATH_BYTES = 4000
LONGEST_NAME_BYTES = 255
PRIVATE = ".mainstay"
MODE_BITS = 0o777
MOST_NUMBER = (1 << 53) - 1

Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Path = Annotated[str, Meta(min_length=1, max_length=LONGEST_PATH_BYTES)]


class Kind(StrEnum):
    """What an entry is. Only empty folders are entries: others come with what is in them."""

    FILE = "file"
    LINK = "link"
    FOLDER = "folder"


class Entry(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True,
    forbid_unknown_fields=True,
):  # fmt: skip
    """One entry. `mode` are the nine permission bits; `modified_us` is µs since 1970 in UTC."""

    path: Path
    kind: Kind = Kind.FILE
    mode: Annotated[int, Meta(ge=0, le=MODE_BITS)] = 0o644
    modified_us: Annotated[int, Meta(ge=-MOST_NUMBER, le=MOST_NUMBER)] = 0
    size: Annotated[int, Meta(ge=0, le=MOST_NUMBER)] = 0
    chunks: tuple[Digest, ...] = ()
    target: Annotated[str, Meta(max_length=LONGEST_PATH_BYTES)] = ""


class Push(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A new snapshot, told by what is different from its parent.

    `parent` is the number of the snapshot it was made from, 0 for none, and `digest` that of all
    entries, so that both sides know that they mean the same tree.
    """

    parent: Annotated[int, Meta(ge=0, le=MOST_NUMBER)]
    digest: Digest
    changed: list[Entry] = []
    removed: list[Path] = []
    machine: Annotated[str, Meta(max_length=100)] = ""


Tree = Mapping[str, Entry]


def digest_of(entries: Iterable[Entry]) -> str:
    """The SHA-256 of entries, which must be in the order of their paths' code points.

    Of each: path, kind, mode, modification, size, target and its chunks' digests joined by commas,
    each followed by a NUL, which none of them can have.
    """
    total = hashlib.sha256()
    for each in entries:
        fields = (
            each.path,
            each.kind,
            each.mode,
            each.modified_us,
            each.size,
            each.target,
            ",".join(each.chunks),
        )
        total.update("".join(f"{field}\0" for field in fields).encode())
    return total.hexdigest()


def in_order(tree: Tree) -> list[Entry]:
    """The entries of a tree by path."""
    return [tree[path] for path in sorted(tree)]


def applied(parent: Tree, push: Push) -> dict[str, Entry]:
    """The tree that a push describes.

    Raises:
        Invalid: a path leads elsewhere or is below what is no folder, or the digest is another's.
    """
    tree = dict(parent)
    for path in push.removed:
        tree.pop(path, None)
    for entry in push.changed:
        _check(entry)
        tree[entry.path] = entry
    _check_parents(tree)
    if digest_of(in_order(tree)) != push.digest:
        raise Invalid(
            "The digest is not that of the entries; send the whole difference to the parent.",
            code="digest-differs",
        )
    return tree


def _check(entry: Entry) -> None:
    names = entry.path.split("/")
    if names[0].lower() == PRIVATE or not all(map(_is_name, names)):
        raise Invalid(f"{entry.path[:200]!r} is no path within a folder; leave it out.")
    if len(entry.path.encode()) > LONGEST_PATH_BYTES:
        raise Invalid(f"{entry.path[:200]!r}… is longer than {LONGEST_PATH_BYTES} bytes.")
    is_file = entry.kind is Kind.FILE
    if (entry.chunks and not is_file) or (entry.size and not is_file):
        raise Invalid(f"{entry.path[:200]!r} is a {entry.kind} and has no content.")
    if (entry.kind is Kind.LINK) != bool(entry.target) or "\0" in entry.target:
        raise Invalid(f"{entry.path[:200]!r}: a link, and nothing else, has a target.")


def _is_name(name: str) -> bool:
    return (
        name not in {"", ".", ".."}
        and "\0" not in name
        and len(name.encode()) <= LONGEST_NAME_BYTES
    )


def _check_parents(tree: Tree) -> None:
    """Nothing lies below a file, a link or an empty folder: whoever wrote it would go astray.

    With a NUL, which no name has, for each slash, what lies below an entry comes right after it.
    """
    ordered = sorted(path.replace("/", "\0") for path in tree)
    for path, following in pairwise(ordered):
        if following.startswith(f"{path}\0"):
            shown = path.replace("\0", "/")[:200]
            raise Invalid(f"{shown!r} is an entry and has others below it; name one of them.")

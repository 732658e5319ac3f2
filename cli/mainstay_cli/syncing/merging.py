"""Three trees into one: what both sides had, what is here, what is there. Nothing is ever lost.

A side that did not change takes the other's change. Where both changed, the content of both is
kept: the server's under the name, ours beside it as a conflict copy. A change wins over a removal.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from .entries import FOLDER, LONGEST_NAME_BYTES, Entry, Tree, folders_above


@dataclass
class Merged:
    """The tree that both sides get; `copies` says which local path becomes which conflict copy."""

    tree: dict[str, Entry] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)


def merge(base: Tree, here: Tree, there: Tree, *, label: str) -> Merged:
    """Merge what is here and there, by what both had; `label` goes into the names of copies."""
    merged = Merged()
    ours: list[str] = []
    for path in sorted({*base, *here, *there}):
        was, mine, theirs = base.get(path), here.get(path), there.get(path)
        chosen = _chosen(was, mine, theirs)
        if chosen is not None:
            merged.tree[path] = chosen
        if _are_in_conflict(was, mine, theirs):
            ours.append(path)
    for path in ours:
        _keep_beside(merged, path, here[path], label=label)
    _part(merged, here, label=label)
    return merged


def _chosen(was: Entry | None, mine: Entry | None, theirs: Entry | None) -> Entry | None:
    if mine == was:
        return theirs
    if theirs == was:
        return mine
    return theirs or mine


def _are_in_conflict(was: Entry | None, mine: Entry | None, theirs: Entry | None) -> bool:
    if mine is None or theirs is None or was in (mine, theirs):
        return False
    return mine.content != theirs.content


def _keep_beside(merged: Merged, path: str, entry: Entry, *, label: str) -> None:
    """Keep a local entry under another name, unless it is an empty folder, which holds nothing."""
    if entry.kind == FOLDER:
        return
    copy = next(name for name in copy_names(path, label) if name not in merged.tree)
    merged.tree[copy] = entry._replace(path=copy)
    merged.copies[path] = copy


def _part(merged: Merged, here: Tree, *, label: str) -> None:
    """Where an entry has others below it, let the folder have the name."""
    above = {folder for path in merged.tree for folder in folders_above(path)}
    for path in sorted(above & merged.tree.keys()):
        entry = merged.tree.pop(path)
        if entry.kind == FOLDER:
            continue
        copy = next(name for name in copy_names(path, label) if name not in merged.tree)
        merged.tree[copy] = entry._replace(path=copy)
        if here.get(path) == entry:
            merged.copies[path] = copy


def copy_names(path: str, label: str) -> Iterator[str]:
    """`a/report (conflict laptop).txt`, then with numbers, as long as a name may be."""
    folder, slash, name = path.rpartition("/")
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending) > 10:  # noqa: PLR2004 - an ending that is none
        stem, dot, ending = name, "", ""
    number = 1
    while True:
        counted = f" {number}" if number > 1 else ""
        mark = f" (conflict {label}{counted}){dot}{ending}"
        room = LONGEST_NAME_BYTES - len(mark.encode())
        kept = stem.encode()[:room].decode(errors="ignore")
        yield f"{folder}{slash}{kept}{mark}"
        number += 1

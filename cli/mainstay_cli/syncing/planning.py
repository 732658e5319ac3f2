"""What a run would do, before it does anything: here, on the server, and what is asked."""

from collections.abc import Callable
from dataclasses import dataclass, field

from .entries import FILE, FOLDER, Entry, Tree
from .merging import merge

MOST_REMOVED = 1000
Hidden = Callable[[str], bool]


@dataclass
class Plan:
    """`tree` is what both sides have afterwards, hidden paths included; `copies` are conflicts."""

    tree: dict[str, Entry] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    write: list[Entry] = field(default_factory=list)
    mark: list[Entry] = field(default_factory=list)
    make: list[Entry] = field(default_factory=list)
    remove: list[Entry] = field(default_factory=list)
    push: list[Entry] = field(default_factory=list)
    push_removed: list[Entry] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether both sides are the same already."""
        return not (self.changes_here or self.push or self.push_removed)

    @property
    def changes_here(self) -> bool:
        """Whether anything on this machine changes."""
        return bool(self.copies or self.write or self.mark or self.make or self.remove)


def plan(base: Tree, here: Tree, there: Tree, *, hidden: Hidden, label: str) -> Plan:
    """Compare three trees. What is hidden on this machine is left alone on both sides."""

    def seen(tree: Tree) -> dict[str, Entry]:
        return {path: entry for path, entry in tree.items() if not hidden(path)}

    merged = merge(seen(base), here, seen(there), label=label)
    made = Plan(copies=merged.copies)
    _plan_here(made, merged.tree, here)
    made.tree = {**{p: e for p, e in there.items() if hidden(p)}, **merged.tree}
    made.push = [entry for path, entry in made.tree.items() if there.get(path) != entry]
    made.push_removed = [entry for path, entry in there.items() if path not in made.tree]
    return made


def _plan_here(made: Plan, tree: Tree, here: Tree) -> None:
    moved = {copy: old for old, copy in made.copies.items()}
    for path, entry in tree.items():
        mine = here.get(moved.get(path, path))
        if path in made.copies:
            mine = None  # it has moved away
        if mine is not None and mine._replace(path=path) == entry:
            continue
        if entry.kind != FILE:
            made.make.append(entry)
        elif mine is not None and mine.content == entry.content:
            made.mark.append(entry)
        else:
            made.write.append(entry)
    made.remove = [
        entry for path, entry in here.items() if path not in tree and path not in made.copies
    ]


def removals_to_confirm(made: Plan, here: Tree, there: Tree) -> list[str]:
    """Sentences about removals that are too many to be made without asking."""
    sentences = []
    for removed, tree, where in (
        (made.remove, here, "on this machine"),
        (made.push_removed, there, "in the folder on the server"),
    ):
        count = sum(entry.kind != FOLDER for entry in removed)
        of = sum(entry.kind != FOLDER for entry in tree.values())
        if count > 1 and (2 * count > of or count > MOST_REMOVED):
            sentences.append(f"{count:,} of {of:,} files {where} would be removed.")
    return sentences


def met(made: Plan, base: Tree, *, here: Tree, there: Tree) -> dict[str, Entry]:
    """What both sides have in common now: where they do not, it is as it was."""
    common: dict[str, Entry] = {}
    for path in {*base, *made.tree}:
        entry = made.tree.get(path)
        if here.get(path) == entry and there.get(path) == entry:
            if entry is not None:
                common[path] = entry
        elif path in base:
            common[path] = base[path]
    return common

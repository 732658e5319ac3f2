"""Verifying: the rows, their chain, their tree, and the signatures on its root."""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from .bundles import Bundle
from .ed25519 import is_signed
from .merkle import Tree, leaf_hash
from .notes import Check, Key, Note, open_note
from .reports import Report

NOTHING_BEFORE = "0" * 64  # what the first row of a log names as the hash of the row before it
Opened = Callable[[str], Note]
UNREADABLE = (ValueError, IndexError, KeyError, TypeError, binascii.Error)


def verify(
    bundle: Bundle,
    *,
    kept: dict[str, str] | None = None,
    trusted: Sequence[str] = (),
    check: Check = is_signed,
) -> Report:
    """Check rows, chain, tree and signatures; `kept` are checkpoints that you stored yourself.

    `trusted` are the keys to believe; without any, those that came with the bundle are. `check` may
    be a faster way to look at a signature than the one in plain Python.

    Raises:
        ValueError: a key is none, or what was exported contradicts itself.
    """
    report = Report()
    keys = [Key.parse(text) for text in (trusted or bundle.keys)]
    if not keys:
        raise ValueError("there is no key to verify with")
    report.origin = keys[0].name
    opened = partial(open_note, keys=keys, check=check)
    checkpoints = _checkpoints(report, bundle.checkpoints, opened, "in the bundle")
    checkpoints += _checkpoints(report, kept or {}, opened, "that you kept")
    report.checkpoints = len(checkpoints)
    tree, head = _start(report, bundle, opened)
    walk = _Walk(report, checkpoints, tree, head)
    walk.follow(bundle.rows)
    if bundle.part is None:
        walk.miss_the_tail()
    else:
        subtrees = [bytes.fromhex(text) for text in bundle.part["after"]]
        walk.compare_rest(int(bundle.part["size"]), subtrees)
    _say_what_was_not_asked(report, is_key_known=bool(trusted), is_kept=bool(kept))
    return report


def _say_what_was_not_asked(report: Report, *, is_key_known: bool, is_kept: bool) -> None:
    newest = report.last - report.covered
    if report.verified and newest > 0:
        rows = "newest row is" if newest == 1 else f"{newest} newest rows are"
        report.notes.append(f"The {rows} in no checkpoint yet.")
    if not is_key_known:
        report.notes.append("The key came with the rows; compare it with one that you kept.")
    if not is_kept:
        report.notes.append(
            "No checkpoint of your own was given: rows that were cut off the end together with"
            " their checkpoints would not be missed."
        )


def _checkpoints(report: Report, texts: dict[str, str], opened: Opened, where: str) -> list[Note]:
    """The well signed checkpoints of this log; each other one is a fault."""
    found = []
    for name, text in sorted(texts.items()):
        try:
            note = opened(text)
            size, _ = note.size, note.root
        except UNREADABLE:
            report.blame("checkpoint_forged", 0, f"{name} {where} is no checkpoint.")
            continue
        if note.lines[0] != report.origin:
            report.blame("checkpoint_foreign", 0, f"{name} {where} is of the log {note.lines[0]}.")
        elif not note.signed:
            report.blame(
                "checkpoint_forged",
                size,
                f"The checkpoint at row {size}, {name} {where}, is not signed by the log's key.",
            )
        else:
            found.append(note)
    return found


def _start(report: Report, bundle: Bundle, opened: Opened) -> tuple[Tree, str]:
    """The tree and the hash that stand before the first row: none, a part's, or of the removed."""
    if bundle.part is not None:
        before = [bytes.fromhex(text) for text in bundle.part["before"]]
        report.notes.append("These are rows of some days; others of the log were not looked at.")
        return Tree(int(bundle.part["first"]) - 1, before), str(bundle.part["head"])
    tree, head = Tree(), NOTHING_BEFORE
    for name, text in sorted(bundle.removals.items()):
        try:
            note = opened(text)
            removed, last_hash = _removed(note, report.origin)
        except UNREADABLE:
            report.blame("removal_forged", 0, f"{name} does not say what was removed.")
            continue
        if not note.signed:
            unsigned = f"{name} says that rows up to {removed.size} were removed; it is not signed."
            report.blame("removal_forged", removed.size, unsigned)
        elif removed.size > tree.size:
            tree, head = removed, last_hash
    return tree, head


def _removed(note: Note, origin: str) -> tuple[Tree, str]:
    """What a note of a removal says is gone: the tree up to there, and the last row's hash."""
    said = dict(line.split(" ", 1) for line in note.lines[1:])
    tree = Tree(int(said["last"]), [base64.b64decode(text) for text in said["subtrees"].split()])
    if note.lines[0] != f"{origin}/removed" or tree.root() != base64.b64decode(said["root"]):
        raise ValueError("it contradicts itself")
    return tree, said["head"]


class _Walk:
    """Follows the rows, and compares the tree with each checkpoint when it has its size."""

    def __init__(self, report: Report, notes: Sequence[Note], tree: Tree, head: str) -> None:
        self.report = report
        self.notes: dict[int, list[Note]] = {}
        for note in notes:
            self.notes.setdefault(note.size, []).append(note)
        self.tree = tree
        self.head = head
        self.began = tree.size
        self.signed = tree.size  # up to here a checkpoint fits
        self.fits = True  # false from the first fault on, since the tree is another one then

    def follow(self, rows: Iterable[bytes]) -> None:
        """Look at each row: its place, the hash of the row before it, and its own."""
        expected = self.began + 1
        for line in rows:
            position, previous = self._read(line, expected)
            if position != expected:
                self._misplaced(position, expected)
            elif previous not in ("", self.head):
                self._unchained(position)
            leaf = leaf_hash(line)
            self.head = leaf.hex()
            self.tree.append(leaf)
            self.report.rows += 1
            self.report.first = self.report.first or position
            self.report.last = max(self.report.last, position)
            expected = position + 1
            self._compare(self.tree)

    def miss_the_tail(self) -> None:
        """Blame the checkpoints that were signed when the log had more rows than it has now."""
        last = self.report.last or self.began
        longest = max(self.notes, default=0)
        if longest > last:
            text = (
                f"Rows {last + 1} to {longest} are gone: a checkpoint was signed when the log had"
                f" {longest} rows, and now it ends with row {last}."
            )
            self._blame("tail_cut", last + 1, text)

    def compare_rest(self, size: int, subtrees: Sequence[bytes]) -> None:
        """Compare the tree as it grew behind the last row with the checkpoint of that size."""
        if self.fits:
            self._compare(self.tree.grown(size, subtrees))

    def _read(self, line: bytes, expected: int) -> tuple[int, str]:
        try:
            row = json.loads(line)
            return int(row["position"]), str(row["prevHash"])
        except UNREADABLE:
            self._blame("row_changed", expected, f"Row {expected} cannot be read any more.")
            return expected, ""

    def _misplaced(self, position: int, expected: int) -> None:
        if position < expected and self.report.rows == 0:
            text = f"Row {position} is there, but a signed note says that it was removed."
            self._blame("row_out_of_order", position, text)
        elif position < expected:
            text = f"Row {position} stands behind row {expected - 1}: the order was changed."
            self._blame("row_out_of_order", position, text)
        elif self.report.rows == 0:
            text = f"The log begins with row {position}, and no signed note says why."
            self._blame("head_cut", expected, text)
        else:
            text = f"Row {expected} is missing: row {position} follows row {expected - 1}."
            self._blame("row_missing", expected, text)

    def _unchained(self, position: int) -> None:
        if self.report.rows == 0:
            text = f"Row {position} does not follow what stood before it."
            self._blame("head_cut", position, text)
        else:
            text = f"Row {position - 1} was changed: row {position} was chained to another one."
            self._blame("row_changed", position - 1, text)

    def _compare(self, tree: Tree) -> None:
        for note in self.notes.get(tree.size, ()) if self.fits else ():
            if note.root == tree.root():
                self.signed = self.report.covered = max(self.report.covered, tree.size)
                continue
            text = (
                f"Rows {self.signed + 1} to {note.size} were written anew: they hold together, but"
                f" the checkpoint that was signed at row {note.size} was of others."
            )
            self._blame("rows_rewritten", self.signed + 1, text)

    def _blame(self, code: str, position: int, text: str) -> None:
        self.report.blame(code, position, text)
        self.fits = False

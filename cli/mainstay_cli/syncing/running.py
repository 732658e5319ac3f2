"""One run: look at both sides, plan, ask what has to be asked, change this side, then the other."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mainstay_cli.client import Refusal, Server

from . import state as remembering
from .entries import FILE, Entry, Tree, digest_of, folders_above, read_tree, to_json
from .ignoring import Ignored
from .planning import Plan, met, plan, removals_to_confirm
from .scanning import Scan, scan
from .state import State
from .transfers import Fetcher, Sender, packed_json
from .writing import ChangedMeanwhile, Writer

MOST_ROUNDS = 5
NOWHERE = -1


class NotConfirmed(Exception):
    """Too much would be removed, and nobody said that it may be."""


class Busy(Exception):
    """The folder on the server changed under every try."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is wanted. `may_remove` is asked with sentences, and says whether to go on."""

    root: Path
    project: str
    folder: str
    machine: str
    may_remove: Callable[[list[str]], bool]
    push: bool = True
    pull: bool = True
    dry_run: bool = False

    @property
    def project_path(self) -> str:
        """Where the API has the project."""
        return f"/api/projects/{quote(self.project, safe='')}"

    @property
    def path(self) -> str:
        """Where the API has the folder."""
        return f"{self.project_path}/sync-folders/{quote(self.folder, safe='')}"


@dataclass
class Report:
    """What was done, or would be. `skipped` are paths that were left alone, each with a reason."""

    snapshot: int = 0
    plan: Plan = field(default_factory=Plan)
    skipped: dict[str, str] = field(default_factory=dict)
    sent_bytes: int = 0
    fetched_bytes: int = 0
    read_bytes: int = 0


def run(server: Server, wish: Wish) -> Report:
    """Bring both sides together.

    Raises:
        Refusal: the server said no, or does not answer.
        NotConfirmed, Busy, InUse, Damaged, HostileTree: what their names say.
    """
    with remembering.only_one(wish.root):
        again = State()
        for _ in range(MOST_ROUNDS):
            again = again if again.of else remembering.load(wish.root, _name_of(server, wish))
            try:
                return _round(server, wish, again)
            except Refusal as refusal:
                if refusal.code == "chunks-missing":
                    again.known.clear()  # so everything is read, and offered again
                elif refusal.code != "folder-moved":
                    raise
    raise Busy


def _name_of(server: Server, wish: Wish) -> str:
    return f"{server.url} {wish.project}/{wish.folder}"


def _round(server: Server, wish: Wish, was: State) -> Report:
    head, there = _look_there(server, wish, was)
    ignored = Ignored(wish.root)
    sends = wish.push and not wish.dry_run
    with Sender(server, wish.project_path) if sends else nullcontext() as sender:
        found = scan(wish.root, ignored, was.known, sender.add if sender else _forget)
        if sender:
            sender.finish()
    hidden = _hidden(ignored, found)
    made = plan(was.base, found.tree, there, hidden=hidden, label=wish.machine)
    report = Report(max(head, 0), made, dict(found.skipped), read_bytes=found.read_bytes)
    report.sent_bytes = sender.sent_bytes if sender else 0
    if not wish.pull and made.copies:
        raise Refusal(409, "conflicts", "Both sides changed the same files; sync without --push.")
    _confirm(wish, made, found.tree, there)
    if wish.dry_run:
        return report
    here = dict(found.tree)
    if wish.pull and made.changes_here:
        _Changes(server, wish, made, found, report, here).make()
    if wish.push and (made.push or made.push_removed):
        report.snapshot = _push(server, wish, made, head)
        there, head = made.tree, report.snapshot
    # What is hidden here is nobody's difference.
    here |= {path: entry for path, entry in made.tree.items() if hidden(path)}
    common = met(made, was.base, here=here, there=there)
    now = State(was.of, head if common == there else NOWHERE, common, found.known)
    if now != was:
        remembering.save(wish.root, now)
    return report


def _forget(_digest: str, _data: bytes | memoryview) -> None:
    """Nothing is sent."""


def _hidden(ignored: Ignored, found: Scan) -> Callable[[str], bool]:
    skipped = found.skipped

    def hidden(path: str) -> bool:
        if skipped and (path in skipped or any(up in skipped for up in folders_above(path))):
            return True
        return ignored.leaves_out_any(path)

    return hidden


def _look_there(server: Server, wish: Wish, was: State) -> tuple[int, dict[str, Entry]]:
    """The number of the newest snapshot, and its tree."""
    try:
        head = int(server.ask("GET", wish.path).json()["head"])
    except Refusal as refusal:
        if refusal.code != "folder-missing":
            raise
        return NOWHERE, {}
    if head == was.head or not head:
        return head, was.base if head else {}
    told: dict[str, Any] = server.ask("GET", f"{wish.path}/snapshots/{head}/manifest").json()
    return head, read_tree(told["entries"])


def _confirm(wish: Wish, made: Plan, here: Tree, there: Tree) -> None:
    sentences = removals_to_confirm(made, here if wish.pull else {}, there if wish.push else {})
    if sentences and not wish.dry_run and not wish.may_remove(sentences):
        raise NotConfirmed(" ".join(sentences))


def _push(server: Server, wish: Wish, made: Plan, head: int) -> int:
    """Record the merged tree on the server; returns the number of its snapshot."""
    if head == NOWHERE:
        with suppress(Refusal):  # made by another machine meanwhile: then the push says so
            server.ask("POST", f"{wish.project_path}/sync-folders", json={"name": wish.folder})
    told = {
        "parent": max(head, 0),
        "digest": digest_of(made.tree),
        "changed": [to_json(entry) for entry in made.push],
        "removed": [entry.path for entry in made.push_removed],
        "machine": wish.machine,
    }
    encoded = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
    body, headers = packed_json(encoded)
    answer = server.ask("POST", f"{wish.path}/snapshots", content=body, headers=headers)
    return int(answer.json()["number"])


@dataclass
class _Changes:
    """The changes on this machine; `here` follows what is really there."""

    server: Server
    wish: Wish
    made: Plan
    found: Scan
    report: Report
    here: dict[str, Entry]

    def make(self) -> None:
        writer = Writer(self.wish.root)
        try:
            self._move_copies(writer)
            for entry in sorted(self.made.remove, reverse=True):
                self._try(entry.path, partial(self._remove, writer, entry))
            writer.remove_empty_folders()
            for entry in self.made.make:
                self._try(entry.path, partial(self._make, writer, entry))
            for entry in self.made.mark:
                self._try(entry.path, partial(self._mark, writer, entry))
            self._write_all(writer)
        finally:
            writer.close()

    def _try(self, path: str, change: Callable[[], None]) -> bool:
        try:
            change()
        except ChangedMeanwhile:
            self.report.skipped[path] = "changed while it was synced; sync again"
            return False
        return True

    def _move_copies(self, writer: Writer) -> None:
        for old, copy in self.made.copies.items():
            if self._try(old, partial(writer.move, old, copy)):
                self.here[copy] = self.here.pop(old)._replace(path=copy)
                self.found.known.pop(old, None)

    def _remove(self, writer: Writer, entry: Entry) -> None:
        writer.remove(entry, self.found.known.get(entry.path))
        del self.here[entry.path]
        self.found.known.pop(entry.path, None)

    def _make(self, writer: Writer, entry: Entry) -> None:
        writer.make(entry)
        self.here[entry.path] = entry

    def _mark(self, writer: Writer, entry: Entry) -> None:
        self.found.known[entry.path] = writer.set_marks(entry, self.found.known[entry.path])
        self.here[entry.path] = entry

    def _write_all(self, writer: Writer) -> None:
        wanted = [
            (digest, entry.size // len(entry.chunks))
            for entry in self.made.write
            for digest in entry.chunks
        ]
        with Fetcher(self.server, self.wish.project_path, self._local()) as fetcher:
            pieces = fetcher.in_order(wanted)
            for entry in self.made.write:
                some = islice(pieces, len(entry.chunks))
                self._try(entry.path, partial(self._write, writer, entry, some))
            self.report.fetched_bytes = fetcher.fetched_bytes

    def _write(self, writer: Writer, entry: Entry, pieces: Iterator[bytes]) -> None:
        expected = self.found.known.get(entry.path)
        self.found.known[entry.path] = writer.write(entry, pieces, expected)
        self.here[entry.path] = entry

    def _local(self) -> Callable[[str], bytes | None]:
        """Finds chunks that lie on this machine already: files of one chunk, as most are."""
        where = {
            e.chunks[0]: e for e in self.here.values() if e.kind == FILE and len(e.chunks) == 1
        }

        def find(digest: str) -> bytes | None:
            entry = where.get(digest)
            return _content(self.wish.root / entry.path, digest) if entry else None

        return find


def _content(file: Path, digest: str) -> bytes | None:
    """The bytes of a file, if they are what the digest says."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as opened:
        data = opened.read()
    return data if hashlib.sha256(data).hexdigest() == digest else None

"""Changing a folder as a merged tree says, and never anything outside of it.

Every step goes from folder to folder by their handles and follows no link: whatever a server names
and whatever links lie about, nothing else can be reached. A file appears whole or not at all, and
what changed since it was looked at is left alone.
"""

import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .entries import LINK, PRIVATE, Entry, HostileTree
from .scanning import Known

INCOMING = "incoming"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class ChangedMeanwhile(Exception):
    """What lies there is not what was looked at, so it is left alone."""


class Writer:
    """Writes below one root; unfinished files lie in its `.mainstay/incoming`."""

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, _FOLDER & ~os.O_NOFOLLOW)
        private = root / PRIVATE
        private.mkdir(exist_ok=True)
        (private / INCOMING).mkdir(exist_ok=True)
        for left in (private / INCOMING).iterdir():
            left.unlink(missing_ok=True)  # of a run that was killed
        self._incoming = os.open(private / INCOMING, _FOLDER)
        self._kept: tuple[str, int] | None = None
        self._emptied: set[str] = set()

    def close(self) -> None:
        """Let go of all handles."""
        self._forget_folder()
        os.close(self._incoming)
        os.close(self._root)

    def write(self, entry: Entry, pieces: Iterable[bytes], expected: Known | None) -> Known:
        """Put a file in its place; returns how it is marked there.

        Raises:
            ChangedMeanwhile: what lies there is not `expected`; None is nothing at all.
        """
        with self._unfinished() as (name, handle):
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[os.write(handle, view) :]
            os.fchmod(handle, entry.mode)
            os.utime(handle, ns=(entry.modified_us * 1000, entry.modified_us * 1000))
            folder, last = self._folder_of(entry.path, make=True)
            self._expect(folder, last, expected)
            os.replace(name, last, src_dir_fd=self._incoming, dst_dir_fd=folder)
            about = os.fstat(handle)
        return Known(
            about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino, entry.chunks
        )

    def set_marks(self, entry: Entry, expected: Known) -> Known:
        """Give a file another mode and time; its content stays."""
        folder, last = self._folder_of(entry.path)
        self._expect(folder, last, expected)
        handle = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            os.fchmod(handle, entry.mode)
            os.utime(handle, ns=(entry.modified_us * 1000, entry.modified_us * 1000))
            about = os.fstat(handle)
        finally:
            os.close(handle)
        return Known(
            about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino, entry.chunks
        )

    def make(self, entry: Entry) -> None:
        """Make a link or an empty folder, in place of a link or a folder at most."""
        folder, last = self._folder_of(entry.path, make=True)
        if entry.kind == LINK:
            name = secrets.token_hex(8)
            os.symlink(entry.target, name, dir_fd=self._incoming)
            self._expect_no_file(folder, last)
            os.replace(name, last, src_dir_fd=self._incoming, dst_dir_fd=folder)
            return
        with suppress(FileExistsError):
            os.mkdir(last, entry.mode, dir_fd=folder)
        self._forget_folder()

    def move(self, old: str, new: str) -> None:
        """Give an entry another name beside it, which nothing has."""
        folder, last = self._folder_of(old)
        name = new.rsplit("/", 1)[-1]
        if _about(folder, name) is not None:
            raise ChangedMeanwhile(new)
        os.rename(last, name, src_dir_fd=folder, dst_dir_fd=folder)

    def remove(self, entry: Entry, expected: Known | None) -> None:
        """Remove an entry; `remove_empty_folders` removes what it lay in."""
        try:
            folder, last = self._folder_of(entry.path)
        except ChangedMeanwhile:
            return
        about = _about(folder, last)
        if about is None:
            pass
        elif stat.S_ISDIR(about.st_mode):
            with suppress(OSError):  # somebody put something into it
                os.rmdir(last, dir_fd=folder)
        else:
            if stat.S_ISREG(about.st_mode):
                self._expect(folder, last, expected)
            os.unlink(last, dir_fd=folder)
        self._note_emptied(entry.path)

    def remove_empty_folders(self) -> None:
        """Remove the folders that are empty after removals, and those that are empty then."""
        self._forget_folder()
        while self._emptied:
            path = max(self._emptied, key=lambda each: each.count("/"))
            self._emptied.remove(path)
            with suppress(OSError, ChangedMeanwhile):
                folder, last = self._folder_of(path)
                os.rmdir(last, dir_fd=folder)
                self._note_emptied(path)
            self._forget_folder()

    def _note_emptied(self, path: str) -> None:
        parent, slash, _ = path.rpartition("/")
        if slash:
            self._emptied.add(parent)

    @contextmanager
    def _unfinished(self) -> Iterator[tuple[str, int]]:
        name = secrets.token_hex(8)
        handle = os.open(name, _NEW, 0o600, dir_fd=self._incoming)
        try:
            yield name, handle
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._incoming)
            raise
        finally:
            os.close(handle)

    def _expect(self, folder: int, name: str, expected: Known | None) -> None:
        about = _about(folder, name)
        if about is None or (expected is None and not stat.S_ISREG(about.st_mode)):
            if about is not None and stat.S_ISDIR(about.st_mode):
                self._clear_folder(folder, name)
            return
        now = (about.st_size, about.st_mtime_ns, about.st_ctime_ns)
        if expected is None or now != expected[:3]:
            raise ChangedMeanwhile(name)

    def _expect_no_file(self, folder: int, name: str) -> None:
        about = _about(folder, name)
        if about is not None and stat.S_ISREG(about.st_mode):
            raise ChangedMeanwhile(name)
        if about is not None and stat.S_ISDIR(about.st_mode):
            self._clear_folder(folder, name)

    def _clear_folder(self, folder: int, name: str) -> None:
        try:
            os.rmdir(name, dir_fd=folder)
        except OSError as error:
            raise ChangedMeanwhile(name) from error

    def _folder_of(self, path: str, *, make: bool = False) -> tuple[int, str]:
        """The handle of the folder that a path lies in, and the last name of the path.

        Raises:
            ChangedMeanwhile: one on the way is no folder, or is a link.
        """
        parent, _, last = path.rpartition("/")
        if self._kept is not None and self._kept[0] == parent:
            return self._kept[1], last
        self._forget_folder()
        handle = os.dup(self._root)
        for name in parent.split("/") if parent else ():
            if name in {"", ".", ".."}:
                raise HostileTree(path)
            handle = _into(handle, name, make=make)
        self._kept = (parent, handle)
        return handle, last

    def _forget_folder(self) -> None:
        if self._kept is not None:
            os.close(self._kept[1])
            self._kept = None


def _into(handle: int, name: str, *, make: bool) -> int:
    """The handle of a folder in a folder, whose own is closed."""
    try:
        if make:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=handle)
        return os.open(name, _FOLDER, dir_fd=handle)
    except OSError as error:
        raise ChangedMeanwhile(name) from error
    finally:
        os.close(handle)


def _about(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None

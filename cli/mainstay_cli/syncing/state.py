"""What a machine remembers of a folder between runs, in its `.mainstay`; and one run at a time."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backports import zstd

from .entries import PRIVATE, Entry
from .scanning import Known

FILE = "sync.json.zst"
LOCK = "lock"
FORMAT = 1


class InUse(Exception):
    """Another run works on this folder."""


@dataclass
class State:
    """`base` is the tree that both sides had when they last met, `head` its snapshot's number."""

    of: str = ""
    head: int = 0
    base: dict[str, Entry] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)


def load(root: Path, of: str) -> State:
    """What is remembered of this project's folder; nothing when it was another one, or damaged.

    Nothing remembered is safe: both sides are then joined, and nothing is removed.
    """
    try:
        told = json.loads(zstd.decompress((root / PRIVATE / FILE).read_bytes()))
        if told["format"] != FORMAT or told["of"] != of:
            return State(of)
        return State(of, told["head"], _entries(told["base"]), _known(told["known"]))
    except (OSError, ValueError, KeyError, TypeError, zstd.ZstdError):
        return State(of)


def save(root: Path, state: State) -> None:
    """Remember it, all or nothing, also when the power goes."""
    told = {
        "format": FORMAT,
        "of": state.of,
        "head": state.head,
        "base": list(state.base.values()),
        "known": state.known,
    }
    folder = root / PRIVATE
    unfinished = folder / f"{FILE}.new"
    with unfinished.open("wb") as file:
        encoded = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
        file.write(zstd.compress(encoded, 1))
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(folder / FILE)


@contextmanager
def only_one(root: Path) -> Iterator[None]:
    """Hold the folder for this run. Raises `InUse`."""
    folder = root / PRIVATE
    folder.mkdir(exist_ok=True)
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InUse from error
        yield


def _entries(listed: list[list[Any]]) -> dict[str, Entry]:
    return {row[0]: Entry._make((*row[:5], tuple(row[5]), row[6])) for row in listed}


def _known(told: dict[str, list[Any]]) -> dict[str, Known]:
    return {path: Known._make((*row[:4], tuple(row[4]))) for path, row in told.items()}

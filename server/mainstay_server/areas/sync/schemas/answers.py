"""Shapes: what the API of synced folders takes and gives."""

from typing import Annotated, Any

from pydantic import Field

from mainstay_server.areas.sync.schemas.records import MOST_RECORDS
from mainstay_server.kernel.web import Answer, Body
from mainstay_server.kernel.web.bodies import Instant

FOLDER_NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
DIGEST = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
TREE = "9b0e6a8f0a9ee0b8be5c5ad1a94dbb6c7e0d9ad0e1c2c7cb6f8bb1b7fbc1cbb1"
AN_ENTRY = {
    "path": "data/hello.txt",
    "modifiedUs": 1795254105001000,
    "size": 5,
    "chunks": [DIGEST],
}
A_PUSH = {
    "parent": 0,
    "digest": "22eff579659b70e3563b0c542cdc8e0f855993a2e6131fcbcfdd2a1e7ef3acb6",
    "changed": [AN_ENTRY],
    "removed": [],
    "machine": "laptop",
}
A_PART = f"{DIGEST} 5 5\nhello"

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$", examples=[DIGEST])]
Name = Annotated[
    str,
    Field(
        pattern=FOLDER_NAME,
        description="Small letters, digits, and . _ - within.",
        examples=["reports"],
    ),
]
Kept = Annotated[
    int,
    Field(ge=1, le=1000, description="How many snapshots are kept.", examples=[100]),
]


class FolderBody(Body):
    """A folder to be made."""

    name: Name


class FolderSettingsBody(Body):
    """What can be changed of a folder."""

    keep_snapshots: Kept


class DigestsBody(Body):
    """Chunks by their SHA-256, in hex."""

    digests: Annotated[list[Digest], Field(min_length=1, max_length=MOST_RECORDS)]


class RestoreBody(Body):
    """An entry of an older snapshot that comes back."""

    snapshot: Annotated[int, Field(ge=1, le=2**53, examples=[1])]
    path: Annotated[str, Field(min_length=1, max_length=4000, examples=["data/hello.txt"])]


class SnapshotAnswer(Answer):
    """One snapshot. `added`, `changed` and `removed` are entries, compared with its parent."""

    number: Annotated[int, Field(examples=[3])]
    parent: Annotated[int, Field(examples=[2])]
    digest: Annotated[str, Field(examples=[TREE])]
    machine: Annotated[str, Field(examples=["laptop"])]
    made_by: Annotated[str, Field(examples=["Ada"])]
    files: Annotated[int, Field(examples=[10_000])]
    bytes: Annotated[int, Field(examples=[84_512_000])]
    added: Annotated[int, Field(examples=[12])]
    changed: Annotated[int, Field(examples=[3])]
    removed: Annotated[int, Field(examples=[0])]
    created_at: Instant


class FolderAnswer(Answer):
    """One folder. `head` is the number of its newest snapshot, 0 without one."""

    name: Annotated[str, Field(examples=["reports"])]
    head: Annotated[int, Field(examples=[3])]
    keep_snapshots: Annotated[int, Field(examples=[100])]
    created_at: Instant
    pushed_at: Instant | None
    newest: SnapshotAnswer | None = None


class Folders(Answer):
    """A page of folders by name, and what the chunks of all of them take."""

    folders: list[FolderAnswer]
    stored_bytes: Annotated[int, Field(examples=[61_440_000])]
    next_cursor: str | None


class Snapshots(Answer):
    """A page of snapshots, newest first."""

    snapshots: list[SnapshotAnswer]
    next_cursor: str | None


class MissingAnswer(Answer):
    """The chunks that are not there, in the order asked."""

    missing: Annotated[list[str], Field(examples=[[DIGEST]])]


class StoredAnswer(Answer):
    """How many chunks of a part were new, and what they take."""

    chunks: Annotated[int, Field(examples=[1])]
    bytes: Annotated[int, Field(examples=[74])]


class EntryAnswer(Answer):
    """One file, link or empty folder. `modifiedUs` are microseconds since 1970."""

    path: Annotated[str, Field(examples=["data/hello.txt"])]
    kind: Annotated[str, Field(examples=["file"])]
    mode: Annotated[int, Field(examples=[420])]
    modified_us: Annotated[int, Field(examples=[1795254105001000])]
    size: Annotated[int, Field(examples=[5])]
    target: Annotated[str, Field(examples=[""])]


class Entries(Answer):
    """A page of a snapshot's entries by path."""

    entries: list[EntryAnswer]
    next_cursor: str | None


ENTRY_SHAPE: dict[str, Any] = {
    "type": "object",
    "required": ["path"],
    "additionalProperties": False,
    "properties": {
        "path": {"type": "string", "maxLength": 4000},
        "kind": {"enum": ["file", "link", "folder"], "default": "file"},
        "mode": {"type": "integer", "minimum": 0, "maximum": 511, "default": 420},
        "modifiedUs": {"type": "integer", "default": 0},
        "size": {"type": "integer", "minimum": 0, "default": 0},
        "chunks": {"type": "array", "items": {"type": "string"}, "default": []},
        "target": {"type": "string", "default": ""},
    },
}
PUSH_SHAPE: dict[str, Any] = {
    "type": "object",
    "required": ["parent", "digest"],
    "additionalProperties": False,
    "properties": {
        "parent": {"type": "integer", "minimum": 0},
        "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "changed": {"type": "array", "items": ENTRY_SHAPE},
        "removed": {"type": "array", "items": {"type": "string"}},
        "machine": {"type": "string", "maxLength": 100},
    },
}
MANIFEST_SHAPE: dict[str, Any] = {
    "type": "object",
    "required": ["number", "digest", "entries"],
    "properties": {
        "number": {"type": "integer"},
        "digest": {"type": "string"},
        "entries": {"type": "array", "items": ENTRY_SHAPE},
    },
}
A_MANIFEST = {"number": 1, "digest": A_PUSH["digest"], "entries": [AN_ENTRY]}

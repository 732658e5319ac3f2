"""Trees and parts, made as any client would make them from what the docs say."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import httpx2 as httpx
from backports import zstd
from tests.world import Browser, World

Json = dict[str, Any]
FOLDER = "reports"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def part(*chunks: bytes, packed: bool = True) -> bytes:
    """A part with these chunks, each in a zstd frame where that is shorter."""
    body = b""
    for data in chunks:
        frame = zstd.compress(data) if packed else data
        frame = frame if len(frame) < len(data) else data
        body += f"{digest(data)} {len(data)} {len(frame)}\n".encode() + frame
    return body


def a_file(path: str, *chunks: bytes, **more: Any) -> Json:
    size = sum(map(len, chunks))
    return {"path": path, "size": size, "chunks": [digest(one) for one in chunks], **more}


def tree_digest(entries: Iterable[Json]) -> str:
    total = hashlib.sha256()
    for one in sorted(entries, key=lambda entry: str(entry["path"])):
        fields = (
            one["path"],
            one.get("kind", "file"),
            one.get("mode", 0o644),
            one.get("modifiedUs", 0),
            one.get("size", 0),
            one.get("target", ""),
            ",".join(one.get("chunks", ())),
        )
        total.update("".join(f"{field}\0" for field in fields).encode())
    return total.hexdigest()


class Client:
    """A machine that pushes: it knows the tree that it pushed last."""

    def __init__(self, world: World, who: Browser | None = None, slug: str = "") -> None:
        self.base = f"/api/projects/{slug or world.project}"
        self.folder = f"{self.base}/sync-folders/{FOLDER}"
        self.who = who or world.bob
        self.tree: dict[str, Json] = {}
        self.head = 0

    def make_folder(self) -> None:
        made = self.who.post(f"{self.base}/sync-folders", json={"name": FOLDER})
        assert made.status_code == 201, made.text

    def send(self, *chunks: bytes) -> Json:
        answer = self.post_part(part(*chunks))
        assert answer.status_code == 201, answer.text
        stored: Json = answer.json()
        return stored

    def post_part(self, body: bytes) -> httpx.Response:
        headers = {"content-type": "application/octet-stream"}
        return self.who.post(f"{self.base}/sync-chunks", content=body, headers=headers)

    def missing(self, *chunks: bytes) -> list[str]:
        asked = {"digests": [digest(one) for one in chunks]}
        answer = self.who.post(f"{self.base}/sync-chunks/missing", json=asked)
        assert answer.status_code == 200, answer.text
        found: list[str] = answer.json()["missing"]
        return found

    def fetch(self, *digests: str) -> httpx.Response:
        return self.who.get(f"{self.base}/sync-chunks?digests={','.join(digests)}")

    def push(self, *changed: Json, removed: Iterable[str] = (), **other: Any) -> httpx.Response:
        tree = {**self.tree, **{entry["path"]: entry for entry in changed}}
        for path in removed:
            tree.pop(path, None)
        told = {
            "parent": self.head,
            "digest": tree_digest(tree.values()),
            "changed": list(changed),
            "removed": list(removed),
            "machine": "laptop",
            **other,
        }
        answer = self.who.post(f"{self.folder}/snapshots", content=json.dumps(told).encode())
        if answer.status_code == 201:
            self.tree, self.head = tree, answer.json()["number"]
        return answer

    def pushed(self, files: Mapping[str, bytes], removed: Iterable[str] = ()) -> int:
        """Send and push small files; returns the number of the snapshot."""
        if files:
            self.send(*files.values())
        changed = [a_file(path, data) if data else a_file(path) for path, data in files.items()]
        answer = self.push(*changed, removed=removed)
        assert answer.status_code == 201, answer.text
        return self.head

    def download(self, number: int, path: str) -> httpx.Response:
        return self.who.get(f"{self.folder}/snapshots/{number}/file", params={"path": path})

"""Buckets and files in a few words, for the tests of storage."""

from typing import Any

import httpx2 as httpx
from tests.world import Browser, World

STORAGE = "/api/v1/storage"


def buckets_path(world: World) -> str:
    return f"/api/instances/{world.instance.id}/buckets"


def a_bucket(world: World, name: str = "files", **body: Any) -> dict[str, Any]:
    answer = world.alice.post(buckets_path(world), json={"name": name, **body})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def offered(who: Browser, key: str, **body: Any) -> dict[str, Any]:
    answer = who.post(f"{STORAGE}/upload-url", json={"key": key, **body})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def put(world: World, offer: dict[str, Any], data: bytes, **headers: str) -> httpx.Response:
    return world.stranger.put(offer["url"], content=data, headers={**offer["headers"], **headers})


def stored(world: World, key: str, data: bytes = b"hello", **body: Any) -> dict[str, Any]:
    body.setdefault("size", len(data))
    answer = put(world, offered(world.bob, key, **body), data)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def download_url(world: World, key: str, **query: Any) -> str:
    answer = world.bob.get(f"{STORAGE}/download-url", params={"key": key, **query})
    assert answer.status_code == 200, answer.text
    url: str = answer.json()["url"]
    return url


def used(world: World, **query: Any) -> dict[str, Any]:
    total: dict[str, Any] = world.bob.get(f"{STORAGE}/stats", params=query).json()["total"]
    return total

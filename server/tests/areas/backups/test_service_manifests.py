"""A manifest is what was signed, or is refused with what is wrong with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mainstay_server.areas.backups.service import manifests
from mainstay_server.areas.backups.service.manifests import NotAManifest, read_signed, signed
from tests.areas.backups.copies import Backup, back_up, key, trusting
from tests.kernel.copies.worlds import Key

__all__ = ["key", "trusting"]

pytestmark = pytest.mark.usefixtures("trusting")


@pytest.fixture
def backup(trusting: None, tmp_path: Path, key: Key) -> Backup:
    return back_up(tmp_path, key, b"rows")


def test_what_was_signed_is_read_back(backup: Backup) -> None:
    file = signed(backup.manifest)

    assert read_signed(file, trusted=[manifests.public_key()]) == backup.manifest
    assert file == signed(backup.manifest)
    assert file == backup.manifest_file.read_bytes()
    assert backup.manifest.manifest_key == "shop/b1.manifest.json"


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another time": lambda file: file.update(startedAt="2026-06-02T12:00:00.000Z"),
    "another digest": lambda file: file["sealed"].update(sha256="0" * 64),
    "a word more": lambda file: file.update(note="trust me"),
    "a word less": lambda file: file.pop("recipients"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_manifest_is_refused(backup: Backup, edit: str) -> None:
    file = json.loads(signed(backup.manifest))
    EDITS[edit](file)

    with pytest.raises(NotAManifest, match="It was edited"):
        read_signed(json.dumps(file).encode(), trusted=[manifests.public_key()])


def test_white_space_and_order_are_no_edit(backup: Backup) -> None:
    file = json.loads(signed(backup.manifest))
    text = json.dumps(dict(reversed(file.items())), indent=2)

    assert read_signed(text.encode(), trusted=[manifests.public_key()]) == backup.manifest


def test_a_strangers_signature_is_refused(backup: Backup) -> None:
    with pytest.raises(NotAManifest, match="signed by another key"):
        read_signed(signed(backup.manifest), trusted=[])


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff", b'{"signature": 1}', b"[" * 100_000])
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(NotAManifest):
        read_signed(data, trusted=[manifests.public_key()])
